"""The memory that a prediction says it will need, beside what it took.

    python benchmarks/prediction_memory.py [--family hamgnn] [--presets small universal]
        [--atoms 216 1000] [--forms none spinor PBC xi]

Random alloys of silicon and germanium as in `prediction_speed.py`, untrained models of the presets
in the orbitals of the packaged model. Every row is a fresh process that predicts 8 atoms once to
warm up; "more" is the largest memory above that before the prediction. Forms: without spin; spinors
with spin-orbit coupling; with magnetic moments besides; spin-orbit coupling as strength times
angular momentum. Needs Linux (/proc).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np

FORMS = {
    "none": ("none", None, {}),
    "spinor": ("spinor", "PB", {}),
    "PBC": ("spinor", "PBC", {}),
    "xi": ("spinor", "PB", {"spin_orbit": "angular_momentum"}),
}


def measured(family: str, preset: str, atoms: int, name: str) -> dict:
    """One row; to be called once in a process."""
    import torch
    from overlap_speed import rattled
    from training_memory import memory

    from ase_mlham import hooks, load_model
    from ase_mlham.core import SpinKind
    from ase_mlham.learning import memory as bound
    from ase_mlham.learning.configuration import make_config
    from ase_mlham.learning.layout import BlockLayout
    from ase_mlham.learning.model import HamiltonianModel
    from ase_mlham.learning.networks import make_network
    from ase_mlham.learning.spin_form import SpinForm

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    spin, parts, options = FORMS[name]
    kind, form, known = SpinKind.parse(spin), SpinForm(**options), load_model("sige")
    spec = hooks.find("model family", family)
    config = make_config(hooks.load(spec.config), spec.presets[preset], preset)
    torch.manual_seed(0)
    layout = BlockLayout(known.basis, kind, parts)

    def structure(cells: int):
        found = rattled(cells)
        moments = np.random.default_rng(0).normal(size=(found.n_atoms, 3))
        return dataclasses.replace(found, moments=moments) if layout.odd.any() else found

    model = HamiltonianModel.untrained(
        make_network(spec, config, layout, form),
        spec,
        config,
        known.basis,
        example=structure(1),
        spin=kind,
        parts=parts,
        form=form,
    )
    model.predict(structure(1), on_unknown="warn")
    said = []
    needs = bound.prediction_needs
    bound.prediction_needs = lambda *a, **k: said.append(needs(*a, **k)) or said[-1]
    example = structure(round((atoms / 8) ** (1 / 3)))
    before = memory("VmRSS")
    # the largest memory is counted from here
    Path("/proc/self/clear_refs").write_text("5")
    model.predict(example, on_unknown="warn")
    return {
        "name": f"{family} {preset}, {name}",
        "atoms": example.n_atoms,
        "before": before,
        "said": 1e-6 * said[-1].peak,
        "more": memory("VmHWM") - before,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", default="hamgnn")
    parser.add_argument("--presets", nargs="+", default=["small", "universal"])
    parser.add_argument("--atoms", type=int, nargs="+", default=[216, 1000])
    parser.add_argument("--forms", nargs="+", default=["none"], choices=FORMS)
    parser.add_argument("--child", metavar="JSON", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measured(*json.loads(options.child))))
        return
    print("| model | atoms | MB before | more, said | more, measured | said / measured of all |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for form in options.forms:
        for preset in options.presets:
            for atoms in options.atoms:
                row = json.dumps([options.family, preset, atoms, form])
                command = [sys.executable, __file__, "--child", row]
                done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
                found = json.loads(done.stdout.splitlines()[-1])
                whole = (found["before"] + found["said"]) / (found["before"] + found["more"])
                print(
                    f"| {found['name']} | {found['atoms']:,} | {found['before']:.0f} | "
                    f"{found['said']:.0f} | {found['more']:.0f} | {whole:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
