"""Grids over cells and boxes; fields, their parts, and the files they are written to."""

from __future__ import annotations

import numpy as np
import pytest
from ase.io.cube import read_cube
from ase.io.xsf import read_xsf

from ase_mlham.core import Structure
from ase_mlham.errors import FormatError, InputError
from ase_mlham.real_space import Field, Grid
from ase_mlham.real_space.quantities import DENSITY, ORBITAL
from ase_mlham.units import ASE

SHEARED = np.array([[3.0, 0.2, 0.0], [-1.4, 2.7, 0.1], [0.3, 0.0, 4.1]])


def structure(pbc=(True, True, True), cell=SHEARED):
    return Structure([6, 8], [[0.1, 0.2, 0.3], [1.1, 1.2, 1.9]], cell, pbc)


def field(values, grid, **more):
    options = {"name": "density", "unit": DENSITY, "structure": structure(), **more}
    return Field(grid, values, **options)


@pytest.mark.parametrize("spacing", [0.11, 0.25, 3.0])
def test_points_divide_the_cell(spacing):
    grid = Grid.of(structure(), spacing)
    assert max(grid.spacing) <= spacing + 1e-9
    # one point fewer along any edge would be too few
    assert all(
        n == 1 or length / (n - 1) > spacing
        for n, length in zip(grid.shape, np.linalg.norm(SHEARED, axis=1), strict=True)
    )
    assert grid.element * grid.n_points == pytest.approx(abs(np.linalg.det(SHEARED)))
    last = grid.points()[-1, -1, -1]
    assert np.allclose(last + grid.steps.sum(axis=0), SHEARED.sum(axis=0))


def test_a_block_of_points_is_a_part_of_all():
    grid = Grid.of(structure(), 0.5)
    part = (slice(1, 3), slice(0, 5), slice(2, 6))
    assert np.array_equal(grid.points(part), grid.points()[part])


def test_a_box_holds_the_orbitals_and_the_cell():
    alone = Structure([6, 8], [[0.1, 0.2, 0.3], [1.1, 1.2, 1.9]], np.zeros((3, 3)), [False] * 3)
    grid = Grid.of(alone, 0.3, reach=[2.0, 3.0])
    low, high = grid.origin, grid.origin + grid.cell.sum(axis=0)
    assert np.allclose(low, np.min([[-1.9, -1.8, -1.7], [-1.9, -1.8, -1.1]], axis=0))
    assert np.allclose(high, [4.1, 4.2, 4.9])
    # a cell that holds everything is the box; one that does not grows, along its own direction
    wide = structure((True, True, False), np.diag([3.0, 3.0, 40.0]))
    assert Grid.of(wide, 0.3, reach=2.0).cell[2, 2] == pytest.approx(40.0 + 1.7)
    assert np.allclose(Grid.of(wide, 0.3, reach=0.2).cell, wide.cell)
    assert np.allclose(Grid.of_cell(wide, 0.3).cell, wide.cell)
    sheared = structure((True, True, False))
    grown = Grid.of(sheared, 0.3, reach=2.0)
    assert np.allclose(np.cross(grown.cell[2], SHEARED[2]), 0)


def test_refusals():
    with pytest.raises(InputError, match="spacing of 0 Å"):
        Grid.of(structure(), 0)
    with pytest.raises(InputError, match="complete cell"):
        Grid.of_cell(structure((True, True, False), np.diag([3.0, 3.0, 0.0])))
    with pytest.raises(InputError, match="span no volume"):
        Grid(np.zeros(3), np.zeros((3, 3)), (1, 1, 1), [True] * 3)
    with pytest.raises(InputError, match="1 along"):
        Grid.of(structure((True, True, False))).repeated((1, 1, 2))
    grid = Grid.of(structure(), 1.0)
    with pytest.raises(InputError, match="values of shape"):
        field(np.zeros((2, *grid.shape)), grid)
    with pytest.raises(InputError, match="not a finite number"):
        field(np.full(grid.shape, np.nan), grid)


def test_repeated_grids_continue():
    grid = Grid.of(structure(), 0.8)
    twice = grid.repeated((2, 1, 1))
    n = grid.shape[0]
    assert twice.shape == (2 * n, *grid.shape[1:])
    assert np.allclose(twice.points()[n:], grid.points() + SHEARED[0])


def test_integral_of_a_smooth_function_is_exact():
    """Plane waves integrate to zero, which leaves the mean."""
    grid = Grid.of(structure(), 0.3)
    scaled = (grid.points() - grid.origin) @ np.linalg.inv(SHEARED)
    values = 2.0 + np.cos(2 * np.pi * (scaled @ [1, -2, 3]))
    volume = abs(np.linalg.det(SHEARED))
    found = field(values, grid, exact=2.0 * volume)
    assert found.integral() == pytest.approx(2.0 * volume, rel=1e-13)
    assert found.integral_error == pytest.approx(0, abs=1e-10)


@pytest.fixture
def spinor():
    grid = Grid.of(structure(), 0.7)
    random = np.random.default_rng(2)
    values = random.normal(size=(2, *grid.shape)) + 1j * random.normal(size=(2, *grid.shape))
    return field(values, grid, name="wave function", unit=ORBITAL, components=("up", "down"))


def test_parts_of_a_spinor(spinor):
    density = spinor.part("density")
    assert np.allclose(density.values, (abs(spinor.values) ** 2).sum(axis=0))
    assert density.unit == DENSITY
    assert np.allclose(spinor.part("modulus").values ** 2, density.values)
    down = spinor.component("down")
    assert np.array_equal(down.part("imaginary").values, spinor.values[1].imag)
    assert np.array_equal(down.part("real").values, spinor.values[1].real)
    with pytest.raises(InputError, match="no component 'x'; known: up, down"):
        spinor.component("x")
    with pytest.raises(InputError, match="part 'phase' is unknown"):
        spinor.part("phase")


@pytest.mark.parametrize("pbc", [(True,) * 3, (True, True, False), (False,) * 3])
def test_files_are_read_back(tmp_path, pbc):
    atoms = structure(pbc)
    grid = Grid.of(atoms, 0.6, reach=1.0)
    values = np.random.default_rng(5).normal(size=grid.shape)
    written = field(values, grid, structure=atoms)

    written.write(tmp_path / "a.cube")
    with (tmp_path / "a.cube").open() as stream:
        read = read_cube(stream)
    # six digits of mantissa; positions of the format have six decimals of a bohr
    assert np.allclose(read["data"] / ASE.bohr**3, values, rtol=2e-6)
    assert np.allclose(read["origin"], grid.origin, atol=1e-6)
    assert np.allclose(read["spacing"], grid.steps, atol=1e-6)
    assert np.array_equal(read["atoms"].numbers, atoms.numbers)
    assert np.allclose(read["atoms"].positions, atoms.positions, atol=1e-6)

    written.write(tmp_path / "a.xsf")
    with (tmp_path / "a.xsf").open() as stream:
        data, origin, spans, image = read_xsf(stream, read_data=True)
    a, b, c = grid.shape
    assert np.allclose(data[:a, :b, :c], values, rtol=1e-8)
    assert np.allclose(origin, grid.origin, atol=1e-9)
    # first and last point of a general grid are both given, and lie at both ends of the span
    assert np.allclose(spans / (np.array(data.shape) - 1)[:, None], grid.steps, atol=1e-9)
    assert np.allclose(image.positions, atoms.positions)
    if pbc[0]:
        assert np.array_equal(data[-1], data[0])


def test_files_of_complex_fields_hold_the_density(tmp_path, spinor):
    spinor.write(tmp_path / "psi.cube")
    with (tmp_path / "psi.cube").open() as stream:
        data = read_cube(stream)["data"]
    assert np.allclose(data / ASE.bohr**3, spinor.part("density").values, rtol=2e-6)
    spinor.write(tmp_path / "up.cube", component="up", part="real")
    with (tmp_path / "up.cube").open() as stream:
        data = read_cube(stream)["data"]
    assert np.allclose(data / ASE.bohr**1.5, spinor.values[0].real, rtol=2e-6, atol=1e-7)


def test_a_file_is_complete_or_not_there(tmp_path, spinor, monkeypatch):
    (tmp_path / "psi.cube").write_text("before")

    def fail(*_, **__):
        raise OSError("no space left on device")

    monkeypatch.setattr("ase.io.cube.write_cube", fail)
    with pytest.raises(FormatError, match="no space left"):
        spinor.write(tmp_path / "psi.cube")
    assert (tmp_path / "psi.cube").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["psi.cube"]


def test_refusals_of_files(tmp_path, spinor):
    with pytest.raises(InputError, match=r"must end with one of \.cube"):
        spinor.write(tmp_path / "psi.vtk")
    with pytest.raises(InputError, match="components up, down"):
        spinor.write(tmp_path / "psi.cube", part="real")
    odd = structure((False, True, False))
    grid = Grid.of(odd, 1.0)
    with pytest.raises(InputError, match="XSF files know"):
        field(np.zeros(grid.shape), grid, structure=odd).write(tmp_path / "a.xsf")
