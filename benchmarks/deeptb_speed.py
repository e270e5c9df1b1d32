"""Time of DeePTB for H and S of rattled silicon, beside `prediction_speed.py`.

    PYTHON benchmarks/deeptb_speed.py --atoms 64 [--channels 32] [--repeats 3]

PYTHON is the interpreter of an environment with DeePTB, whose pins exclude current releases
of torch and SciPy, so

    pip install --no-deps dptb
    pip install torch ase spglib matplotlib pyyaml e3nn torch_geometric h5py seekpath rich
    pip install tensorboard dargs==0.4.4 torch-runstats==0.2.0 opt-einsum lmdb pyfiglet

torch_scatter, of which its embedding needs one function, is replaced below. The network is SLEM,
DeePTB's embedding in edge frames, with three layers as in the silicon checkpoint that it ships, for
13 orbitals an atom (2s2p1d), untrained: time does not depend on weights. Neighbours, edge vectors,
network and blocks of H are timed, S is not.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
import types
import warnings

import numpy as np
import torch
from ase import Atoms

REACH = 7.4
CHANNELS = {
    32: "32x0e+32x1o+16x2e+16x3o+16x4e",
    64: "64x0e+64x1o+64x2e+64x3o+64x4e",
}


def scatter_mean(
    source: torch.Tensor, index: torch.Tensor, dim: int = 0, dim_size: int | None = None
) -> torch.Tensor:
    """Mean over equal indices, as torch_scatter's function of this name."""
    if dim != 0 or index.dim() != 1:
        raise NotImplementedError("only the first axis is needed here")
    size = int(index.max()) + 1 if dim_size is None else dim_size
    result = source.new_zeros(size, *source.shape[1:])
    return result.index_reduce_(0, index, source, "mean", include_self=False)


def without_torch_scatter() -> None:
    """Let DeePTB be imported where the compiled torch_scatter is missing."""
    stand_in = types.ModuleType("torch_scatter")
    stand_in.scatter_mean = scatter_mean
    # imported by another embedding, not called by SLEM
    stand_in.scatter = None
    sys.modules.setdefault("torch_scatter", stand_in)


def silicon(atoms: int) -> Atoms:
    """Zincblende cells of 5.54 Å, shaken by 0.03 Å."""
    cells = round((atoms / 8) ** (1 / 3))
    sites = np.array([[0, 0, 0], [0, 2, 2], [2, 0, 2], [2, 2, 0]]) / 4
    sites = np.concatenate([sites, sites + 0.25])
    steps = np.stack(np.meshgrid(*[np.arange(cells)] * 3, indexing="ij"), -1).reshape(-1, 3)
    positions = (steps[:, None] + sites).reshape(-1, 3) * 5.54
    positions = positions + np.random.default_rng(0).normal(0, 0.03, positions.shape)
    return Atoms(f"Si{len(positions)}", positions, cell=[cells * 5.54] * 3, pbc=True)


def main() -> None:
    """Print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--atoms", type=int, default=64)
    parser.add_argument("--channels", type=int, choices=CHANNELS, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    without_torch_scatter()
    from dptb.data import AtomicData, AtomicDataDict
    from dptb.nn.build import build_model

    model = build_model(
        model_options={
            "embedding": {
                "method": "slem",
                "r_max": {"Si": REACH},
                "irreps_hidden": CHANNELS[options.channels],
                "n_layers": 3,
                "avg_num_neighbors": 86,
                "n_radial_basis": 10,
                "env_embed_multiplicity": 10,
                "tp_radial_emb": True,
                "tp_radial_channels": [32],
                "latent_channels": [32],
                "latent_dim": 64,
            },
            "prediction": {"method": "e3tb", "neurons": [64, 64]},
        },
        common_options={
            "basis": {"Si": "2s2p1d"},
            "device": "cpu",
            "overlap": False,
            "dtype": "float32",
        },
        no_check=True,
    )
    model.eval()

    def predict(atoms: Atoms) -> int:
        data = AtomicData.from_ase(atoms, r_max={"Si": REACH})
        data = AtomicData.to_AtomicDataDict(data)
        data = model.idp(data)
        with torch.no_grad():
            done = model(data)
        return done[AtomicDataDict.EDGE_FEATURES_KEY].shape[0]

    predict(silicon(8))
    atoms = silicon(options.atoms)
    cpu, wall = [], []
    for _ in range(options.repeats):
        started = time.process_time(), time.perf_counter()
        edges = predict(atoms)
        cpu.append(time.process_time() - started[0])
        wall.append(time.perf_counter() - started[1])
    print(
        json.dumps(
            {
                "name": f"DeePTB SLEM {options.channels}",
                "atoms": len(atoms),
                "threads": options.threads,
                "directed_pairs": edges,
                "parameters": sum(p.numel() for p in model.parameters()),
                "cpu": float(np.median(cpu)),
                "wall": float(np.median(wall)),
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
