"""The built-in solvers keep to what the package relies on, and say what large runs take."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from ase_mlham.core.transform import supercell
from ase_mlham.electronic.solvers import cost as costs
from ase_mlham.electronic.solvers.cost import Cost, dense_cost, tell, threads_that_fit
from ase_mlham.electronic.states import eigenstates, orbital_norm
from ase_mlham.errors import InputError, SolverError
from ase_mlham.hooks import registered
from ase_mlham.testing.solvers import check_solver


def test_dense_solver_conforms() -> None:
    check_solver("dense", max_examples=10)


def test_sparse_solver_conforms() -> None:
    check_solver("sparse", window=True, max_examples=6)


def test_a_wrong_solver_is_found() -> None:
    with pytest.raises(SolverError, match="known: dense, sparse"):
        check_solver("none-such")


def test_threads_change_nothing(honeycomb) -> None:
    system = supercell(honeycomb(mass=0.3), (3, 3, 1))
    kpts = np.random.default_rng(0).random((40, 3)) * system.structure.pbc
    measures = {"norm": orbital_norm}
    one, four = (eigenstates(system, kpts, workers=n, measures=measures) for n in (1, 4))
    assert np.array_equal(one.energies, four.energies)
    assert np.array_equal(one.measured["norm"], four.measured["norm"])


def test_bands_of_a_part_are_the_lowest(honeycomb) -> None:
    system = supercell(honeycomb(mass=0.3), (2, 2, 1))
    every = eigenstates(system, (2, 2, 1))
    some = eigenstates(system, (2, 2, 1), n_bands=3)
    assert np.allclose(some.energies, every.energies[..., :3])
    with pytest.raises(InputError, match="9 bands asked of a basis that gives 8"):
        eigenstates(system, (2, 2, 1), n_bands=9)


def test_what_does_not_fit_is_refused_with_its_size(monkeypatch) -> None:
    monkeypatch.setattr(costs, "total_memory", lambda: 2**30)
    assert threads_that_fit(dense_cost(1000, 1, vectors=True)) >= 1
    with pytest.raises(SolverError, match=r"22464 orbitals need 45 GiB.*machine has 1 GiB"):
        threads_that_fit(dense_cost(22464, 1, vectors=True))


def test_long_runs_are_announced(caplog) -> None:
    caplog.set_level(logging.INFO)
    tell(dense_cost(10, 1, vectors=False), 1)
    assert not caplog.records
    tell(dense_cost(3000, 20, vectors=True), 2)
    assert "20 k-points of 3000 orbitals: about 20 min" in caplog.text
    assert "1 k-point of" in str(Cost(10, 1, 1.0, 1.0))


def test_every_solver_says_what_it_guarantees() -> None:
    for spec in registered("solver").values():
        assert spec.guarantees
        assert spec.description
