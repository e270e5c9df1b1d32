"""Penalised linear fits: the penalty is what carries over to data that were left out."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from ase_mlham.learning.ridge import carried_over

PENALTIES = tuple(torch.full((12,), 10.0**power, dtype=torch.float64) for power in range(-4, 4))


def groups(n: int, rows: int, noise: tuple[float, float]):
    """Sums over n groups of data with 12 features, and the data; each column has its noise."""
    generator = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    truth, x = draw(12, 2), draw(n, rows, 12)
    y = x @ truth + torch.tensor(noise).double() * draw(n, rows, 2)
    return (x.transpose(1, 2) @ x, x.transpose(1, 2) @ y, y.square().sum(1)), x, y


def fitted(x, y, penalty):
    """A fit row by row, without sums."""
    a = torch.cat([x.flatten(0, 1), torch.diag(penalty.sqrt())])
    b = torch.cat([y.flatten(0, 1), y.new_zeros(12, 2)])
    return torch.linalg.lstsq(a, b).solution


def left_out(x, y, penalty):
    """Squared error of each group by a fit to the others, for every column."""
    total = torch.zeros(2, dtype=torch.float64)
    for n in range(len(x)):
        others = [m for m in range(len(x)) if m != n]
        total += (x[n] @ fitted(x[others], y[others], penalty) - y[n]).square().sum(0)
    return total


@pytest.mark.parametrize(
    ("rows", "noise"), [(2, (0.0, 0.0)), (2, (3.0, 0.1)), (5, (0.1, 3.0)), (50, (0.1, 1.0))]
)
def test_each_column_has_the_penalty_of_fits_to_all_other_groups(rows, noise):
    sums, x, y = groups(4, rows, noise)
    errors = torch.stack([left_out(x, y, penalty) for penalty in PENALTIES])
    found = carried_over(*sums, PENALTIES)
    for column in range(2):
        own = errors[:, column]
        best = max(n for n, error in enumerate(own) if error <= 1.1 * own.min())
        expected = fitted(x, y, PENALTIES[best])[:, column]
        # the normal equations lose the digits that the squared condition number takes
        torch.testing.assert_close(found[:, column], expected, rtol=1e-7, atol=1e-9)


def test_a_noisy_column_is_smaller_than_its_unpenalised_fit():
    sums, x, y = groups(4, 6, (0.0, 9.0))
    found, free = carried_over(*sums, PENALTIES), fitted(x, y, PENALTIES[0])
    assert found[:, 1].norm() < 0.7 * free[:, 1].norm()
    assert found[:, 0].norm() == pytest.approx(float(free[:, 0].norm()), rel=1e-2)


def test_one_group_alone_says_nothing():
    sums, x, y = groups(1, 50, (1.0, 1.0))
    expected = fitted(x, y, PENALTIES[0])
    torch.testing.assert_close(carried_over(*sums, PENALTIES), expected, rtol=1e-7, atol=1e-9)
    padded = [torch.cat([part, torch.zeros_like(part)]) for part in sums]
    torch.testing.assert_close(carried_over(*padded, PENALTIES), expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_an_exact_fit_is_not_penalised_for_its_rounding(scale):
    """Its squared error is a difference of large sums, as often below zero as above."""
    _, x, _ = groups(5, 40, (0.0, 0.0))
    truth = scale * torch.arange(1.0, 25.0, dtype=torch.float64).view(12, 2)
    y = x @ truth
    sums = x.transpose(1, 2) @ x, x.transpose(1, 2) @ y, y.square().sum(1)
    penalties = tuple(1e-4 * penalty for penalty in PENALTIES)
    found = carried_over(*sums, penalties)
    # relative squares of 1e-12 are relative errors of 1e-6; a factor for the spread of features
    torch.testing.assert_close(found, truth, rtol=1e-5, atol=1e-5 * scale)
