"""How a data set lies on the disk: one file each. Anybody's is `package.module:NAME`, an object of `Layout` (base.py)."""
