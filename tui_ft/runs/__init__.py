"""A run: a folder on disk and a process that outlives the terminal. Viewers only read its files."""
