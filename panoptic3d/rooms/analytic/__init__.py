"""Rooms of boxes whose distance field has a closed form: truth for tests."""
