"""DeepH-2: an equivariant transformer for Hamiltonians (Y. Wang et al., 2024)."""
