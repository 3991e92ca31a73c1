"""Training: what networks are told about their errors."""
