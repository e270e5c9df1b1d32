"""Windows: the electronic structure of what `ase gui` shows."""
