"""Rooms of our own, in 3D-Front's layout."""
