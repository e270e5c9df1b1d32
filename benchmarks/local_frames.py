"""What local coordinates cost: degenerate neighbours, orientation, and jumps (family lcnet).

    python benchmarks/local_frames.py learn graphene.scfout sige_zb.scfout --picture curves.png
    python benchmarks/local_frames.py turn lc-sige.mlham
    python benchmarks/local_frames.py move lc-sige.mlham
    python benchmarks/local_frames.py invert lc-sige.mlham

`learn` trains one network on one perfect crystal, with the plain and with the complete definition
of local coordinates, and draws the training loss (Fig. 4 of the publication). As in files, atoms
are at their sites to six decimals: the network sees copies of the crystal in turn. The others take
a trained model of silicon and germanium and print what happens to H and its bands: `turn` rotates
crystals that are perfect or shaken, `invert` inverts them, `move` moves atoms in small steps and
lists the jumps of H(k).
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core import LCAOSystem, Structure

if TYPE_CHECKING:
    import torch

    from ase_mlham.learning.graph import HamiltonianGraph
    from ase_mlham.learning.model import HamiltonianModel

DECIMALS = 1e-6
"""Å; coordinates of perfect crystals in files are as good as that."""

WINDOW = 3.0
"""Bands within this distance of the middle of the gap count, eV."""

KPTS = np.array([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [0.25, 0.5, 0.0], [0.3, 0.1, 0.4]])
"""In fractions of the reciprocal cell, which turn with the crystal."""


# ---------------------------------------------------------------------- learning curves
def learned(path: Path, definition: str, steps: int, preset: str, copies: int) -> list[float]:
    """Training loss in every step (meV), as published: focal loss, Adam, H as it is."""
    import torch

    from ase_mlham import hooks
    from ase_mlham.learning.dataset import PreparedData, ReferenceData, read_reference
    from ase_mlham.learning.losses import LossConfig, block_loss
    from ase_mlham.learning.model import fitted_transform
    from ase_mlham.learning.networks import make_network
    from ase_mlham.learning.targets import TargetConfig

    spec = hooks.find("model family", "lcnet")
    config = hooks.load(spec.config)(**{**spec.presets[preset], "definition": definition})
    data = ReferenceData([path], read_reference, message_cutoff=config.message_cutoff)
    transform = fitted_transform(data, TargetConfig(operators=(), tables=False))
    torch.manual_seed(0)
    network = make_network(spec, config, data.layout)
    prepared = PreparedData(data, transform, network)
    examples = [prepared[0]]
    generator = torch.Generator().manual_seed(1)
    while len(examples) < copies:
        graph = copied(examples[0].graph, generator)
        known = network.precompute(graph)
        examples.append(replace(examples[0], graph=graph, precomputed=known))
    loss_config = LossConfig(rms=0.0, focal_gamma=2.0, gauge_free=False)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, patience=50, min_lr=1e-5)
    found = []
    network.train()
    for step in range(steps):
        example = examples[step % copies]
        optimiser.zero_grad()
        error = example.error(network(example.graph, example.precomputed), prepared.elements)
        loss = block_loss(error, example.overlap, example.elements.n_onsite, loss_config)
        loss.backward()
        optimiser.step()
        found.append(float(loss.detach()))
        schedule.step(found[-1])
    return found


def copied(graph: HamiltonianGraph, generator: torch.Generator) -> HamiltonianGraph:
    """The same crystal with coordinates that are right to six decimals."""
    import torch

    noise = torch.randn(graph.n_atoms, 3, generator=generator) * DECIMALS
    return replace(
        graph,
        message_vectors=graph.message_vectors + noise[graph.message_j] - noise[graph.message_i],
        pair_vectors=graph.pair_vectors + noise[graph.pair_j] - noise[graph.pair_i],
    )


def learn(options: argparse.Namespace) -> None:
    """Table and picture of the training loss with both definitions."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    from ase_mlham.plots.style import STYLE

    print("| crystal | definition | " + " | ".join(f"step {n}" for n in options.show) + " |")
    print("| --- | --- |" + " ---: |" * len(options.show), flush=True)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            1, len(options.files), figsize=(6.4, 2.7), layout="constrained", squeeze=False
        )
        for axis, path in zip(axes[0], options.files, strict=True):
            name = path.name.partition(".")[0]
            for definition, colour in (("plain", "black"), ("complete", "tab:red")):
                curve = np.array(
                    learned(path, definition, options.steps, options.preset, options.copies)
                )
                # steps jitter: the mean of the steps around
                width = max(1, options.steps // 100)
                kernel = np.ones(width) / width
                smooth = np.convolve(curve, kernel, "valid")
                axis.semilogy(np.arange(len(smooth)) + width, smooth, color=colour, lw=1.0)
                upper = definition == "plain"
                axis.annotate(
                    definition,
                    (0.6 * len(curve), smooth[int(0.6 * len(smooth))]),
                    xytext=(0, 9 if upper else -9),
                    textcoords="offset points",
                    color=colour,
                    ha="left" if upper else "right",
                    va="bottom" if upper else "top",
                )
                values = [f"{curve[max(0, n - width) : n].mean():.2f}" for n in options.show]
                print(f"| {name} | {definition} | " + " | ".join(values) + " |", flush=True)
            axis.set_title(options.titles.get(name, name))
            axis.set_xlabel("step")
        axes[0, 0].set_ylabel("training loss (meV)")
        figure.savefig(options.picture, dpi=160)


# ---------------------------------------------------------------------- a trained model
def crystal(kind: str, seed: int, amplitude: float) -> Structure:
    """Zincblende SiGe (8 atoms) or a random alloy on its sites, atoms shaken (Å)."""
    generator = np.random.default_rng(seed)
    corners = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    scaled = np.concatenate([corners, corners + 0.25])
    numbers = np.repeat([14, 32], 4)
    if kind == "alloy":
        generator.shuffle(numbers)
    a = 5.54
    positions = a * scaled + generator.normal(scale=amplitude, size=(8, 3))
    return Structure(numbers, positions, a * np.eye(3), np.ones(3, bool))


def random_turn(generator: np.random.Generator) -> NDArray[np.float64]:
    """Rotation drawn evenly."""
    q, r = np.linalg.qr(generator.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q if np.linalg.det(q) > 0 else -q


def levels(system: LCAOSystem, floor: float | None) -> NDArray[np.float64]:
    """Eigenvalues at `KPTS`, eV: (n_k, n)."""
    from ase_mlham.electronic.states import eigenstates

    return eigenstates(system, KPTS, overlap_floor=floor).energies[0]


def window(system: LCAOSystem, energies: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of the levels are near the gap."""
    filled = round(system.n_electrons / 2)
    middle = 0.5 * (energies[:, filled - 1].max() + energies[:, filled].min())
    return abs(energies - middle) < WINDOW


def compared(
    model: HamiltonianModel,
    change: Callable[[np.random.Generator], NDArray[np.float64]],
    repeats: int,
    floor: float | None,
) -> None:
    """H and bands of crystals after an orthogonal change, against what they should be."""
    from ase_mlham.core.transform import rotated_matrix

    print("| crystal | shaken, Å | H, mean | H, largest | bands, mean | bands, largest |")
    print("| --- |" + " ---: |" * 5, flush=True)
    for kind in ("zincblende", "alloy"):
        for amplitude in (0.0, 0.003, 0.01, 0.03, 0.1):
            elements, energies = [], []
            for seed in range(repeats):
                structure = crystal(kind, seed, amplitude)
                q = change(np.random.default_rng(1000 + seed))
                other = replace(
                    structure, positions=structure.positions @ q.T, cell=structure.cell @ q.T
                )
                system = model.predict(structure, on_unknown="warn")
                found = model.predict(other, on_unknown="warn")
                expected = rotated_matrix(system.hamiltonian, system.basis, q, "pauli")
                before = levels(system, floor)
                energies.append((levels(found, floor) - before)[window(system, before)])
                # a pair at the very end of the range may be there in one orientation only
                blocks = found.hamiltonian.on_pattern(expected.pattern, drop=True)
                pairs = zip(blocks.values, expected.values, strict=True)
                elements += [(x - y).ravel() for x, y in pairs]
            h, e = (1000 * abs(np.concatenate(parts)) for parts in (elements, energies))
            numbers = (h.mean(), h.max(), e.mean(), e.max())
            print(f"| {kind} | {amplitude:g} | {' | '.join(f'{x:.2g}' for x in numbers)} |")


def mirrored(generator: np.random.Generator) -> NDArray[np.float64]:
    """Inversion."""
    return -np.eye(3)


def turn(options: argparse.Namespace) -> None:
    """Table for random rotations."""
    compared(loaded(options.model), random_turn, options.repeats, options.overlap_floor)


def invert(options: argparse.Namespace) -> None:
    """Table for inversion."""
    compared(loaded(options.model), mirrored, options.repeats, options.overlap_floor)


def move(options: argparse.Namespace) -> None:
    """Table of jumps between crystals that differ by very little."""
    model = loaded(options.model)
    print("| alloy | steps | step, Å | usual change, meV | jumps | largest | share of all change |")
    print("|" + " ---: |" * 7, flush=True)
    for seed in range(options.repeats):
        first = crystal("alloy", seed, 0.05)
        path = np.random.default_rng(77 + seed).normal(scale=0.05, size=(8, 3))
        path *= options.length / np.sqrt((path**2).sum())
        before, changes = None, []
        for t in np.linspace(0.0, 1.0, options.steps + 1):
            moved = replace(first, positions=first.positions + t * path)
            h = model.predict(moved, on_unknown="warn").hamiltonian.at_k(KPTS)[:, 0]
            if before is not None:
                changes.append(1000 * abs(h - before).mean())
            before = h
        change = np.array(changes)
        usual = float(np.median(change))
        jumps = change[change > 3 * usual]
        largest = f"{jumps.max():.2g}" if len(jumps) else "none"
        print(
            f"| {seed} | {options.steps} | {options.length / options.steps:.1g} | {usual:.2g} | "
            f"{len(jumps)} | {largest} | {jumps.sum() / change.sum():.2f} |",
            flush=True,
        )


def loaded(path: str) -> HamiltonianModel:
    """The model, its warnings about unknown crystals silenced."""
    from ase_mlham import load_model

    warnings.simplefilter("ignore")
    return load_model(path)


def main() -> None:
    """Run one of the parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = parser.add_subparsers(required=True)
    own = parts.add_parser("learn")
    own.add_argument("files", nargs="+", type=Path, help="OpenMX outputs of perfect crystals")
    own.add_argument("--steps", type=int, default=1000)
    own.add_argument("--show", type=int, nargs="+", default=[100, 300, 1000])
    own.add_argument("--copies", type=int, default=16, help="atoms moved by 1e-6 Å in each")
    own.add_argument("--preset", default="small")
    own.add_argument("--picture", type=Path, default=Path("local-frames.png"))
    own.set_defaults(run=learn, titles={"graphene": "graphene", "sige_zb": "zincblende SiGe"})
    for name, function, repeats in (("turn", turn, 4), ("invert", invert, 4), ("move", move, 4)):
        own = parts.add_parser(name)
        own.add_argument("model")
        own.add_argument("--repeats", type=int, default=repeats)
        own.add_argument("--steps", type=int, default=100)
        own.add_argument("--overlap-floor", type=float, help="as of `mlham bands`")
        own.add_argument("--length", type=float, default=0.1, help="of the path, Å")
        own.set_defaults(run=function)
    options = parser.parse_args()
    started = time.process_time()
    options.run(options)
    print(f"\n{time.process_time() - started:.0f} CPU s")


if __name__ == "__main__":
    main()
