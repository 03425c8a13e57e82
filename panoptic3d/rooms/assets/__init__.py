"""Furniture made by others: read from where the user has it into a compact library, with its licences kept."""
