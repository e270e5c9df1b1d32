"""H(R) and S(R) in process: own real-space driver on PySCF's Gaussian integrals.

Inside this folder energies are in hartree and lengths in bohr; `system` converts at the border.
"""
