"""Training of PanoRecon: targets and objective of both stages."""
