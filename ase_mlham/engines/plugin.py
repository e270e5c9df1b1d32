"""What this room gives to the package: the PySCF engine."""

from __future__ import annotations

from ase_mlham.hooks import EngineSpec, hookimpl

__all__ = ["mlham_engines"]


@hookimpl
def mlham_engines() -> list[EngineSpec]:
    """Programs that compute reference systems."""
    return [
        EngineSpec(
            name="pyscf",
            description="PBE or LDA in Gaussian orbitals with GTH pseudopotentials, in process",
            compute="ase_mlham.engines.pyscf.compute:compute",
            settings="ase_mlham.engines.pyscf.settings:PyscfSettings",
        )
    ]
