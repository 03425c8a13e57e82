"""Training of clearview: targets and objective."""
