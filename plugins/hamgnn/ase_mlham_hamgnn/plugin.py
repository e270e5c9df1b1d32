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
                # one radius for messages and pairs, as published
                "paper": {
                    "natural": 32,
                    "other": 32,
                    "layers": 5,
                    "bessel": 8,
                    "message_cutoff": 7.4,
                },
                # the universal model as published: 32x0o + 128x0e + 128x1o + 64x1e + ...
                "universal": {
                    "natural": [128, 128, 128, 64, 32, 16, 8],
                    "other": [32, 64, 32, 32, 32, 8, 0],
                    "layers": 5,
                    "bessel": 64,
                    "l_max": 6,
                    "message_cutoff": 7.4,
                },
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
