"""Physical constants, the only place that knows them.

The package works in electronvolts and angstroms. A file is read with the constants of the code
that wrote it, because codes disagree in the eighth digit and a comparison with printed eigenvalues
sees it.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ASE", "BOLTZMANN", "CODATA_2018", "OPENMX", "PYSCF", "CodeUnits"]


@dataclass(frozen=True)
class CodeUnits:
    """Hartree and bohr as one code defines them.

    Attributes
    ----------
    name : str
        Who uses these values.
    hartree : float
        One hartree in eV.
    bohr : float
        One bohr in Å.
    """

    name: str
    hartree: float
    bohr: float

    @property
    def rydberg(self) -> float:
        """One rydberg in eV."""
        return self.hartree / 2

    @property
    def hbar2_over_2m(self) -> float:
        """The kinetic prefactor hbar^2 / 2 m_e in eV Å^2."""
        return self.hartree * self.bohr**2 / 2


CODATA_2018 = CodeUnits("CODATA 2018", 27.211386245988, 0.529177210903)
"""P. J. Mohr et al., NIST recommended values (2018): for everything that no code has written."""

PYSCF = CodeUnits("PySCF", 27.21138602, 0.52917721092)
"""`pyscf.data.nist` of PySCF 2: hartree of CODATA 2014, bohr of CODATA 2010."""

OPENMX = CodeUnits("OpenMX", 27.2113845, 0.529177249)
"""Hard-wired in OpenMX 3.8 and 3.9."""

ASE = CodeUnits("ASE (CODATA 2014)", 27.211386024367243, 0.5291772105638411)
"""`ase.units` of ASE 3.29, for structures that ASE converted from bohr."""

BOLTZMANN = 8.617333262e-5
"""eV per kelvin (CODATA 2018): the width of occupations at a temperature."""
