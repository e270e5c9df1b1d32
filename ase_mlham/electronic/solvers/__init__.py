"""Eigensolvers for H(k) c = E S(k) c, found by hook `mlham_solvers`.

A solver is a function `solve(problem: Eigenproblem) -> Iterator[Solution]`: one `Solution` for each
k-point of the problem, in any order. It decides itself how k-points run in parallel.
"""
