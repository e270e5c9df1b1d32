"""Memory and time of a training step, with and without evaluating layers again on the way back.

    python benchmarks/training_memory.py [--family hamgnn] [--presets small universal] [--atoms 64]

A random alloy of silicon and germanium in zincblende cells of 5.54 Å, atoms shaken by 0.03 Å; its H
is what the packaged model `sige` predicts. Every row is a fresh process with one thread: three
steps (network, loss in the orbital basis, derivatives, Adam), the largest memory during them less
the memory before, and the median of their CPU times. Frames of edges are computed
once and kept, as a training does on a CPU. Needs Linux (/proc).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np


def memory(name: str) -> float:
    """VmRSS (now) or VmHWM (largest) of this process, MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def measured(family: str, preset: str, atoms: int, recompute: bool, precision: str) -> dict:
    """One row; to be called once in a process."""
    import torch
    from overlap_speed import rattled

    from ase_mlham import hooks, load_model
    from ase_mlham.learning.configuration import make_config
    from ase_mlham.learning.dataset import PreparedData, ReferenceData
    from ase_mlham.learning.losses import LossConfig, block_loss
    from ase_mlham.learning.model import fitted_transform
    from ase_mlham.learning.networks import make_network
    from ase_mlham.learning.nn.chunks import set_recompute
    from ase_mlham.learning.targets import TargetConfig

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    model = load_model("sige")
    system = model.predict(rattled(round((atoms / 8) ** (1 / 3))).to_atoms(), on_unknown="warn")
    spec = hooks.find("model family", family)
    config = make_config(hooks.load(spec.config), spec.presets[preset], preset)
    targets = TargetConfig(operators=(), tables=False)
    data = ReferenceData([system], message_cutoff=config.message_cutoff, operators=())
    torch.manual_seed(0)
    network = make_network(spec, config, data.layout, data.form).train()
    set_recompute(network, recompute)
    prepared = PreparedData(data, fitted_transform(data, targets), network)
    example = prepared[0]
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4, foreach=True)
    before = memory("VmRSS")
    # the largest memory is counted from here
    Path("/proc/self/clear_refs").write_text("5")
    seconds = []
    for _ in range(3):
        started = time.process_time()
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            output = network(example.graph, example.precomputed)
        output = type(output)(*(part.float() for part in output))
        error = example.error(output, prepared.elements)
        block_loss(error, example.overlap, example.elements.n_onsite, LossConfig()).backward()
        optimiser.step()
        seconds.append(time.process_time() - started)
    return {
        "preset": f"{family} {preset}",
        "atoms": len(system.structure.numbers),
        "pairs": example.graph.n_pairs,
        "recompute": recompute,
        "precision": precision,
        "before": before,
        "step": memory("VmHWM") - before,
        "cpu": float(np.median(seconds)),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", default="hamgnn")
    parser.add_argument("--presets", nargs="+", default=["small", "universal"])
    parser.add_argument("--atoms", type=int, default=64)
    parser.add_argument("--precisions", nargs="+", default=["32"], choices=["32", "bf16"])
    parser.add_argument("--child", metavar="JSON", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measured(*json.loads(options.child))))
        return
    print("| model | atoms | pairs | recompute | precision | MB before | MB of the step | CPU s |")
    print("| --- | ---: | ---: | --- | --- | ---: | ---: | ---: |", flush=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for preset in options.presets:
        for precision in options.precisions:
            for recompute in (False, True):
                row = json.dumps([options.family, preset, options.atoms, recompute, precision])
                command = [sys.executable, __file__, "--child", row]
                done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
                found = json.loads(done.stdout.splitlines()[-1])
                print(
                    f"| {found['preset']} | {found['atoms']} | {found['pairs']:,} | "
                    f"{'yes' if recompute else 'no'} | {precision} | {found['before']:.0f} | "
                    f"{found['step']:.0f} | {found['cpu']:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
