"""What each family of golden metric vectors asks for, computed with our own metrics."""
