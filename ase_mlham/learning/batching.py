"""Several structures in one graph, by torch_geometric: for training on a GPU.

Importing torch_geometric takes seconds, so prediction never comes here.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from ase_mlham.learning.family import Coefficients
from ase_mlham.learning.graph import HamiltonianGraph

with warnings.catch_warnings():
    # torch_geometric 2.8 compiles classes in a way that torch 2.13 calls deprecated
    warnings.simplefilter("ignore", DeprecationWarning)
    from torch_geometric.data import Batch, Data

__all__ = ["HamiltonianData", "merge_graphs", "split_output"]

_ATOM_INDEX = ("message_i", "message_j", "pair_i", "pair_j")


class HamiltonianData(Data):
    """A `HamiltonianGraph` as torch_geometric sees it.

    Make one with `from_graph`; after batching, `to_graph` gives the merged graph.
    """

    @classmethod
    def from_graph(cls, graph: HamiltonianGraph) -> HamiltonianData:
        """The same tensors."""
        data = cls(num_nodes=graph.n_atoms)
        for field in fields(graph):
            setattr(data, field.name, getattr(graph, field.name))
        data.n_pairs = graph.n_pairs
        return data

    def to_graph(self) -> HamiltonianGraph:
        """Back to the form that networks take."""
        return HamiltonianGraph(**{f.name: getattr(self, f.name) for f in fields(HamiltonianGraph)})

    def __inc__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        """By how much the numbers in a tensor grow from one structure to the next."""
        if key in _ATOM_INDEX:
            return self.num_nodes
        if key == "structure":
            return int(self.structure.max()) + 1
        return super().__inc__(key, value, *args, **kwargs)

    def __cat_dim__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        """All tensors are put one after another along their first axis."""
        return 0 if isinstance(value, Tensor) else super().__cat_dim__(key, value, *args, **kwargs)


def merge_graphs(graphs: Sequence[HamiltonianGraph]) -> HamiltonianGraph:
    """One graph of several structures, atoms and pairs in the order given."""
    if len(graphs) == 1:
        return graphs[0]
    batch = Batch.from_data_list([HamiltonianData.from_graph(graph) for graph in graphs])
    return HamiltonianGraph(**{f.name: batch[f.name] for f in fields(HamiltonianGraph)})


def split_output(output: Coefficients, graphs: Sequence[HamiltonianGraph]) -> list[Coefficients]:
    """Output for a merged graph, structure by structure."""
    onsite = torch.split(output.onsite, [graph.n_atoms for graph in graphs])
    offsite = torch.split(output.offsite, [graph.n_pairs for graph in graphs])
    return [Coefficients(a, b) for a, b in zip(onsite, offsite, strict=True)]
