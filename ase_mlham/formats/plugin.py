"""The file formats that come with the package."""

from __future__ import annotations

from ase_mlham.hooks import FormatSpec, hookimpl

__all__ = ["mlham_formats"]

_ALL_SPIN = frozenset({"none", "collinear", "spinor"})


@hookimpl
def mlham_formats() -> list[FormatSpec]:
    """The native file and the outputs of DFT codes."""
    return [
        FormatSpec(
            name="mlham",
            description="the package's own file: everything a system holds, HDF5",
            patterns=("*.h5", "*.hdf5"),
            sniff="ase_mlham.formats.native:sniff",
            read="ase_mlham.formats.native:read",
            write="ase_mlham.formats.native:write",
            holds=_ALL_SPIN | {"overlap", "position", "radial", "fermi_level", "kpts"},
        ),
    ]
