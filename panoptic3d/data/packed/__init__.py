"""The packed form of a data set: one small checksummed file per sample, and a folder of them is a data root."""
