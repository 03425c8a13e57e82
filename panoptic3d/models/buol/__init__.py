"""BUOL (Chu et al., CVPR 2023) as fillings of the slots: config, builder, names of its published weights."""
