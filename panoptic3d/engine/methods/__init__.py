"""Methods as the training loop sees them: a network with its objective."""
