"""Train networks that predict H(R): graphs, data sets, targets, losses, metrics, model files."""
