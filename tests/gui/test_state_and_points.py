"""What is computed for the windows: points of bands, densities on atoms, cuts, colours, arrows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ase_mlham.calculator import MLHamiltonian
from ase_mlham.core import Structure
from ase_mlham.errors import DomainError, InputError
from ase_mlham.gui.along_frames import gaps_along
from ase_mlham.gui.band_points import StateAt, band_points
from ase_mlham.gui.local_density import local_density
from ase_mlham.gui.overlay import Arrows, Colouring
from ase_mlham.gui.slices import cut, density
from ase_mlham.gui.source import Hamiltonians, Shown, structure_key
from ase_mlham.gui.state_on_atoms import spacing_of, state_on_atoms, state_wave_functions
from ase_mlham.plots.style import DOWN, UP
from ase_mlham.real_space import Field, Grid


@pytest.fixture(scope="module")
def calculator(toys):
    return MLHamiltonian(toys())


@pytest.fixture(scope="module")
def crystal():
    return bulk("Si", "diamond", a=5.43)


@pytest.fixture(scope="module")
def points(calculator, crystal):
    return band_points(calculator, crystal, "GXL")


def to_pixels(data):
    """A picture of 100 pixels for a unit of x and 20 for one eV."""
    return np.asarray(data) * [100.0, 20.0]


def test_the_point_under_the_mouse(points):
    x, energies = points.x, points.states.energies - points.level
    for index in ((0, 3, 2), (0, 17, 4)):
        place = to_pixels([[x[index[1]], energies[index]]])[0]
        s, k, band = points.nearest(to_pixels, (place[0] + 1.0, place[1] - 1.0))
        assert (s, k) == (index[0], index[1])
        assert energies[s, k, band] == pytest.approx(energies[index], abs=1e-9)
    assert points.nearest(to_pixels, (100.0 * x[3], 20.0 * 500.0)) is None


def test_what_a_point_is(points):
    gamma = points.state((0, 0, 2))
    assert gamma.place == "Γ"
    assert gamma.degeneracy == 3  # the valence band maximum of silicon without spin-orbit coupling
    assert gamma.first == 1
    assert "one of 3 of this energy" in str(gamma)
    between = points.state((0, 4, 0))
    assert between.place == "Γ–X"
    assert between.degeneracy == 1
    assert between.relative == pytest.approx(between.energy - points.level)
    assert "gap" in points.gap


def test_bands_that_the_window_shows_are_those_of_the_package(points, calculator, crystal):
    from ase_mlham.electronic.bands import bands

    system = calculator.system(crystal)
    theirs = bands(system, points.bands.path)
    np.testing.assert_allclose(points.bands.energies, theirs.energies, atol=1e-9)
    assert points.level == pytest.approx(theirs.reference, abs=1e-9)


def test_levels_of_a_molecule_are_near_anywhere(toys):
    molecule = Atoms("Si2", positions=[[0, 0, 0], [0, 0, 2.3]])
    calculator = MLHamiltonian(toys())
    one = band_points(calculator, molecule)
    energy = one.states.energies[0, 0, 0] - one.level
    assert one.nearest(to_pixels, (33.0, 20.0 * energy)) == (0, 0, 0)
    assert one.state((0, 0, 0)).place == "Γ"


def test_all_energies_together_hold_all_electrons(calculator, crystal):
    found = local_density(calculator, crystal)
    everything = found.on_atoms(-1000.0, 1000.0)
    # two electrons in each of eight states
    np.testing.assert_allclose(everything, [8.0, 8.0], atol=1e-9)
    np.testing.assert_allclose(found.on_atoms(-1000.0, 0.0), [4.0, 4.0], atol=1e-6)
    low, high = found.around_fermi_level()
    assert low < 0 < high
    with pytest.raises(InputError, match="must have a width"):
        found.on_atoms(1.0, 1.0)


def test_a_state_on_its_atoms_and_in_space(calculator, crystal, points):
    state = points.state((0, 0, 2))
    found = state_on_atoms(calculator, crystal, state)
    assert found.weights.sum() == pytest.approx(1.0)
    assert found.spins is None
    assert "mean over 3 states" in str(found)
    fields = state_wave_functions(calculator, crystal, state)
    assert len(fields) == 3
    # the mean density of the whole level has the symmetry of the crystal: inversion between atoms
    together = density(fields)
    n = np.array(together.shape)
    index = np.stack(np.meshgrid(*(np.arange(m) for m in n), indexing="ij"))
    mirrored = [(m // 4 - i) % m for m, i in zip(n, index, strict=True)]
    assert not any(n % 4)
    np.testing.assert_allclose(together[tuple(mirrored)], together, atol=1e-6)


def test_grids_of_large_cells_are_coarser():
    assert spacing_of(40.0) == pytest.approx(0.2)
    assert spacing_of(40.0 * 8 * 1000) > 0.2
    # never more points than this, which take 6 MB
    assert 320000.0 / spacing_of(320000.0) ** 3 <= 4.0e5 * 1.001


@pytest.fixture
def wave():
    """exp(2 pi i k.r) over an oblique cell, with one atom outside of it."""
    cell = np.array([[3.0, 0.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.5, 4.0]])
    structure = Structure([14], [[3.5, 0.5, 0.1]], cell, [True, True, False])
    grid = Grid(np.zeros(3), cell, (6, 5, 8), [True, True, False])
    k = (0.25, 0.5, 0.0)
    scaled = grid.points() @ np.linalg.inv(cell)
    values = np.exp(2j * np.pi * scaled @ np.array(k))
    return Field(grid, values, "wave", "Å^-3/2", structure), k


def test_a_cut_goes_on_in_the_next_cell_with_the_phase(wave):
    field, k = wave
    drawn = cut([field], index=2, quantity="real part", repeat=(2, 3, 5), k=k)
    # and ends with the first point of the cell after
    assert drawn.values.shape == (13, 16)
    assert drawn.signed
    # the function itself at the places that are drawn
    first = np.arange(13)[:, None] / 6
    second = np.arange(16)[None, :] / 5
    np.testing.assert_allclose(
        drawn.values, np.cos(2 * np.pi * (0.25 * first + 0.5 * second)), atol=1e-12
    )
    np.testing.assert_allclose(cut([field], index=2, repeat=(2, 3, 5), k=k).values, 1.0)


def test_a_cut_is_not_distorted_and_atoms_are_where_they_are(wave):
    field, _ = wave
    drawn = cut([field], axis=2, index=0)
    corners = np.array([[drawn.x[0, 0], drawn.y[0, 0]], [drawn.x[-1, 0], drawn.y[-1, 0]]])
    assert np.linalg.norm(corners[1] - corners[0]) == pytest.approx(3.0)
    # the atom lies in the next cell along a: drawn in this one
    np.testing.assert_allclose(drawn.atoms, [[0.5, 0.5]], atol=1e-9)
    assert list(drawn.numbers) == [14]
    assert "a, b plane at 0.000 c" in drawn.title
    assert len(cut([field], axis=2, index=4).atoms) == 0
    # a direction that is not periodic is never repeated
    assert cut([field], axis=0, repeat=(1, 2, 3)).values.shape == (11, 8)


def test_what_cannot_be_cut(wave):
    field, _ = wave
    with pytest.raises(InputError, match="plane 8 of a grid that has planes 0 to 7"):
        cut([field], index=8)
    with pytest.raises(InputError, match="density, real part"):
        cut([field], quantity="phase")


def test_of_a_spinor_the_larger_component_is_drawn(wave):
    field, _ = wave
    spinor = replace(
        field, values=np.stack([0.1 * field.values, 2j * field.values]), components=("up", "down")
    )
    np.testing.assert_allclose(cut([spinor]).values, 4.01)
    drawn = cut([spinor], quantity="imaginary part")
    assert drawn.values[0, 0] == pytest.approx(2.0)


def frames(n: int, wrong: int | None = None) -> list[Shown]:
    out = []
    for frame in range(n):
        atoms = bulk("Ge" if frame == wrong else "Si", "diamond", a=5.3 + 0.05 * frame)
        out.append(Shown(atoms, structure_key(atoms), (1, 1, 1), None, frame))
    return out


def test_gaps_of_all_frames(toys):
    told = []
    found = gaps_along(frames(3), Hamiltonians(toys()), told.append)
    assert told == found
    assert [one.frame for one in found] == [0, 1, 2]
    # the hoppings of this model do not know distances
    assert found[0].gap == pytest.approx(found[2].gap)


def test_a_frame_that_cannot_be_computed(toys):
    found = gaps_along(frames(3, wrong=1), Hamiltonians(toys()), lambda one: None)
    assert np.isnan(found[1].gap)
    assert "covers Si" in found[1].problem
    assert not found[2].problem
    with pytest.raises(DomainError):
        gaps_along(frames(2, wrong=0), Hamiltonians(toys()), lambda one: None)


def test_colours_and_sizes():
    weights = Colouring("key", "weight", np.array([0.0, 0.25, 1.0]), sized=True)
    assert weights.limits == (0.0, 1.0)
    assert len(set(weights.colours)) == 3
    areas = (weights.factors - weights.factors[0]) ** 2
    assert areas[1] / areas[2] == pytest.approx(0.25)
    charges = Colouring("key", "charge", np.array([-0.5, 0.2]), signed=True)
    assert charges.limits == (-0.5, 0.5)
    assert (charges.factors == 1).all()
    red, blue = (int(charges.ramp(np.array([x]))[0][1:], 16) for x in (1.0, 0.0))
    assert red >> 16 > red & 255
    assert blue >> 16 < blue & 255
    # equal atoms but for rounding
    noise = Colouring("key", "charge", np.array([1e-10, -1e-10]), signed=True)
    rgb = [[int(text[n : n + 2], 16) for n in (1, 3, 5)] for text in noise.colours]
    # neighbours in the middle of a map of 256 colours, which no eye tells apart
    assert abs(np.subtract(*rgb)).max() <= 2


def test_arrows_on_the_screen():
    arrows = Arrows("key", "moment", np.array([[0, 0, 2.0], [1.0, 0, 0], [0, 0, -0.001]]))
    places = np.array([[10.0, 10.0], [50.0, 10.0], [90.0, 10.0]] * 2)
    # 20 pixels an Å, z up on the screen (pixels grow downwards), y towards the viewer
    projection = 20 * np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])
    visible = np.array([True, True, True, True, False, True])
    drawn = arrows.on_screen(places, projection, visible)
    # the third is too short to be seen, the fifth hidden
    assert len(drawn) == 3
    up, right, again = drawn
    assert up == again
    assert up.start[1] > up.end[1]
    assert up.colour == UP
    lengths = [np.hypot(a.end[0] - a.start[0], a.end[1] - a.start[1]) for a in (up, right)]
    assert lengths[0] == pytest.approx(2 * lengths[1])
    assert sum(right.start) / 2 + sum(right.end) / 2 == pytest.approx(60.0)
    (down,) = Arrows("key", "m", np.array([[0, 0, -1.0]])).on_screen(
        places[:1], projection, visible[:1]
    )
    assert down.colour == DOWN
    assert Arrows("key", "m", np.zeros((1, 3))).on_screen(places[:1], projection, visible[:1]) == []


def test_the_words_for_a_state():
    state = StateAt((0.5, 0.0, 0.5), "X", 1, 3, -1.5, -0.25, channels=2)
    assert str(state) == (
        "X, k = (0.5, 0, 0.5): band 3, spin down, E − E_F = -0.250 eV (E = -1.500 eV)"
    )
