"""Data sets of rooms: plan, rooms, samples, journal, check against published hashes, statistics."""
