"""Training, in a child process only: the one room besides evaluation and export that loads torch."""
