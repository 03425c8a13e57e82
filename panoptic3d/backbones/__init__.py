"""2D feature extractors: an image in, a pyramid of feature maps out. What they have in common is `pyramid.Trunk`."""
