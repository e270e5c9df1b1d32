"""OpenMX input: keywords, species, atoms. A copy of it is inside every `.scfout` file.

Keywords are case-insensitive, `#` starts a comment, tables stand between `<name` and `name>`. Where
a keyword occurs twice, OpenMX takes the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ase_mlham.errors import FormatError
from ase_mlham.formats.openmx.orbitals import BasisString

__all__ = ["OpenMXInput", "Species"]


@dataclass(frozen=True)
class Species:
    """A line of `Definition.of.Atomic.Species`.

    Attributes
    ----------
    label : str
        By which the table of atoms refers to it.
    basis : BasisString
        The orbitals.
    pseudopotential : str
        File name without ".vps"; "E" for an atom without a nucleus.
    """

    label: str
    basis: BasisString
    pseudopotential: str

    @property
    def is_empty(self) -> bool:
        """Whether these are orbitals without a nucleus."""
        return self.pseudopotential == "E"


@dataclass(frozen=True)
class OpenMXInput:
    """The text of an input, with what it says.

    Parameters
    ----------
    text : str
        The whole input.
    """

    text: str

    @cached_property
    def _lines(self) -> list[list[str]]:
        return [words for line in self.text.splitlines() if (words := line.split("#")[0].split())]

    def words(self, keyword: str) -> list[str]:
        """What follows a keyword; empty if it does not occur."""
        for words in self._lines:
            if words[0].lower() == keyword.lower():
                return words[1:]
        return []

    def word(self, keyword: str, default: str = "") -> str:
        """First word after a keyword."""
        return next(iter(self.words(keyword)), default)

    def number(self, keyword: str, default: float) -> float:
        """Number after a keyword.

        Raises
        ------
        FormatError
            What stands there is not a number.
        """
        word = self.word(keyword)
        try:
            return float(word) if word else default
        except ValueError:
            raise FormatError(f"{keyword} is {word!r} in the input; expected a number") from None

    def table(self, name: str) -> list[list[str]]:
        """Lines of the table of a name.

        Raises
        ------
        FormatError
            There is no such table, or it has no end.
        """
        start, end = f"<{name}".lower(), f"{name}>".lower()
        heads = [words[0].lower() for words in self._lines]
        if start not in heads:
            raise FormatError(f"the input has no table <{name}")
        first = heads.index(start) + 1
        if end not in heads[first:]:
            raise FormatError(f"the table <{name} of the input has no end")
        return self._lines[first : heads.index(end, first)]

    @cached_property
    def species(self) -> dict[str, Species]:
        """The species, by label."""
        out = {}
        for words in self.table("Definition.of.Atomic.Species"):
            if len(words) < 3:
                raise FormatError(
                    f"species {' '.join(words)!r} of the input: expected label, basis, "
                    "pseudopotential"
                )
            out[words[0]] = Species(words[0], BasisString.parse(words[1]), words[2])
        return out

    @cached_property
    def atoms(self) -> list[tuple[Species, float | None]]:
        """Of each atom its species, and the electrons that the input lets it start with."""
        out = []
        for words in self.table("Atoms.SpeciesAndCoordinates"):
            species = self.species.get(words[1]) if len(words) > 1 else None
            if species is None:
                raise FormatError(
                    f"atom {' '.join(words)!r} of the input: its label is none of "
                    f"{', '.join(self.species)}"
                )
            try:
                electrons = float(words[5]) + float(words[6])
            except (ValueError, IndexError):
                electrons = None
            out.append((species, electrons))
        return out

    @property
    def k_mesh(self) -> tuple[int, int, int] | None:
        """The mesh of k-points; 1 1 1 for the cluster solver, None if it is not given.

        Raises
        ------
        FormatError
            The mesh is not three positive integers.
        """
        if self.word("scf.EigenvalueSolver").lower().startswith("cluster"):
            return (1, 1, 1)
        words = self.words("scf.Kgrid")
        if not words:
            return None
        if len(words) < 3 or not all(word.isdecimal() and int(word) > 0 for word in words[:3]):
            raise FormatError(f"scf.Kgrid is {' '.join(words)!r}; expected three positive integers")
        a, b, c = (int(word) for word in words[:3])
        return a, b, c
