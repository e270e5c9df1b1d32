"""Data sets: lazy, bounded, exact; systems that one model cannot learn from are refused."""

from __future__ import annotations

import logging
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from ase_mlham.core import OrbitalBasis
from ase_mlham.errors import BasisError, FormatError, InputError
from ase_mlham.learning.batching import HamiltonianData, merge_graphs, split_output
from ase_mlham.learning.dataset import (
    PreparedData,
    ReferenceData,
    common_basis,
    onto_basis,
    read_reference,
    subtract_operators,
    tensor_bytes,
)
from ase_mlham.learning.family import Coefficients
from ase_mlham.learning.pairwise import PairwiseConfig, PairwiseNetwork
from ase_mlham.learning.targets import TargetConfig, TargetTransform
from ase_mlham.learning.tensors import to_matrix


def test_target_and_operators_give_back_the_hamiltonian(systems):
    data = ReferenceData(systems, message_cutoff=4.0, operators=("kinetic",))
    example, system = data[3], systems[3]
    pattern = data.pattern(system)
    rebuilt = to_matrix(data.layout, pattern, example.target)
    h = system.hamiltonian.on_pattern(pattern)
    t = system.operators["kinetic"].on_pattern(pattern)
    for a, b, c in zip(rebuilt.values, h.values, t.values, strict=True):
        # exact up to the tables of integrals, which are made twice
        assert np.allclose(a + c, b, atol=1e-9)


def test_files_are_read_when_needed_and_memory_is_bounded(systems, tmp_path, caplog):
    reads = []

    def read(path):
        reads.append(path.name)
        return systems[int(path.stem)]

    paths = [tmp_path / f"{n}.h5" for n in range(6)]
    roomy = ReferenceData(paths, read, message_cutoff=4.0)
    assert reads == [path.name for path in paths]
    for _ in range(3):
        _ = [roomy[n] for n in range(6)]
    assert len(reads) == 12
    size = tensor_bytes(roomy[0])
    assert size > 8 * roomy[0].target.offsite.numel()
    reads.clear()
    with caplog.at_level(logging.WARNING, "ase_mlham"):
        tight = ReferenceData(paths, read, message_cutoff=4.0, memory_limit=2.5 * size)
        for _ in range(2):
            _ = [tight[n] for n in range(6)]
    assert len(reads) == 18
    assert caplog.text.count("exceed the memory limit") == 1
    assert tight._cache._used <= 2.5 * size


def test_selection_and_slices(systems):
    data = ReferenceData(systems, message_cutoff=4.0)
    assert len(data.select([4, 1])) == 2
    assert data.select([4, 1])[1] is data[1]
    assert data[2:5][0] is data[2]
    assert data[-1] is data[len(systems) - 1]
    with pytest.raises(IndexError):
        data[len(systems)]


def test_one_basis_for_all(systems):
    first = systems[0]
    species = first.basis.species[0]
    other = replace(species, shells=species.shells[:2])
    with pytest.raises(BasisError, match="C has another basis in b than in a"):
        common_basis([("a", first.basis), ("b", OrbitalBasis((other,)))])
    with pytest.raises(InputError, match="no reference systems"):
        common_basis([])


def test_system_in_a_wider_basis(systems):
    narrow = systems[0].basis.species[1]
    silicon = [s for s in systems if set(s.structure.numbers) == {14}]
    assert not silicon
    same = onto_basis(systems[0], systems[0].basis)
    assert same.hamiltonian.pattern == systems[0].hamiltonian.pattern
    assert narrow.symbol == "Si"


def test_spin_and_unknown_operators_are_refused(systems):
    with pytest.raises(InputError, match="'superposition' is not stored"):
        subtract_operators(systems[0], ("superposition",))
    h = systems[0].hamiltonian
    double = type(h)(h.pattern, tuple(np.concatenate([v, 0 * v]) for v in h.values))
    collinear = systems[0].replace(hamiltonian=double, spin="collinear")
    with pytest.raises(InputError, match="system 0 is none and system 1 is collinear"):
        ReferenceData([systems[1], collinear], message_cutoff=4.0)


def test_paths_need_a_reader(tmp_path):
    with pytest.raises(InputError, match="read="):
        ReferenceData([tmp_path / "a.h5"], message_cutoff=4.0)
    with pytest.raises(FormatError, match="does not exist"):
        read_reference(tmp_path / "a.h5")
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(FormatError):
        read_reference(tmp_path / "a.txt")


def test_prepared_error_equals_restored_minus_reference(systems):
    data = ReferenceData(systems[:3], message_cutoff=5.0, operators=("kinetic",))
    transform = TargetTransform(data.layout, TargetConfig(n_splines=4, n_onsite_splines=2), 5.2)
    transform.fit(data)
    torch.manual_seed(0)
    network = PairwiseNetwork(PairwiseConfig(hidden=8), data.layout).eval()
    prepared = PreparedData(data, transform, network)
    example, exact = prepared[1], data[1]
    with torch.no_grad():
        output = network(example.graph, example.precomputed)
        restored = transform.restore(exact.graph, Coefficients(*(p.double() for p in output)))
        expected = Coefficients(*(a - b for a, b in zip(restored, exact.target, strict=True)))
        expected = Coefficients(*(part.float() for part in expected))
        found = example.error(output, prepared.elements)
    direct = prepared.elements(example.elements, expected)
    # single precision of numbers up to tens of eV
    assert torch.allclose(found, direct, atol=2e-5)


def test_merging_by_torch_geometric(systems):
    data = ReferenceData(systems[:3], message_cutoff=4.0)
    graphs = [data[n].graph for n in range(3)]
    merged = merge_graphs(graphs)
    assert merged.n_atoms == sum(g.n_atoms for g in graphs)
    assert merged.structure.unique().tolist() == [0, 1, 2]
    first = graphs[0].n_atoms
    start = graphs[0].n_pairs
    assert torch.equal(merged.pair_i[start : start + graphs[1].n_pairs], graphs[1].pair_i + first)
    assert torch.equal(
        merged.species[merged.message_j], torch.cat([g.species[g.message_j] for g in graphs])
    )
    back = HamiltonianData.from_graph(graphs[2]).to_graph()
    for field in fields(back):
        assert torch.equal(getattr(back, field.name), getattr(graphs[2], field.name))
    parts = split_output(Coefficients(merged.species[:, None], merged.pair_i[:, None]), graphs)
    assert [len(p.onsite) for p in parts] == [g.n_atoms for g in graphs]
    assert [len(p.offsite) for p in parts] == [g.n_pairs for g in graphs]
