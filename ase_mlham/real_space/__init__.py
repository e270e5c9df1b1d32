"""Wave functions, densities and local densities of states on grids in space."""

from ase_mlham.real_space.densities import (
    charge_density,
    difference_density,
    local_dos,
    spin_density,
)
from ase_mlham.real_space.density_matrices import DensityMatrix, density_matrix
from ase_mlham.real_space.field import CoarseGridWarning, Field
from ase_mlham.real_space.grid import Grid
from ase_mlham.real_space.stm import STMImage, stm_image
from ase_mlham.real_space.wave_functions import wave_function, wave_functions

__all__ = [
    "CoarseGridWarning",
    "DensityMatrix",
    "Field",
    "Grid",
    "STMImage",
    "charge_density",
    "density_matrix",
    "difference_density",
    "local_dos",
    "spin_density",
    "stm_image",
    "wave_function",
    "wave_functions",
]
