"""HamGNN: an equivariant network for Hamiltonians (Y. Zhong et al., npj Comput. Mater. 2023)."""
