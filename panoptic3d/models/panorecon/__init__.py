"""PanoRecon (Dahnert et al., NeurIPS 2021) as fillings of the slots: config, builder, names of its published weights."""
