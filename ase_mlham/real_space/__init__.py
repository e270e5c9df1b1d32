"""Wave functions, densities and local densities of states on grids in space."""

from ase_mlham.real_space.field import CoarseGridWarning, Field
from ase_mlham.real_space.grid import Grid
from ase_mlham.real_space.wave_functions import wave_function, wave_functions

__all__ = [
    "CoarseGridWarning",
    "Field",
    "Grid",
    "wave_function",
    "wave_functions",
]
