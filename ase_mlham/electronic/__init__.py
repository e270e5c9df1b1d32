"""From H(R) and S(R) to eigenvalues, bands, Fermi level, density of states, gap, and spin."""
