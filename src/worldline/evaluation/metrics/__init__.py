"""Numbers that say how far an estimate is from the truth: pure functions, one subject a file."""
