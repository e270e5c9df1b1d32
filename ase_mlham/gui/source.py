"""What the window shows, as a structure, and which Hamiltonian belongs to it.

The window repeats cells without changing the cell, forgets calculators and lets users move atoms.
So nothing is asked of what ASE keeps: the first atoms of a repeated view are copied, and a key of
exact bytes tells whether a result is still about what is shown.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ase_mlham.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

    from ase_mlham.calculator import MLHamiltonian, PredictsHamiltonian
    from ase_mlham.core import Structure

__all__ = ["Hamiltonians", "Shown", "shown", "structure_key"]

KEPT = 3
"""Sources whose matrices are kept."""


def structure_key(atoms: Atoms) -> str:
    """Text that is equal for equal numbers, positions, cell, periodic directions and moments."""
    moments = atoms.get_initial_magnetic_moments() if atoms.has("initial_magmoms") else np.zeros(0)
    digest = hashlib.blake2b(digest_size=16)
    for array in (atoms.numbers, atoms.positions, np.asarray(atoms.cell), atoms.pbc, moments):
        digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(b"|")
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Shown:
    """The structure behind what is drawn.

    Attributes
    ----------
    atoms : ase.Atoms
        Of one cell, a copy.
    key : str
        See `structure_key`.
    repeat : (3,) tuple of int
        How often the cell is drawn.
    file : str or None
        Where it was read from.
    frame : int
        Which image.
    """

    atoms: Atoms
    key: str
    repeat: tuple[int, int, int]
    file: str | None
    frame: int

    @property
    def copies(self) -> int:
        """Cells that are drawn."""
        return int(np.prod(self.repeat))


def shown(images: Any, frame: int) -> Shown:
    """The structure of one image of a window.

    Parameters
    ----------
    images : ase.gui.images.Images
        With the number of repetitions of the view.
    frame : int
        Which.

    Raises
    ------
    InputError
        There are no atoms, or atoms of a repeated view were changed one by one.
    """
    from ase import Atoms

    drawn = images[frame]
    a, b, c = (int(n) for n in images.repeat)
    repeat = (a, b, c)
    copies = int(np.prod(repeat))
    n = len(drawn) // copies
    if n == 0:
        raise InputError("there are no atoms: open a structure first (File > Open)")
    if copies > 1 and not _is_repeated(drawn, repeat, n):
        raise InputError(
            "atoms of the repeated view were edited one by one, so that it is no crystal any more; "
            "make it the cell (View > Repeat, Set unit cell), or undo"
        )
    atoms = Atoms(drawn.numbers[:n], drawn.positions[:n], cell=drawn.cell, pbc=drawn.pbc)
    if drawn.has("initial_magmoms"):
        atoms.set_initial_magnetic_moments(drawn.get_initial_magnetic_moments()[:n])
    name = images.filenames[frame]
    file = None if name is None else str(name).rpartition("@")[0] or str(name)
    return Shown(atoms, structure_key(atoms), repeat, file, frame)


def _is_repeated(drawn: Atoms, repeat: tuple[int, ...], n: int) -> bool:
    """Whether all cells of a repeated view hold what the first one holds."""
    copies = int(np.prod(repeat))
    if len(drawn) != n * copies:
        return False
    index = np.stack(np.meshgrid(*(np.arange(m) for m in repeat), indexing="ij"), axis=-1)
    shifts = index.reshape(-1, 3) @ np.asarray(drawn.cell)
    positions = drawn.positions[:n] + shifts[:, None]
    return np.array_equal(drawn.numbers, np.tile(drawn.numbers[:n], copies)) and np.allclose(
        drawn.positions, positions.reshape(-1, 3), rtol=0, atol=1e-6
    )


class Hamiltonians:
    """Which Hamiltonian belongs to what is shown: the file's own, or a model's.

    Parameters
    ----------
    model : str or model object, optional
        Installed model or `.mlham` file for everything. If None, a file with its own Hamiltonian is
        taken at its word, and the default model predicts for all others.
    device : str
        Where a model runs.
    on_unknown : {"error", "warn"}
        What to do about distances that the model was not trained on.
    """

    def __init__(
        self,
        model: str | PredictsHamiltonian | None = None,
        *,
        device: str = "auto",
        on_unknown: Literal["error", "warn"] = "error",
    ) -> None:
        self.model = model
        self.device = device
        self.on_unknown = on_unknown
        self._calculators: OrderedDict[Any, MLHamiltonian] = OrderedDict()
        self._structures: dict[tuple[str, int], Structure] = {}
        self._has_own: dict[tuple[str, int], bool] = {}

    @property
    def settings(self) -> tuple[Any, str, str]:
        """What a result depends on besides the structure."""
        return self.model, self.device, self.on_unknown

    def has_own(self, file: str | None) -> bool:
        """Whether a file holds a Hamiltonian; looks at a few bytes, once for each version of it."""
        if file is None:
            return False
        path = Path(file)
        if not path.exists():
            return False
        key = (file, path.stat().st_mtime_ns)
        if key not in self._has_own:
            from ase_mlham.formats.registry import sniff_formats

            self._has_own[key] = bool(sniff_formats(path))
        return self._has_own[key]

    def name(self, what: Shown) -> str:
        """Where H of a structure comes from, in a few words."""
        if self.model is None and self.has_own(what.file):
            return Path(str(what.file)).name
        return f"model {self.model_name}"

    @property
    def model_name(self) -> str:
        """Name of the model that is used where there is no other Hamiltonian."""
        if self.model is None or isinstance(self.model, str):
            from ase_mlham.calculator.parameters import DEFAULTS

            return Path(self.model or DEFAULTS["model"]).name
        return str(getattr(self.model, "name", self.model.identity))

    def calculator(self, what: Shown) -> MLHamiltonian:
        """The calculator for a structure; called in the worker thread, models load when asked."""
        if self.model is None and self.has_own(what.file):
            file = str(what.file)
            key = (file, Path(file).stat().st_mtime_ns)
            self._check(key, what.atoms)
            return self._kept(key, file)
        return self.model_calculator()

    def _check(self, key: tuple[str, int], atoms: Atoms) -> None:
        """Refuse atoms that are not those of the file, before its matrices are read."""
        from ase_mlham.calculator.sources import check_same_structure

        if key not in self._structures:
            from ase_mlham.formats import read_outline

            self._structures[key] = read_outline(key[0]).structure
        try:
            check_same_structure(
                self._structures[key], atoms, Path(key[0]).name, "open the file again"
            )
        except InputError as error:
            raise InputError(f"{error}: Electronic structure > Source") from None

    def model_calculator(self) -> MLHamiltonian:
        """The calculator for all that has no Hamiltonian of its own."""
        from ase_mlham.calculator.parameters import DEFAULTS

        return self._kept(self.settings, self.model or DEFAULTS["model"])

    def _kept(self, key: Any, source: Any) -> MLHamiltonian:
        """The calculator of a source, made if there is none yet; the oldest is dropped."""
        from ase_mlham.calculator import MLHamiltonian

        if key not in self._calculators:
            self._calculators[key] = MLHamiltonian(
                source, device=self.device, on_unknown=self.on_unknown
            )
            while len(self._calculators) > KEPT:
                self._calculators.popitem(last=False)
        self._calculators.move_to_end(key)
        return self._calculators[key]
