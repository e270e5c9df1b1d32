"""A foreign distribution that adds a file format and a family of networks to ase-mlham."""
