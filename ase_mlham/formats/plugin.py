"""The file formats that come with the package."""

from __future__ import annotations

from ase_mlham.hooks import FormatSpec, hookimpl

__all__ = ["mlham_formats"]

_EVERYTHING = frozenset(
    {"none", "collinear", "spinor", "overlap", "position", "radial", "fermi_level", "kpts"}
)


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
            outline="ase_mlham.formats.native:outline",
            holds=_EVERYTHING,
        ),
        FormatSpec(
            name="openmx",
            description="OpenMX 3.8, 3.9 and 4.0 (HS.fileout on); .pao files give radial functions",
            patterns=("*.scfout", "*.scfout.gz", "*.scfout.zst"),
            sniff="ase_mlham.formats.openmx.reader:sniff",
            read="ase_mlham.formats.openmx.reader:read",
            outline="ase_mlham.formats.openmx.reader:outline",
            holds=_EVERYTHING,
        ),
    ]
