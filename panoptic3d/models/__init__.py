"""The pipeline's slots and their fillings."""
