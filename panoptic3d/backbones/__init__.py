"""2D feature extractors behind one protocol."""
