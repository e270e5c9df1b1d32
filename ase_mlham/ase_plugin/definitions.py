"""Formats and viewer as ASE's entry points want them, and the name `mlham` for `ase run`.

ASE imports this module while it imports `ase.io`, for every command of every user who has this
package installed. So it says where things are, and imports nothing but the classes to say it with:
anything that leads back to `ase.io` would make ASE drop the formats, and anything heavy would slow
all of ASE down.

No entry point of ASE names calculators. `ase run` reads the structure first, and with it this
module; it looks the calculator up afterwards, in the table that is filled in here.
"""

from __future__ import annotations

from typing import Any

from ase.calculators import calculator as ase_calculator
from ase.utils.plugins import ExternalIOFormat, ExternalViewer

__all__ = ["CALCULATOR", "MLHAM", "OPENMX_SCFOUT", "VIEWER", "mlham"]

CALCULATOR = "mlham"
"""Name of the calculator for `ase run` and `get_calculator_class`."""

_READERS = "ase_mlham.ase_plugin.readers"

MLHAM = ExternalIOFormat(
    desc="H and S of ase-mlham, HDF5 (atoms are read)",
    code="1S",
    module=_READERS,
    # other programs write .h5 files too: ours are known by what they say of themselves
    magic_regex=rb"\x89HDF\r\n\x1a\n.*ase-mlham system",
)

OPENMX_SCFOUT = ExternalIOFormat(
    desc="H and S of OpenMX, plain or compressed (atoms are read)",
    code="1S",
    module=_READERS,
    # ASE takes .gz off by itself
    glob=["*.scfout", "*.scfout.zst"],
)

VIEWER = ExternalViewer(
    desc="Atoms with their electronic structure.", module="ase_mlham.ase_plugin.viewer"
)


def mlham(**parameters: Any) -> Any:
    """The calculator of `ase run mlham`, see `ase_mlham.ase_plugin.run`; imported when called."""
    from ase_mlham.ase_plugin.run import calculator

    return calculator(**parameters)


if CALCULATOR not in ase_calculator.external_calculators:
    ase_calculator.register_calculator_class(CALCULATOR, mlham)
