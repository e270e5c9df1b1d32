"""`MLHamiltonian`: any source of the Hamiltonian behind ASE's calculator interface.

    from ase.build import bulk
    import ase_mlham as mh

    silicon = bulk("Si")
    silicon.calc = mh.MLHamiltonian("sige")
    print(silicon.calc.gap())
    silicon.calc.band_structure().plot(filename="bands.png")

The class is put together from modules of one idea each: `hamiltonian` knows the source of H, the
parameters and what is kept; every other module adds the methods of one kind of result and asks
`self.system(atoms)` for H and S. Names are imported when first used.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "CalculatorInputError": "ase_mlham.calculator.parameters",
    "FrozenResult": "ase_mlham.calculator.frozen",
    "MLHamiltonian": "ase_mlham.calculator.mlhamiltonian",
    "PredictsHamiltonian": "ase_mlham.calculator.sources",
    "mention_ignored_moments": "ase_mlham.calculator.sources",
}

__all__ = [
    "CalculatorInputError",
    "FrozenResult",
    "MLHamiltonian",
    "PredictsHamiltonian",
    "mention_ignored_moments",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'ase_mlham.calculator' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
