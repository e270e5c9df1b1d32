"""Evaluation: every table against a plain computation, structures one at a time."""

from __future__ import annotations

import gc
import json
import weakref
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_mlham.core import (
    BlockMatrix,
    BlockPattern,
    LCAOSystem,
    OrbitalBasis,
    Shell,
    SpeciesBasis,
    SpinKind,
    Structure,
)
from ase_mlham.errors import DomainError, InputError
from ase_mlham.learning.domain import Domain
from ase_mlham.learning.evaluate import evaluate, evaluate_models
from ase_mlham.learning.evaluation import rank_correlation, training_pairs
from ase_mlham.learning.histograms import ElementHistograms, SizeHistogram, SquareHistogram
from ase_mlham.learning.metrics import matrix_errors
from ase_mlham.learning.parts import part_names, parts_of, real_parts
from ase_mlham.testing.strategies import systems as drawn_systems


# ---------------------------------------------------------------------- models that are known
def noisy(system: LCAOSystem, size: float, seed: int = 0) -> LCAOSystem:
    """The system with random errors of H, eV."""
    rng = np.random.default_rng(seed)
    pattern = system.hamiltonian.pattern
    values = []
    for group, array in zip(pattern.groups, system.hamiltonian.values, strict=True):
        noise = size * rng.standard_normal(array.shape)
        here = pattern.onsite[group.slice]
        if here.any():
            noise[:, here] = noise[:, here] + noise[:, here].swapaxes(-1, -2)
        values.append(array + noise)
    return system.replace(hamiltonian=BlockMatrix(pattern, tuple(values)))


@dataclass
class KnownModel:
    """Answers with systems that it was given."""

    answers: list[LCAOSystem]
    domain: Domain = field(default_factory=lambda: Domain((6, 14)))
    name: str = "known"

    @property
    def file(self):
        return SimpleNamespace(name=self.name, version="1", domain=self.domain)

    def predict(self, structure, *, on_unknown):
        for answer in self.answers:
            if answer.structure is structure:
                return answer
        raise DomainError("atom 0 (Si): the model knows only others")


def off_site_blocks(predicted, reference):
    """Pair of elements and error of each off-site block after the best shift, both members."""
    pattern = reference.hamiltonian.pattern
    s = reference.overlap.on_pattern(pattern)
    d = predicted.hamiltonian.on_pattern(pattern) - reference.hamiltonian
    mu = d.inner(s) / s.inner(s)
    numbers = reference.structure.numbers
    for group, e, o in zip(pattern.groups, d.values, s.values, strict=True):
        for n in range(group.n_blocks):
            block = group.start + n
            pair = sorted((numbers[pattern.i[block]], numbers[pattern.j[block]]))
            names = "-".join({6: "C", 14: "Si"}[z] for z in pair)
            yield names, pattern.onsite[block], e[:, n] - mu * o[:, n]


# ---------------------------------------------------------------------- tables
def test_tables_are_those_of_plain_loops(systems):
    chosen = systems[:3]
    answers = [noisy(system, 0.01 * (n + 1), n) for n, system in enumerate(chosen)]
    result = evaluate(KnownModel(answers), chosen, bands=False)
    pairs, onsite = {}, {}
    per_structure = []
    for answer, system in zip(answers, chosen, strict=True):
        everything = []
        for names, here, error in off_site_blocks(answer, system):
            size = abs(error).ravel()
            if here:
                onsite.setdefault(names.partition("-")[0], []).append(size)
            else:
                pairs.setdefault(names, []).append(size)
                everything.append(size)
            everything.append(size)
        per_structure.append(1000 * np.concatenate(everything).mean())
    found = result.pair_errors()
    assert found.keys() == pairs.keys()
    for names, sizes in pairs.items():
        assert found[names].mae == pytest.approx(1000 * np.concatenate(sizes).mean())
    elements = result.element_errors()
    assert list(elements) == ["C", "Si"]
    for name, entry in elements.items():
        # all three structures contain both
        assert entry.mae == pytest.approx(np.mean(per_structure))
        assert entry.structures == 3
        assert entry.onsite.mae == pytest.approx(1000 * np.concatenate(onsite[name]).mean())
    total = result.total
    for name, both in total.by_elements.items():
        a, _, b = name.partition("-")
        n = total.offsite_by_elements[name].n + (total.onsite_by_element[a].n if a == b else 0)
        assert both.n == n


def test_an_element_counts_the_structures_that_contain_it(make_system):
    both = make_system(1)
    silicon = make_system(2)
    only = LCAOSystem(
        structure=Structure(
            np.full(4, 14), silicon.structure.positions, silicon.structure.cell, np.ones(3, bool)
        ),
        basis=both.basis,
        **_made_of(silicon, both.basis),
    )
    answers = [noisy(both, 0.05), noisy(only, 0.001)]
    result = evaluate(KnownModel(answers), [both, only], bands=False)
    first, second = (entry.matrix.overall.mae for entry in result.structures)
    assert [entry.elements for entry in result.structures] == [("C", "Si"), ("Si",)]
    found = result.element_errors()
    assert found["C"].mae == pytest.approx(first)
    assert found["Si"].mae == pytest.approx((first + second) / 2)
    assert (found["C"].structures, found["Si"].structures) == (1, 2)
    assert result.structures[1].formula == "Si4"


def _made_of(system, basis):
    from ase_mlham import integrals
    from ase_mlham.core.system import basis_pattern

    structure = Structure(
        np.full(4, 14), system.structure.positions, system.structure.cell, np.ones(3, bool)
    )
    pattern = basis_pattern(structure, basis)
    overlap = integrals.overlap(structure, basis, pattern)
    return {
        "hamiltonian": overlap * -5.0,
        "overlap": overlap,
        "n_electrons": basis.n_electrons(structure.numbers),
    }


def test_training_pairs_count_each_pair_once():
    # of like atoms, the histogram of a model counts both ends
    domain = Domain((6, 14), histogram={(6, 6): np.array([2, 4]), (6, 14): np.array([0, 5])})
    assert training_pairs(domain) == {"C-C": 3, "C-Si": 5}


def test_training_pairs_of_a_fitted_model(systems):
    from ase_mlham.learning.dataset import ReferenceData
    from ase_mlham.learning.model import fitted_transform
    from ase_mlham.learning.targets import TargetConfig

    data = ReferenceData(systems[:2], message_cutoff=3.0)
    transform = fitted_transform(data, TargetConfig(n_splines=4, n_onsite_splines=3))
    counts = transform.histogram.numpy()
    numbers = [int(z) for z in data.basis.numbers]
    histogram = {
        (a, b): counts[m, n] for m, a in enumerate(numbers) for n, b in enumerate(numbers) if a <= b
    }
    found = training_pairs(Domain(tuple(numbers), histogram=histogram))
    off = sum(int((~data.pattern(system).onsite).sum()) for system in systems[:2])
    assert sum(found.values()) == off


def test_rank_correlation_by_hand():
    # differences of ranks -3, -1, 2, 2: 1 - 6 * 18 / (4 * 15)
    found = rank_correlation([10, 200, 3000, 40000], [9.0, 7.0, 1.0, 2.0])
    assert found.coefficient == pytest.approx(-0.8)
    assert found.n == 4
    # of 24 orders four have 0.8 or more: the same, and one exchange of neighbours; four have -0.8
    assert found.p_value == pytest.approx(8 / 24)
    perfect = rank_correlation([1, 2, 3], [5, 6, 7])
    assert (perfect.coefficient, perfect.p_value) == (1.0, pytest.approx(2 / 6))
    # more numbers: Student's t with 8 degrees of freedom, 2.896 for 2 % and 3.355 for 1 %
    many = rank_correlation(range(10), [0, 1, 2, 3, 4, 9, 8, 7, 6, 5])
    r = 1 - 6 * 40 / 990
    assert many.coefficient == pytest.approx(r)
    assert 2.896 < r * np.sqrt(8 / (1 - r * r)) < 3.355
    assert 0.01 < many.p_value < 0.02
    assert rank_correlation([1, 2], [1, 2]) is None
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None


def test_correlation_takes_pairs_that_occur(make_system):
    system = make_system(3)
    counts = {(6, 6): np.array([2]), (6, 14): np.array([50]), (14, 14): np.array([2000])}
    model = KnownModel([noisy(system, 0.01)], Domain((6, 14), histogram=counts))
    result = evaluate(model, [system], bands=False)
    maes = [result.pair_errors()[name].mae for name in ("C-C", "C-Si", "Si-Si")]
    expected = rank_correlation([1, 50, 1000], maes)
    assert result.pair_correlation() == expected
    few = KnownModel([noisy(system, 0.01)], Domain((6, 14), histogram={(6, 6): np.array([2])}))
    assert evaluate(few, [system], bands=False).pair_correlation() is None


# ---------------------------------------------------------------------- histograms
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), scale=st.sampled_from([0.01, 0.9, 7.0, 300.0]))
def test_square_grows_and_loses_nothing(seed, scale):
    rng = np.random.default_rng(seed)
    found = SquareHistogram()
    first = scale * rng.standard_normal((2, 50))
    second = scale * rng.standard_normal((2, 50))
    for a, b in zip(first, second, strict=True):
        found.add(a, b, times=2)
    assert found.half_width > max(abs(first).max(), abs(second).max())
    # in one go, with the final edges: a number on an edge is the only one that may differ
    whole, _, _ = np.histogram2d(first.ravel(), second.ravel(), bins=found.edges)
    assert np.array_equal(found.counts, 2 * whole)
    stored = found.to_dict()["counts"]
    assert sum(count for _, _, count in stored) == 200


def test_square_refuses_what_is_no_number():
    with pytest.raises(InputError, match="finite"):
        SquareHistogram().add(np.array([np.nan]), np.array([1.0]))


def test_quantiles_are_right_to_a_bin():
    rng = np.random.default_rng(0)
    error = 1e-3 * rng.standard_normal(20000)
    found = SizeHistogram()
    found.add(np.ones(20000), error)
    exact = np.quantile(abs(error), [0.1, 0.5, 0.95])
    # ten bins a decade: 26 %, of which interpolation leaves a small part
    assert np.allclose(found.quantiles([0.1, 0.5, 0.95]), exact, rtol=0.05)
    assert np.isnan(SizeHistogram().quantiles([0.5])).all()
    # beyond both ends of the table
    found.add(np.array([0.0, 1e9]), np.array([0.0, 1e9]))
    assert found.counts.sum() == 20002


@settings(max_examples=10, deadline=None)
@given(system=drawn_systems(max_l=1), seed=st.integers(0, 99))
def test_histograms_count_every_real_number(system, seed):
    other = noisy(system, 1e-3, seed)
    counts = ElementHistograms()
    errors = matrix_errors(
        other.hamiltonian,
        system.hamiltonian,
        system.overlap,
        system.structure,
        system.basis,
        histograms=counts,
    )
    # numbers in place of a matrix element: those of the parts that there are, P alone without spin
    there = 0
    for part in parts_of(system.spin, part_names(system.spin)):
        found = [
            abs(real_parts(values, [part])[0]).max(initial=0.0)
            for matrix in (system.hamiltonian, other.hamiltonian - system.hamiltonian)
            for values in matrix.values
        ]
        there += len(part.components) * (max(found) > 1e-6)
    expected = there * errors.overall.n // system.spin.n_components
    assert counts.values.counts.sum() == expected
    assert counts.sizes.counts.sum() == expected
    if system.spin is SpinKind.NONE:
        # the sum lies between those with all errors at the lower and at the upper end of a bin;
        # the first bin reaches down to zero
        edges = counts.sizes.edges[1]
        lowest = (counts.sizes.errors * edges[:-1]).sum() - 1e-8 * errors.overall.n
        highest = (counts.sizes.errors * edges[1:]).sum()
        assert lowest <= errors.overall.total * (1 + 1e-9)
        assert errors.overall.total <= highest * (1 + 1e-9)


# ---------------------------------------------------------------------- energies
def levels(energies: list[float], n_electrons: float) -> LCAOSystem:
    """Atoms with one orbital each, far from one another."""
    n = len(energies)
    basis = OrbitalBasis((SpeciesBasis(1, (Shell(0, 0.75, label="1s"),), 1.0, "H-s1"),))
    places = 9.0 * np.arange(n)[:, None] * [1, 0, 0]
    structure = Structure(np.ones(n, int), places, np.zeros((3, 3)), np.zeros(3, bool))
    pattern = BlockPattern.from_cutoffs(structure, np.zeros(n, int), basis.sizes, [0.75])
    return LCAOSystem(
        structure,
        basis,
        BlockMatrix(pattern, (np.array(energies).reshape(1, n, 1, 1),)),
        BlockMatrix(pattern, (np.ones((1, n, 1, 1)),)),
        n_electrons,
    )


def test_electrons_are_counted_at_the_level_of_the_reference():
    reference = levels([-3.5, -2.5, 2.5, 3.5], 4.0)
    # the third level falls through the gap; the others are off by 0.2 eV, which is gauge
    moved = reference.replace(hamiltonian=levels([-3.3, -2.3, -0.8, 3.7], 4.0).hamiltonian)
    result = evaluate(KnownModel([moved]), [reference])
    energies = result.structures[0].energies
    # a Fermi function of 0.1 eV, 1 eV from the level: 5e-5 electrons short
    assert energies.electrons == pytest.approx(2.0, abs=1e-3)
    good = reference.replace(hamiltonian=levels([-3.3, -2.3, 2.7, 3.7], 4.0).hamiltonian)
    unharmed = evaluate(KnownModel([good]), [reference]).structures[0]
    assert unharmed.energies.electrons == pytest.approx(0.0, abs=1e-9)
    # distances to the level at zero: bins from -4, -3, 2 and 3 eV
    table = result.energy_errors()
    assert list(table) == [-4.0, -3.0, 2.0, 3.0]
    assert table[2.0].mae == pytest.approx(3500.0)
    assert table[-4.0].mae == pytest.approx(0.0, abs=1e-6)


def test_a_band_of_a_crystal_that_falls_below_the_level(systems):
    reference = systems[0]
    result = evaluate(KnownModel([noisy(reference, 0.3)]), [reference], kpts=(2, 1, 1))
    entry = result.structures[0]
    from ase_mlham.electronic.fermi import fermi_level
    from ase_mlham.electronic.kpoints import k_mesh
    from ase_mlham.electronic.states import eigenstates

    mesh = k_mesh(reference.structure, (2, 1, 1))
    right = eigenstates(reference, mesh)
    wrong = eigenstates(noisy(reference, 0.3), mesh)
    level = fermi_level(reference, (2, 1, 1))
    n = sum(tally.n for tally in entry.energies.by_distance.values())
    assert n == int((right.energies <= level + 10).sum())
    difference = wrong.energies - right.energies - entry.bands.shift
    low = (right.energies > level - 1) & (right.energies <= level)
    if low.any():
        expected = 1000 * abs(difference[low]).mean()
        assert entry.energies.by_distance[-1].mae == pytest.approx(expected)


def test_collapsed_structures_are_left_out_of_band_errors(systems):
    from dataclasses import replace

    result = evaluate(KnownModel([noisy(systems[0], 0.01)]), [systems[0]], kpts=(1, 1, 1))
    entry = result.structures[0]
    fallen = replace(entry.collapse, n_filled=2)
    both = replace(result, structures=(entry, replace(entry, collapse=fallen)))
    assert both.summary()["collapsed"] == 1 + entry.collapsed
    assert len(both.with_bands) == 1 - entry.collapsed


def test_a_floor_of_the_overlap_is_one_of_the_predictions(systems):
    from ase_mlham.electronic.comparison import compare_bands
    from ase_mlham.electronic.kpoints import k_mesh
    from ase_mlham.electronic.states import eigenstates

    reference, wrong = systems[0], noisy(systems[0], 0.05)
    mesh = k_mesh(reference.structure, (1, 1, 1))
    smallest = np.linalg.eigvalsh(reference.overlap.at_k([0.0, 0.0, 0.0]).squeeze())
    floor = float(smallest[3])
    options = {"kpts": (1, 1, 1), "overlap_floor": floor}
    entry = evaluate(KnownModel([wrong]), [reference], **options).structures[0]
    reduced = eigenstates(wrong, mesh, overlap_floor=floor)
    assert reduced.n_bands < eigenstates(wrong, mesh).n_bands
    expected = compare_bands(reduced, eigenstates(reference, mesh))
    assert entry.bands.occupied.mean == pytest.approx(expected.occupied.mean, rel=1e-9)


# ---------------------------------------------------------------------- several models, streaming
def test_models_side_by_side_are_those_alone(systems):
    chosen = systems[:2]
    good = KnownModel([noisy(s, 0.001) for s in chosen], name="good")
    bad = KnownModel([noisy(s, 0.01) for s in chosen], name="bad")
    options = {"kpts": (1, 1, 1)}
    both = evaluate_models([good, bad], [("a", chosen[0]), ("b", chosen[1])], **options)
    assert [e.model for e in both] == ["good 1", "bad 1"]
    for together, model in zip(both, (good, bad), strict=True):
        alone = evaluate(model, [("a", chosen[0]), ("b", chosen[1])], **options)
        assert together.summary() == alone.summary()
        assert together.structures[1].bands == alone.structures[1].bands
    assert both[0].summary()["H MAE"] < both[1].summary()["H MAE"]
    with pytest.raises(InputError, match="name of its own"):
        evaluate_models([good, good], chosen)
    named = evaluate_models([good, good], chosen, names=["a", "b"], bands=False)
    assert [e.model for e in named] == ["a", "b"]
    refusing = KnownModel([], name="other")
    with pytest.raises(DomainError, match="structure 0, model other 1: atom 0"):
        evaluate_models([good, refusing], chosen)


def test_one_structure_is_held_at_a_time(make_system):
    made = []

    class Forgetful(KnownModel):
        def predict(self, structure, *, on_unknown):
            return noisy(made[-1](), 0.01)

    def stream():
        for n in range(4):
            system = make_system(n)
            made.append(weakref.ref(system))
            yield f"{n}", system
            del system
            gc.collect()
            # the one just handed out may still be held by the loop
            assert [ref() for ref in made[:-1]] == [None] * n

    result = evaluate(Forgetful([]), stream(), bands=False)
    assert len(result.structures) == 4


def test_nothing_to_evaluate_on(systems):
    with pytest.raises(InputError, match="no structure"):
        evaluate(KnownModel([]), iter([]))


def test_everything_has_plain_values(systems):
    result = evaluate(KnownModel([noisy(systems[0], 0.01)]), [systems[0]], kpts=(1, 1, 1))
    data = json.loads(json.dumps(result.to_dict()))
    assert data["by_element"].keys() == {"C", "Si"}
    assert data["structures"][0]["energies"]["electrons"] == pytest.approx(
        result.structures[0].energies.electrons
    )
    assert data["cost"]["seconds"] >= 0
    assert {"from", "to", "mae", "n"} <= data["energies"][0].keys()
