"""Gap and Fermi level of a crystal while its atoms move.

    python hot_crystal.py silicon_900K                       # 64 atoms of silicon at 900 K, 3 ps
    python hot_crystal.py silicon_900K                       # goes on where it was interrupted
    python hot_crystal.py alloy --germanium 0.5 --steps 500
    python hot_crystal.py free --friction 0                  # constant energy instead

Energies and forces are those of a classical potential, H and S those of a model. One calculator,
`MLHamiltonian("sige", potential=tersoff())`, gives both, and predicts H when it is asked: every
`--every` steps. The folder holds

    settings.json       what was asked for; a folder is not continued with other settings
    trajectory.traj     a frame every `--every` steps, with velocities, energy and forces
    electronic.jsonl    a line for each frame: step, time, temperature, gap, Fermi level

Both files grow frame by frame, and an interrupted run is continued as if nothing had happened, to
the last bit: frames are stored in full precision, and the random forces of a step follow from the
seed and the number of the step alone. `plot.py` draws the folder.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units  # noqa: TID251 - the units of ASE's dynamics
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.dft.bandgap import bandgap
from ase.io import Trajectory, read
from ase.md.langevin import Langevin
from ase.md.md import MolecularDynamics
from ase.md.verlet import VelocityVerlet
from tersoff_sige import tersoff

import ase_mlham as mh

TRAJECTORY, RESULTS, SETTINGS = "trajectory.traj", "electronic.jsonl", "settings.json"


@dataclass(frozen=True)
class Settings:
    """What a run is. All but its length must stay the same when it is continued.

    Attributes
    ----------
    temperature : float
        K.
    timestep : float
        fs.
    friction : float
        1/fs; 0 for constant energy.
    every : int
        Steps from one frame to the next.
    germanium : float
        Fraction of the atoms, drawn at random.
    repeat : int
        Cubic cells of 8 atoms along each direction.
    lattice : float
        Lattice constant, Å; 0 for that of the composition.
    kpts : int
        Points of the mesh along each direction.
    model : str
        Of the Hamiltonian.
    seed : int
        Of everything that is random.
    """

    temperature: float = 900.0
    timestep: float = 2.0
    friction: float = 0.01
    every: int = 15
    germanium: float = 0.0
    repeat: int = 2
    lattice: float = 0.0
    kpts: int = 3
    model: str = "sige"
    seed: int = 0


class NoiseOfStep:
    """Random numbers that depend on how many were drawn before, and on nothing else.

    A generator's state would have to be saved with every frame; here a run that starts at a step
    draws what an uninterrupted one draws there.

    Parameters
    ----------
    seed : int
        Of the run.
    step : int
        From which it starts. Langevin dynamics draws twice a step.
    """

    def __init__(self, seed: int, step: int) -> None:
        self.seed, self.draws = seed, 2 * step

    def standard_normal(self, size: Any) -> np.ndarray:
        """The next numbers."""
        self.draws += 1
        return np.random.default_rng((self.seed, self.draws)).standard_normal(size)


def crystal(settings: Settings) -> Atoms:
    """The crystal at rest, with velocities.

    At constant energy half of the kinetic energy goes into the displacements, which are zero at the
    start: it gets twice the temperature.
    """
    lattice = settings.lattice or 5.432 + 0.225 * settings.germanium
    atoms = bulk("Si", cubic=True, a=lattice).repeat(settings.repeat)
    rng = np.random.default_rng(settings.seed)
    chosen = rng.permutation(len(atoms))[: round(settings.germanium * len(atoms))]
    atoms.symbols[chosen] = "Ge"
    kT = units.kB * settings.temperature * (1 if settings.friction else 2)
    momenta = rng.standard_normal((len(atoms), 3)) * np.sqrt(kT * atoms.get_masses())[:, None]
    atoms.set_momenta(momenta - momenta.mean(axis=0))
    return atoms


def dynamics(atoms: Atoms, settings: Settings, step: int) -> MolecularDynamics:
    """What moves the atoms, from some step on."""
    timestep = settings.timestep * units.fs
    if settings.friction == 0:
        return VelocityVerlet(atoms, timestep)
    return Langevin(
        atoms,
        timestep,
        temperature_K=settings.temperature,
        friction=settings.friction / units.fs,
        fixcm=False,
        rng=NoiseOfStep(settings.seed, step),
    )


def electronic(atoms: Atoms, step: int, settings: Settings) -> dict[str, float]:
    """One line of results: the only place where H is predicted."""
    gap, _, _ = bandgap(atoms.calc)
    return {
        "step": step,
        "time_fs": step * settings.timestep,
        "temperature_K": float(atoms.get_temperature()),
        "potential_energy_eV": float(atoms.get_potential_energy()),
        "gap_eV": float(gap),
        "fermi_level_eV": float(atoms.calc.get_fermi_level()),
    }


def finished_lines(path: Path) -> list[str]:
    """Lines of results that are whole; a last one that was cut off is removed from the file."""
    if not path.exists():
        return []
    whole = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
    path.write_text("".join(whole))
    return whole


def check_settings(folder: Path, settings: Settings) -> None:
    """Write what was asked for, or refuse to continue with something else."""
    path = folder / SETTINGS
    if not path.exists():
        path.write_text(json.dumps(asdict(settings), indent=1) + "\n")
        return
    before = json.loads(path.read_text())
    changed = [
        f"{k}: {before.get(k)} -> {v}" for k, v in asdict(settings).items() if before.get(k) != v
    ]
    if changed:
        raise SystemExit(
            f"{folder} was begun with other settings ({'; '.join(changed)}); take another folder"
        )


def run(
    folder: Path,
    settings: Settings,
    steps: int,
    *,
    make_calculator: Callable[[Settings], Calculator] | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Begin a run, or continue it up to some number of steps.

    Parameters
    ----------
    folder : Path
        Of the run; made if it does not exist.
    settings : Settings
        What it is.
    steps : int
        At which it ends, counted from its beginning.
    make_calculator : callable, optional
        Gives the calculator of the settings, in place of the model with Tersoff's potential.
    say : callable
        Told how far it is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    check_settings(folder, settings)
    trajectory, results = folder / TRAJECTORY, folder / RESULTS
    frames = read(trajectory, index=":") if trajectory.exists() else []
    done = len(finished_lines(results))
    calculator = (make_calculator or hamiltonian)(settings)

    def write_results(atoms: Atoms, step: int) -> None:
        line = electronic(atoms, step, settings)
        with results.open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        say(
            f"{line['time_fs']:8.1f} fs {line['temperature_K']:7.0f} K   "
            f"gap {line['gap_eV']:.3f} eV   Fermi level {line['fermi_level_eV']:.3f} eV"
        )

    # a run that was interrupted between the two files lacks the results of its last frame
    for number in range(done, len(frames)):
        atoms = frames[number].copy()
        atoms.calc = calculator
        write_results(atoms, number * settings.every)

    atoms = frames[-1].copy() if frames else crystal(settings)
    atoms.calc = calculator
    step = max(len(frames) - 1, 0) * settings.every
    mover = dynamics(atoms, settings, step)
    with Trajectory(trajectory, "a", atoms) as writer:
        if not frames:
            write_frame(atoms, writer)
            write_results(atoms, step)
        while step + settings.every <= steps:
            mover.run(settings.every)
            step += settings.every
            write_frame(atoms, writer)
            write_results(atoms, step)


def write_frame(atoms: Atoms, writer: Any) -> None:
    """Append a frame; writers take only results that are there already."""
    atoms.get_potential_energy()
    atoms.get_forces()
    writer.write()


def hamiltonian(settings: Settings) -> Calculator:
    """The model of the Hamiltonian, with energies and forces of Tersoff's potential."""
    return mh.MLHamiltonian(settings.model, potential=tersoff(), kpts=(settings.kpts,) * 3)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=1500, help="length of the whole run")
    for name, default in asdict(Settings()).items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    options = vars(parser.parse_args())
    folder, steps = options.pop("folder"), options.pop("steps")
    run(folder, Settings(**options), steps)


if __name__ == "__main__":
    main()
