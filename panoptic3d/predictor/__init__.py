"""A photo in, a scene out."""
