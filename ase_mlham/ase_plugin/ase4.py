"""What the coming ASE 4 finds of this package: `ase info --plugins` lists it.

The interface is a preview (`ase._4`) and may change; nothing here depends on it. Formats are not
repeated: ASE wraps those of `ase.ioformats` by itself, and would list them twice.

The collection is made when it is asked for. ASE's plugin modules look for it while they are being
imported themselves, and so must not be imported by this module.
"""

from __future__ import annotations

from typing import Any

__all__ = ["CITATION"]

CITATION = "Y. Zhong et al., npj Comput. Mater. 9, 182 (2023), for the packaged model"
"""Where ASE 4 asks what to cite."""


def __getattr__(name: str) -> Any:
    if name != "__ase_plugins__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ase._4.plugins.plugin import CalculatorPlugin

    # of one object, however often it is asked for
    found = globals()[name] = {
        CalculatorPlugin(
            "mlham",
            citation=CITATION,
            implementation="ase_mlham.calculator.MLHamiltonian",
        )
    }
    return found
