"""Training: one loop for every method, on one process or many, that goes on where it was killed."""
