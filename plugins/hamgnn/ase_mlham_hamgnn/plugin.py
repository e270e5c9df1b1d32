"""What this distribution adds to ase-mlham."""

from __future__ import annotations

from ase_mlham.hooks import FamilySpec, ModelSpec, hookimpl


@hookimpl
def mlham_model_families() -> list[FamilySpec]:
    """The HamGNN family."""
    return [
        FamilySpec(
            name="hamgnn",
            description="E(3)-equivariant orbital convolutions in edge frames (HamGNN)",
            config="ase_mlham_hamgnn.network:HamGNNConfig",
            module="ase_mlham_hamgnn.network:HamGNN",
            spin_kinds=("none", "collinear", "spinor"),
            presets={
                "small": {},
                "paper": {"natural": 32, "other": 32, "layers": 5, "bessel": 8},
            },
        )
    ]


@hookimpl
def mlham_models() -> list[ModelSpec]:
    """Models that come with this distribution."""
    return [
        ModelSpec(
            name="sige",
            description="silicon, germanium and their alloys on the diamond lattice (PBE)",
            package="ase_mlham_hamgnn",
            resource="models/sige.mlham",
        )
    ]
