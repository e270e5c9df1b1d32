"""What this distribution adds to ase-mlham."""

from __future__ import annotations

from ase_mlham.hooks import FamilySpec, hookimpl


@hookimpl
def mlham_model_families() -> list[FamilySpec]:
    """The DeepH-2 family."""
    return [
        FamilySpec(
            name="deeph2",
            description="Equivariant transformer in local coordinates of the edges (DeepH-2)",
            config="ase_mlham_deeph2.network:DeepH2Config",
            module="ase_mlham_deeph2.network:DeepH2",
            spin_kinds=("none", "collinear", "spinor"),
            presets={
                "small": {},
                "medium": {
                    "natural": 32,
                    "other": 12,
                    "blocks": 3,
                },
                # the universal model as published: 3 blocks, 80 features a degree, 2 heads, 600
                # Gaussians up to 9 Å, one radius for messages and pairs
                "universal": {
                    "natural": 56,
                    "other": 24,
                    "blocks": 3,
                    "heads": 2,
                    "gaussians": 600,
                    "last_gaussian": 9.0,
                    "hidden": 128,
                    "message_cutoff": 7.4,
                },
            },
        )
    ]
