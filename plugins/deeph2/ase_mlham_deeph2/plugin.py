"""What this distribution adds to ase-mlham."""

from __future__ import annotations

from ase_mlham.hooks import FamilySpec, hookimpl

# Y. Wang et al., Sci. Bull. 2024 (doi 10.1016/j.scib.2024.06.011): Huber loss with delta = 0.01 eV,
# free of the gauge, of H as it is; AdamW, one structure in a step, rate halved where the error has
# not fallen for 20 validations, until the smallest rate helps no more. The weights are not
# averaged, gradients not clipped
_PAPER = {
    "training": {
        "epochs": 10_000,
        "batch_size": 1,
        "optimiser": "adamw",
        "beta1": 0.9,
        "beta2": 0.999,
        "weight_decay": 1e-3,
        "learning_rate": 4e-4,
        "schedule": "plateau",
        "plateau_factor": 0.5,
        "plateau_patience": 20,
        "smallest_rate": 1e-5,
        "warmup_steps": 0,
        "clip": 0.0,
        "ema": 0.0,
    },
    "loss": {"mean": 1.0, "rms": 0.0, "huber": 10.0, "gauge_free": True},
    "targets": {"operators": [], "tables": False},
}


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
            recipes={"paper": _PAPER},
        )
    ]
