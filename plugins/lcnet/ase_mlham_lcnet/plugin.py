"""What this distribution adds to ase-mlham."""

from __future__ import annotations

from ase_mlham.hooks import FamilySpec, hookimpl


@hookimpl
def mlham_model_families() -> list[FamilySpec]:
    """The LC-Net family."""
    return [
        FamilySpec(
            name="lcnet",
            description="attention network in complete local coordinates (LC-Net)",
            config="ase_mlham_lcnet.network:LCNetConfig",
            module="ase_mlham_lcnet.network:LCNet",
            spin_kinds=("none", "collinear", "spinor"),
            expected_failures={
                "rotation": (
                    "where neighbours tie, local coordinates follow the global ones: 5 to 11 times "
                    "the output's size on a perfect crystal with random weights, 1e-13 without ties"
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
        )
    ]
