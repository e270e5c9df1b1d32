"""A writer of small `.scfout` files, so that every field can be made wrong on its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

INPUT = """\
System.Name   made
DATA.PATH   ../nowhere
<Definition.of.Atomic.Species
 C   C2.0-s1p1  C_PBE13
 H1  H1.5-s2   H_PBE13   # a comment
Definition.of.Atomic.Species>
Atoms.Number   3
<Atoms.SpeciesAndCoordinates
 1 C   0.0 0.0 0.0  2.0 2.0
 2 H1  1.0 0.2 0.1  0.5 0.5
 3 H1  0.0 1.0 0.3  0.5 0.5
Atoms.SpeciesAndCoordinates>
SCF.XcType   GGA-PBE
scf.EigenvalueSolver   band
scf.Kgrid   3 2 1
"""

SIZES = np.array([4, 2, 2])
POSITIONS = np.array([[0, 0, 0], [1.9, 0.4, 0.2], [-0.1, 1.8, 0.6]])
CELL = np.diag([2.5, 3.0, 40.0]) + 0.1 * np.eye(3, k=1)


def _padded(rows, dtype, garbage):
    """Rows of three behind a slot of unused memory."""
    rows = np.asarray(rows, dtype)
    slot = np.full((len(rows), 1), garbage, dtype)
    return np.ascontiguousarray(np.concatenate([slot, rows], axis=1))


def make_fields(version: int = 0, spin: int = 0, order_max: int = 1, soc: bool = True) -> dict:
    """Fields of a random but consistent file, in the order in which they are stored."""
    random = np.random.default_rng(8)
    n = len(SIZES)
    grid = [(a, b, c) for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1)]
    cells = np.array([(0, 0, 0)] + [c for c in grid if any(c)])
    pairs = []
    for i in range(n):
        listed = [(i, i, 0)]
        for j in range(n):
            for c, R in enumerate(cells):
                d = POSITIONS[j] - POSITIONS[i] + R @ CELL
                if 0 < np.linalg.norm(d) < 3.5:
                    listed.append((i, j, c))
        pairs.append(listed)
    blocks = [(i, j, tuple(int(x) for x in cells[c])) for row in pairs for i, j, c in row]

    def hermitian(scale, symmetry=1, onsite=0.0):
        """Directed blocks of a random real operator with X_ji(-R) = symmetry X_ij(R)^T."""
        made = {}
        for i, j, R in blocks:
            back = (j, i, tuple(-x for x in R))
            if back in made:
                made[i, j, R] = symmetry * made[back].T
            else:
                made[i, j, R] = scale * random.normal(size=(SIZES[i], SIZES[j]))
            if i == j and not any(R):
                block = made[i, j, R]
                made[i, j, R] = (block + symmetry * block.T) / 2 + onsite * np.eye(SIZES[i])
        return made

    def flat(*operators):
        return np.concatenate([op[key].ravel() for op in operators for key in blocks])

    s = hermitian(0.02, onsite=1.0)
    h = [hermitian(0.3) for _ in range(spin + 1)]
    positions = []
    for axis in range(3):
        x = hermitian(0.1)
        for i, j, R in blocks:
            d = POSITIONS[j] - POSITIONS[i] + np.array(R) @ CELL
            x[i, j, R] = x[i, j, R] + d[axis] / 2 * s[i, j, R]
        positions += [x] + [hermitian(9.0)] * (order_max - 1)
    fields: dict[str, np.ndarray] = {
        "header": np.array([n, spin + 4 * version, 0, 0, 0, len(cells) - 1], "i4"),
    }
    if version:
        fields["order_max"] = np.array([order_max], "i4")
    fields |= {
        "atv": _padded(cells @ CELL, "f8", 4.6e-310),
        "atv_ijk": _padded(cells, "i4", -(2**30)),
        "norb": SIZES.astype("i4"),
        "FNAN": np.array([len(row) - 1 for row in pairs], "i4"),
        "natn": np.array([j + 1 for row in pairs for _, j, _ in row], "i4"),
        "ncn": np.array([c for row in pairs for _, _, c in row], "i4"),
        "tv": _padded(CELL, "f8", np.nan),
        "rtv": _padded(2 * np.pi * np.linalg.inv(CELL).T, "f8", 1e300),
        "Gxyz": _padded(POSITIONS, "f8", np.inf),
        "H": flat(*h),
    }
    if spin == 3:
        # Im uu, Im dd and Im ud of a Hermitian operator: antisymmetric, the last arbitrary
        soc_part = [hermitian(0.1, -1), hermitian(0.1, -1), hermitian(0.1, -1)]
        fields["iHNL"] = flat(*soc_part) * soc
    fields |= {"S": flat(s), "r": flat(*positions)}
    if version:
        fields["p"] = flat(*[hermitian(0.2, -1) for _ in range(3)])
    density = hermitian(0.1)
    electrons = 6.0
    trace = float(np.vdot(flat(density), flat(s)))
    wanted = electrons / 2 if spin in (0, 1, 3) else electrons
    dm = flat(density) * wanted / trace
    fields["DM"] = np.concatenate([dm] * (1 if spin == 0 else 2) + [0 * dm] * (2 * (spin == 3)))
    if version:
        fields["iDM"] = np.zeros(2 * len(dm))
    numbers = np.zeros(10)
    numbers[[0, 1, 8, 9]] = -0.1, 300.0, electrons, 0.5 * (spin > 0)
    fields |= {"solver": np.array([3], "i4"), "numbers": numbers, "input": INPUT}
    return fields


def serialise(fields: dict, order: str = "<") -> bytes:
    """Bytes of the fields, in either byte order."""
    out = []
    for name, values in fields.items():
        if name == "input":
            lines = values.splitlines(keepends=True)
            out.append(np.array([len(lines)], f"{order}i4").tobytes())
            out += [line.encode("latin-1") + b"\0" + b"\xaa" * (255 - len(line)) for line in lines]
        elif isinstance(values, bytes):
            out.append(values)
        else:
            out.append(values.astype(values.dtype.newbyteorder(order)).tobytes())
    return b"".join(out)


@pytest.fixture
def scfout(tmp_path) -> Callable[..., Path]:
    """Write a file: `scfout(change, name=..., order=..., version=..., spin=...)`.

    `change(fields)` may alter any field before it is written.
    """

    def make(change=None, *, name="made.scfout", order="<", compress=None, **kind) -> Path:
        fields = make_fields(**kind)
        if change is not None:
            change(fields)
        data = serialise(fields, order)
        path = tmp_path / name
        path.write_bytes(compress(data) if compress else data)
        return path

    return make


@pytest.fixture(scope="session")
def openmx_samples() -> Path:
    """Folder of small real outputs of OpenMX."""
    return Path(__file__).resolve().parent.parent / "data" / "openmx"
