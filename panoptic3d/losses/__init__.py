"""Objectives: each term a pure function with its own name."""
