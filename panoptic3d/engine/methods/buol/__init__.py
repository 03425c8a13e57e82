"""Training of BUOL: targets and objective of both stages."""
