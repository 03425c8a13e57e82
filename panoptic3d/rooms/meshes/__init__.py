"""Triangles: primitive shapes, solids, triangulation, and the soup that rays and distances share."""
