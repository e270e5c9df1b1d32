"""Penalised linear fits: the penalty is what carries over to data that were left out."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from ase_mlham.learning.ridge import chosen_penalty, ridge

PENALTIES = tuple(torch.full((12,), 10.0**power, dtype=torch.float64) for power in range(-4, 4))


def groups(n: int, rows: int, noise: float):
    """Data of n groups, 12 features, 2 columns, in three sums; and the data."""
    generator = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    truth, x = draw(12, 2), draw(n, rows, 12)
    y = x @ truth + noise * draw(n, rows, 2)
    sums = x.transpose(1, 2) @ x, x.transpose(1, 2) @ y, y.square().sum(1)
    return sums, x, y


def left_out(x, y, penalty) -> float:
    """Squared error of each group by a fit to the others, solved row by row."""
    total = 0.0
    for n in range(len(x)):
        others = [m for m in range(len(x)) if m != n]
        a = torch.cat([x[others].flatten(0, 1), torch.diag(penalty.sqrt())])
        b = torch.cat([y[others].flatten(0, 1), y.new_zeros(12, 2)])
        w = torch.linalg.lstsq(a, b).solution
        total += float((x[n] @ w - y[n]).square().sum())
    return total


@pytest.mark.parametrize(("rows", "noise"), [(2, 0.0), (2, 3.0), (5, 1.0), (50, 0.1)])
def test_the_choice_is_that_of_fits_to_all_other_groups(rows, noise):
    sums, x, y = groups(4, rows, noise)
    errors = [left_out(x, y, penalty) for penalty in PENALTIES]
    good = [n for n, error in enumerate(errors) if error <= 1.1 * min(errors)]
    assert chosen_penalty(*sums, PENALTIES) == max(good)


def test_few_noisy_data_want_a_larger_penalty_than_many():
    few, many = (groups(4, rows, 3.0)[0] for rows in (2, 200))
    small = PENALTIES[: len(PENALTIES) - 1]
    assert chosen_penalty(*few, small) > chosen_penalty(*groups(4, 200, 1e-3)[0], small)
    weights = [ridge(sums[0].sum(0), sums[1].sum(0), PENALTIES[0]) for sums in (few, many)]
    # with 8 rows for 12 features the fit follows the noise
    assert weights[0].norm() > weights[1].norm()


def test_one_group_alone_says_nothing():
    gram, moment, squares = groups(1, 50, 1.0)[0]
    assert chosen_penalty(gram, moment, squares, PENALTIES) == 0
    empty = torch.zeros_like(gram), torch.zeros_like(moment), torch.zeros_like(squares)
    both = (torch.cat(pair) for pair in zip((gram, moment, squares), empty, strict=True))
    assert chosen_penalty(*both, PENALTIES) == 0
