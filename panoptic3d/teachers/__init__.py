"""Other people's networks as files: what they say of a photo comes in as depth. Data only: no pickles, no code."""
