"""LC-Net: a graph network in complete local coordinates (M. Su et al., arXiv 2022)."""
