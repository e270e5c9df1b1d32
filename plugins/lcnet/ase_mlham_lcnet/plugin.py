"""What this distribution adds to ase-mlham."""

from __future__ import annotations

from ase_mlham.hooks import FamilySpec, hookimpl

# "Training details" of both publications: focal loss (beta = 0.25 per eV, gamma = 2) of H as it is,
# Adam from 1e-3, lowered to 1e-5 where the error no longer falls. Factor and patience of that are
# not given: ours. The weights are not averaged, gradients not clipped
_PAPER = {
    "training": {
        "epochs": 10_000,
        "optimiser": "adam",
        "beta1": 0.9,
        "beta2": 0.999,
        "learning_rate": 1e-3,
        "schedule": "plateau",
        "smallest_rate": 1e-5,
        "warmup_steps": 0,
        "clip": 0.0,
        "ema": 0.0,
    },
    "loss": {"mean": 1.0, "rms": 0.0, "focal_beta": 0.25, "focal_gamma": 2.0, "gauge_free": False},
    "targets": {"operators": [], "tables": False},
}


@hookimpl
def mlham_model_families() -> list[FamilySpec]:
    """The LC-Net family."""
    return [
        FamilySpec(
            name="lcnet",
            description="attention network in complete local coordinates (LC-Net)",
            config="ase_mlham_lcnet.config:LCNetConfig",
            module="ase_mlham_lcnet.network:LCNet",
            spin_kinds=("none", "collinear", "spinor"),
            expected_failures={
                "rotation": (
                    "where neighbours tie, local coordinates follow the global ones: 5 to 11 times "
                    "the output's size on a perfect crystal with random weights, 1e-14 without ties"
                ),
                "inversion": (
                    "a right-handed frame does not know inversion: as large as the output; exact "
                    "with mirror = true but for ties"
                ),
            },
            presets={
                "small": {},
                # five layers, 64 filters and one radius as published; the other widths, which are
                # not, give one network 524,923 weights for two elements of 13 orbitals (524,731)
                "paper": {
                    "node": 96,
                    "local": 64,
                    "layers": 5,
                    "output": 256,
                    "message_cutoff": 7.4,
                },
            },
            recipes={"paper": _PAPER},
        )
    ]
