"""Reading, checking and packing data sets; predictions on disk."""
