"""A page to drop photos on, and the same by HTTP (docs/app.md). Extra `[app]`."""
