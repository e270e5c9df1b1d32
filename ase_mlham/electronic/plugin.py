"""What this room registers: eigensolvers and analysers. Imports nothing heavy."""

from __future__ import annotations

from ase_mlham.hooks import AnalyserSpec, SolverSpec, hookimpl

__all__ = ["mlham_analysers", "mlham_solvers"]


@hookimpl
def mlham_solvers() -> list[SolverSpec]:
    """Eigensolvers of the package."""
    return [
        SolverSpec(
            name="dense",
            description="LAPACK on dense matrices, k-points in parallel threads",
            solve="ase_mlham.electronic.solvers.dense:solve",
            guarantees="the lowest states, none missing; the only one that takes overlap_floor",
        ),
        SolverSpec(
            name="sparse",
            description="states around an energy of a large system, shift-invert with SuperLU",
            solve="ase_mlham.electronic.solvers.sparse:solve",
            guarantees="each state converged; that none is missing in between is not proven",
        ),
    ]


@hookimpl
def mlham_analysers() -> list[AnalyserSpec]:
    """Properties of a system."""
    return [
        AnalyserSpec(
            name="gap",
            description="fundamental and direct gap, with k-points and spin channels",
            analyse="ase_mlham.electronic.gap:gap",
        ),
        AnalyserSpec(
            name="charges",
            description="Mulliken or Löwdin charges and spin moments of atoms",
            analyse="ase_mlham.electronic.charges:charges",
        ),
        AnalyserSpec(
            name="spin-texture",
            description="spin expectation values of states over the Brillouin zone",
            analyse="ase_mlham.electronic.spin_texture:spin_texture",
        ),
        AnalyserSpec(
            name="spin-bands",
            description="bands along a path with the spin of their states",
            analyse="ase_mlham.electronic.spin_bands:spin_bands",
        ),
        AnalyserSpec(
            name="fat-bands",
            description="bands along a path with their weights on orbitals, atoms or layers",
            analyse="ase_mlham.electronic.fat_bands:fat_bands",
        ),
        AnalyserSpec(
            name="collapse",
            description="spurious states that errors of a predicted H pull among the bands",
            analyse="ase_mlham.electronic.collapse:check_collapse",
        ),
    ]
