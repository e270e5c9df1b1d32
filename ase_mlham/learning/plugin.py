"""What the package's own learning room registers: the smallest family and the training recipe."""

from __future__ import annotations

from ase_mlham.hooks import FamilySpec, RecipeSpec, hookimpl

__all__ = ["mlham_model_families", "mlham_recipes"]


@hookimpl
def mlham_model_families() -> list[FamilySpec]:
    """The family that other families are measured against."""
    return [
        FamilySpec(
            name="pairwise",
            description="functions of distance times spherical harmonics; a lower bound for others",
            config="ase_mlham.learning.pairwise:PairwiseConfig",
            module="ase_mlham.learning.pairwise:PairwiseNetwork",
            spin_kinds=("none", "collinear", "spinor"),
        )
    ]


@hookimpl
def mlham_recipes() -> list[RecipeSpec]:
    """The recipe for real Hamiltonians."""
    return [
        RecipeSpec(
            name="hamiltonian",
            description="one stage: blocks of H minus baseline operators, gauge-free loss",
            config="ase_mlham.learning.recipes:HamiltonianRecipe",
            train="ase_mlham.learning.recipes:train_hamiltonian",
        )
    ]
