"""The built-in sub-commands of `mlham`."""

from __future__ import annotations

from ase_mlham.hooks import CommandSpec, hookimpl

_COMMANDS = {
    "bands": "band structure of a structure or of a DFT output, as a picture or JSON",
    "dos": "density of states, total or by element, shell or orbital",
    "fatbands": "bands with their weights on elements, orbitals, atoms or layers",
    "spin-texture": "spin of states along a path, on a plane, or on lines of one energy",
    "charges": "charges and magnetic moments of the atoms",
    "density": "charge, spin or difference density in space, as a file or a slice",
    "wavefunction": "a Bloch state in space, as a file or a slice",
    "ldos": "where the states of some energies are, as a file or a slice",
    "stm": "a surface as a scanning tunnelling microscope sees it",
    "gap": "band gap, where it lies, and the Fermi level",
    "predict": "write the H and S that a model predicts for a structure",
    "convert": "write the H and S of a DFT output as a native file",
    "generate": "compute H and S of many structures, to train on",
    "train": "train a model from a configuration file",
    "compare": "bands of two sources of one structure, as a report with pictures",
    "evaluate": "errors of a model on reference files",
    "models": "list the models that are installed",
    "plugins": "list what is installed and who gives it",
    "info": "what a structure, a DFT output, or a model file holds",
    "gui": "ASE's window with bands, densities of states, states and spins of what it shows",
    "doctor": "check this installation",
}
_ELSEWHERE = {"gui": "ase_mlham.gui.command", "spin-texture": "ase_mlham.cli.spin_texture"}
"""Commands whose module lies in another room, or has another name."""


@hookimpl
def mlham_commands() -> list[CommandSpec]:
    """Sub-commands of the package itself."""
    return [
        CommandSpec(
            name=name,
            description=description,
            add_arguments=f"{_ELSEWHERE.get(name, f'ase_mlham.cli.{name}')}:add_arguments",
            run=f"{_ELSEWHERE.get(name, f'ase_mlham.cli.{name}')}:run",
        )
        for name, description in _COMMANDS.items()
    ]
