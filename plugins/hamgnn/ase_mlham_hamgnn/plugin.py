"""What this distribution adds to ase-mlham."""

from __future__ import annotations

from typing import Any

from ase_mlham.hooks import FamilySpec, ModelSpec, hookimpl

# "Network and training details" of Y. Zhong et al., npj Comput. Mater. 9, 182 (2023): mean absolute
# error of the matrices as they are, AdamW from 1e-3, halved where the validation error no longer
# falls. What the text leaves open is torch's default (moments and decay of AdamW) or ours
# (patience, smallest rate, batch). The weights are not averaged, gradients not clipped
_FIRST_ROUND: dict[str, dict[str, Any]] = {
    "training": {
        "epochs": 10_000,
        "optimiser": "adamw",
        "beta1": 0.9,
        "beta2": 0.999,
        "weight_decay": 0.01,
        "learning_rate": 1e-3,
        "schedule": "plateau",
        "plateau_factor": 0.5,
        "warmup_steps": 0,
        "clip": 0.0,
        "ema": 0.0,
    },
    "loss": {"mean": 1.0, "rms": 0.0, "gauge_free": False},
    "targets": {"operators": [], "tables": False},
}

# the second round, from the converged weights of the first (`start`): bands in the loss with the
# weight 0.001, the rate from 1e-4
_SECOND_ROUND: dict[str, dict[str, Any]] = {
    **_FIRST_ROUND,
    "training": {**_FIRST_ROUND["training"], "learning_rate": 1e-4, "smallest_rate": 1e-6},
    "bands": {"weight": 0.001},
}


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
            recipes={"paper": _FIRST_ROUND, "paper-bands": _SECOND_ROUND},
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
