"""Real harmonics against closed forms, SciPy and e3nn; how they couple and how they turn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ase_mlham.core.harmonics import (
    clebsch_gordan,
    e3nn_matrix,
    gaunt,
    real_harmonics,
    rotation_matrix,
)
from ase_mlham.errors import InputError
from ase_mlham.testing.strategies import rotations
from ase_mlham.testing.tolerances import tolerance

EXACT = tolerance().algebra
DIRECTIONS = np.random.default_rng(3).standard_normal((40, 3))
UNIT = DIRECTIONS / np.linalg.norm(DIRECTIONS, axis=1)[:, None]


def of_degree(l: int, vectors: np.ndarray) -> np.ndarray:
    return real_harmonics(l, vectors)[:, l * l :]


def test_closed_forms_fix_order_and_signs() -> None:
    """The table of docs/conventions.md."""
    x, y, z = UNIT.T
    s, p, d = np.sqrt(1 / (4 * np.pi)), np.sqrt(3 / (4 * np.pi)), np.sqrt(15 / (4 * np.pi))
    f = np.sqrt(7 / (16 * np.pi))
    expected = np.stack(
        [
            s * np.ones_like(x),
            p * y,
            p * z,
            p * x,
            d * x * y,
            d * y * z,
            d * (3 * z * z - 1) / np.sqrt(12),
            d * x * z,
            d * (x * x - y * y) / 2,
            f * np.sqrt(5 / 2) * y * (3 * x * x - y * y),
            f * np.sqrt(60) * x * y * z,
            f * np.sqrt(3 / 2) * y * (5 * z * z - 1),
            f * z * (5 * z * z - 3),
            f * np.sqrt(3 / 2) * x * (5 * z * z - 1),
            f * np.sqrt(15) * z * (x * x - y * y),
            f * np.sqrt(5 / 2) * x * (x * x - 3 * y * y),
        ],
        axis=1,
    )
    assert abs(real_harmonics(3, DIRECTIONS) - expected).max() < EXACT


@pytest.mark.parametrize("l", range(7))
def test_scipy_complex_harmonics_without_their_condon_shortley_sign(l: int) -> None:
    special = pytest.importorskip("scipy.special")
    theta, phi = np.arccos(UNIT[:, 2]), np.arctan2(UNIT[:, 1], UNIT[:, 0])
    ours = of_degree(l, UNIT)
    for m in range(l + 1):
        theirs = (-1) ** m * special.sph_harm_y(l, m, theta, phi)
        factor = np.sqrt(2) if m else 1.0
        assert abs(ours[:, l + m] - factor * theirs.real).max() < EXACT
        if m:
            assert abs(ours[:, l - m] - factor * theirs.imag).max() < EXACT


def test_length_does_not_matter_and_the_zero_vector_points_along_z() -> None:
    vectors = np.array([[0.3, -0.2, 0.9], [3.0, -2.0, 9.0], [0.0, 0.0, 0.0], [0.0, 0.0, 2.0]])
    values = real_harmonics(4, vectors)
    assert abs(values[0] - values[1]).max() < EXACT
    assert np.array_equal(values[2], values[3])


def test_orthonormal_on_the_sphere() -> None:
    for l in range(6):
        overlap = gaunt(l, l, 0) * np.sqrt(4 * np.pi)
        assert abs(overlap[:, :, 0] - np.eye(2 * l + 1)).max() < EXACT
    assert abs(gaunt(1, 2, 0)).max() < EXACT


@pytest.mark.parametrize(("l_a", "l_b"), [(0, 2), (1, 1), (1, 2), (2, 2), (2, 3)])
def test_gaunt_expands_products(l_a: int, l_b: int) -> None:
    """Y_a Y_b = sum_c G_abc Y_c, with nothing left over: the sum over c is complete."""
    product = of_degree(l_a, UNIT)[:, :, None] * of_degree(l_b, UNIT)[:, None, :]
    for l_c in range(l_a + l_b + 1):
        product -= np.einsum("abc,pc->pab", gaunt(l_a, l_b, l_c), of_degree(l_c, UNIT))
    assert abs(product).max() < EXACT


def test_gaunt_vanishes_outside_the_triangle_and_for_odd_sums() -> None:
    assert not gaunt(1, 1, 3).any()
    assert not gaunt(1, 2, 2).any()


@pytest.mark.parametrize("l", range(4))
@given(turn=rotations())
def test_rotation_matrix_turns_harmonics(l: int, turn: np.ndarray) -> None:
    turned = of_degree(l, DIRECTIONS @ turn.T)
    assert abs(turned - of_degree(l, DIRECTIONS) @ rotation_matrix(l, turn).T).max() < EXACT


@given(a=rotations(), b=rotations(), l=st.integers(0, 4))
def test_rotation_matrices_are_a_representation(a: np.ndarray, b: np.ndarray, l: int) -> None:
    product = rotation_matrix(l, a) @ rotation_matrix(l, b)
    assert abs(product - rotation_matrix(l, a @ b)).max() < EXACT
    assert abs(product @ product.T - np.eye(2 * l + 1)).max() < EXACT


def test_inversion_gives_the_parity() -> None:
    for l in range(5):
        expected = (-1) ** l * np.eye(2 * l + 1)
        assert abs(rotation_matrix(l, -np.eye(3)) - expected).max() < EXACT


@pytest.mark.parametrize("matrix", [2 * np.eye(3), np.eye(2), np.ones((3, 3))])
def test_what_is_not_a_rotation_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(InputError, match="orthogonal"):
        rotation_matrix(1, matrix)


TRIANGLES = [(0, 0, 0), (0, 1, 1), (1, 1, 0), (1, 1, 1), (1, 1, 2), (1, 2, 2), (2, 2, 3), (3, 2, 4)]


@pytest.mark.parametrize(("l_a", "l_b", "l_c"), TRIANGLES)
def test_couplings_are_orthonormal_and_equivariant(l_a: int, l_b: int, l_c: int) -> None:
    coupling = clebsch_gordan(l_a, l_b, l_c)
    norm = np.einsum("abc,abd->cd", coupling, coupling)
    assert abs(norm - np.eye(2 * l_c + 1)).max() < EXACT
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    turn *= np.linalg.det(turn)
    a, b, c = (rotation_matrix(l, turn) for l in (l_a, l_b, l_c))
    turned = np.einsum("ax,by,cz,xyz->abc", a, b, c, coupling)
    assert abs(turned - coupling).max() < EXACT


@pytest.mark.parametrize(("l_a", "l_b", "l_c"), [t for t in TRIANGLES if sum(t) % 2 == 0])
def test_even_couplings_are_gaunt_integrals_scaled(l_a: int, l_b: int, l_c: int) -> None:
    """And the scale is the textbook's: <l_a 0 l_b 0 | l_c 0>."""
    coupling, integral = clebsch_gordan(l_a, l_b, l_c), gaunt(l_a, l_b, l_c)
    scale = np.sqrt((2 * l_a + 1) * (2 * l_b + 1) / (4 * np.pi * (2 * l_c + 1)))
    expected = scale * coupling[l_a, l_b, l_c] * coupling
    assert abs(integral - expected).max() < EXACT


def test_p_and_p_couple_to_their_cross_product() -> None:
    """Up to its sign, which the definition leaves to the complex coefficients."""
    coupling = clebsch_gordan(1, 1, 1)
    y, z, x = 0, 1, 2
    assert coupling[x, y, z] == pytest.approx(-coupling[y, x, z])
    assert abs(coupling[x, y, z]) == pytest.approx(1 / np.sqrt(2))
    assert coupling[x, y, z] == pytest.approx(coupling[y, z, x])
    assert coupling[x, y, z] == pytest.approx(coupling[z, x, y])


def test_degrees_outside_the_triangle_do_not_couple() -> None:
    with pytest.raises(InputError, match="couple"):
        clebsch_gordan(1, 1, 3)


@pytest.mark.parametrize("l", range(5))
def test_e3nn_harmonics_and_wigner_matrices(l: int) -> None:
    torch = pytest.importorskip("torch")
    o3 = pytest.importorskip("e3nn.o3")
    vectors = torch.tensor(DIRECTIONS)
    theirs = o3.spherical_harmonics(l, vectors, normalize=True, normalization="integral").numpy()
    ours = of_degree(l, DIRECTIONS)
    # e3nn evaluates polynomials whose coefficients carry about twelve digits
    assert abs(theirs - ours @ e3nn_matrix(l).T).max() < 1e-9
    rolled = o3.spherical_harmonics(l, vectors[:, [1, 2, 0]], True, "integral").numpy()
    assert abs(rolled - ours).max() < 1e-9
    turn = np.linalg.qr(np.random.default_rng(l).standard_normal((3, 3)))[0]
    proper = torch.tensor(turn * np.linalg.det(turn))
    wigner = o3.Irrep(l, 1).D_from_matrix(proper).numpy()
    change = e3nn_matrix(l)
    assert abs(wigner - change @ rotation_matrix(l, proper.numpy()) @ change.T).max() < 1e-6
