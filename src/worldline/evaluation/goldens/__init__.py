"""The numbers of the golden vectors, as ours: one module a file of vectors."""
