"""Published datasets, read from the files as their authors lay them out: one file for each."""
