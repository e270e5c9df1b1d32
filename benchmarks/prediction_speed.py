"""Time and memory of a prediction, from `ase.Atoms` to H(R) and S(R).

    python benchmarks/prediction_speed.py [--model sige] [--atoms 64 216 512 1000 1728]
    python benchmarks/prediction_speed.py --threads 1 2 --deeptb PYTHON
    python benchmarks/prediction_speed.py --presets small universal deeph2:universal lcnet:paper

Random alloys of silicon and germanium, zincblende cells of 5.54 Å, atoms shaken by 0.03 Å. Every
row is a fresh process that loads the model, predicts 8 atoms once to warm up, and then repeats:
median of CPU and wall time, largest memory of the process. With --deeptb the rows of
`deeptb_speed.py` follow in the same run: DeePTB for silicon, H alone. With --presets the models are
untrained ones of these sizes, in the orbitals of the model and of its family unless another is
named before the colon.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

SIZES = [64, 216, 512, 1000, 1728]
HERE = Path(__file__).parent


def measured(model: str, atoms: int, threads: int, repeats: int) -> dict:
    """One row; to be called once in a process."""
    import torch
    from overlap_speed import rattled

    import ase_mlham

    torch.set_num_threads(threads)
    warnings.simplefilter("ignore")
    loaded = ase_mlham.load_model(model)
    loaded.predict(rattled(1).to_atoms())
    example = rattled(round((atoms / 8) ** (1 / 3))).to_atoms()
    cpu, wall = [], []
    for _ in range(repeats):
        started = time.process_time(), time.perf_counter()
        # untrained models know no distances
        system = loaded.predict(example, on_unknown="warn")
        cpu.append(time.process_time() - started[0])
        wall.append(time.perf_counter() - started[1])
    pattern = system.hamiltonian.pattern
    return {
        "name": Path(model).stem,
        "atoms": len(example),
        "threads": threads,
        "directed_pairs": int(2 * (pattern.n_blocks - pattern.onsite.sum())),
        "parameters": sum(p.numel() for p in loaded.network.parameters()),
        "cpu": float(np.median(cpu)),
        "wall": float(np.median(wall)),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def write_untrained(size: str, model: str, path: str) -> None:
    """A model of [FAMILY:]PRESET with random weights, in the orbitals of another."""
    import torch
    from overlap_speed import rattled

    from ase_mlham import hooks, load_model
    from ase_mlham.learning.layout import BlockLayout
    from ase_mlham.learning.model import HamiltonianModel
    from ase_mlham.learning.networks import make_network

    known = load_model(model)
    family, _, preset = size.rpartition(":")
    spec = hooks.find("model family", family or known.file.family)
    config = hooks.load(spec.config)(**spec.presets[preset])
    torch.manual_seed(0)
    network = make_network(spec, config, BlockLayout(known.basis))
    HamiltonianModel.untrained(network, spec, config, known.basis, example=rattled(1)).save(path)


def row(found: dict) -> str:
    """A line of the table."""
    return (
        f"| {found['name']} | {found['atoms']:,} | {found['threads']} | "
        f"{found['directed_pairs']:,} | {found['cpu']:.2f} | {found['wall']:.2f} | "
        f"{1e3 * found['cpu'] / found['atoms']:.1f} | "
        f"{1e6 * found['cpu'] / found['directed_pairs']:.0f} | {found['peak_mb']:.0f} |"
    )


def run(interpreter: str, arguments: list[str], threads: int) -> dict:
    """The row that a process of its own prints."""
    count = str(threads)
    variables = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(variables, count)}
    done = subprocess.run(
        [interpreter, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join([interpreter, *arguments])} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="sige")
    parser.add_argument("--atoms", type=int, nargs="+", default=SIZES)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--deeptb", metavar="PYTHON", help="interpreter that imports dptb")
    parser.add_argument("--presets", nargs="+", default=[], metavar="[FAMILY:]PRESET")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--write", metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write_untrained(options.presets[0], options.model, options.write)
        return
    if options.child:
        found = measured(options.model, options.atoms[0], options.threads[0], options.repeats)
        print(json.dumps(found))
        return
    print("| model | atoms | threads | directed pairs | CPU s | wall s | CPU ms an atom |", end="")
    print(" CPU µs a pair | peak MB |\n|" + " --- |" + " ---: |" * 8, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        models = [f"{folder}/{name.replace(':', ' ')}.mlham" for name in options.presets]
        for name, path in zip(options.presets, models, strict=True):
            # in a process of its own: what a process once used counts for those it starts
            own = [__file__, "--write", path, "--model", options.model, "--presets", name]
            subprocess.run([sys.executable, *own], check=True)
        for atoms in options.atoms:
            for threads in options.threads:
                size = ["--atoms", str(atoms), "--threads", str(threads)]
                size += ["--repeats", str(options.repeats)]
                for model in models or [options.model]:
                    own = [__file__, "--child", "--model", model, *size]
                    print(row(run(sys.executable, own, threads)), flush=True)
                for channels in (32, 64) if options.deeptb else ():
                    peer = [str(HERE / "deeptb_speed.py"), "--channels", str(channels), *size]
                    print(row(run(options.deeptb, peer, threads)), flush=True)


if __name__ == "__main__":
    main()
