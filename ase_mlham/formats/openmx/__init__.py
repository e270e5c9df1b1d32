"""Output of OpenMX: Hamiltonians (`.scfout`), atomic orbitals (`.pao`), bands (`.Band`, `.out`)."""
