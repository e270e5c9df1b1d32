"""Learned Kohn-Sham Hamiltonians for ASE.

    import ase_mlham as mh
    system = mh.read_system("silicon.scfout")       # or mh.load_model("sige").predict(atoms)
    print(mh.gap(system))

Names are imported when first used: `import ase_mlham` loads neither torch nor NumPy.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "BlockMatrix": "ase_mlham.core",
    "HamiltonianModel": "ase_mlham.learning.model",
    "LCAOSystem": "ase_mlham.core",
    "MLHamiltonian": "ase_mlham.calculator",
    "OrbitalBasis": "ase_mlham.core",
    "SpinKind": "ase_mlham.core",
    "Structure": "ase_mlham.core",
    "bands": "ase_mlham.electronic.bands",
    "charge_density": "ase_mlham.real_space",
    "charges": "ase_mlham.electronic.charges",
    "compute_system": "ase_mlham.engines",
    "difference_density": "ase_mlham.real_space",
    "dos": "ase_mlham.electronic.dos",
    "fat_bands": "ase_mlham.electronic.fat_bands",
    "fermi_level": "ase_mlham.electronic.fermi",
    "gap": "ase_mlham.electronic.gap",
    "load_model": "ase_mlham.learning.model",
    "local_dos": "ase_mlham.real_space",
    "models": "ase_mlham.learning.model",
    "pdos": "ase_mlham.electronic.dos",
    "read_system": "ase_mlham.formats",
    "spin_density": "ase_mlham.real_space",
    "spin_texture": "ase_mlham.electronic.spin_texture",
    "wave_function": "ase_mlham.real_space",
    "write_system": "ase_mlham.formats",
}

__all__ = [*sorted(_HOME), "errors"]


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module("ase_mlham.errors")
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'ase_mlham' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
