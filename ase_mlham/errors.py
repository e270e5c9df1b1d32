"""Errors of the package: each message says what was found, where, and what to do now.

The command line prints the message alone and exits with `exit_code`.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "BasisError",
    "ConvergenceError",
    "DomainError",
    "EngineError",
    "FormatError",
    "InputError",
    "MLHamError",
    "MLHamWarning",
    "MissingDependencyError",
    "ModelError",
    "PluginError",
    "SolverError",
]


class MLHamError(Exception):
    """Anything this package refuses to do; the base of all errors below."""

    exit_code = 1


class InputError(MLHamError):
    """The caller's structure, k-points or options cannot be used."""


class FormatError(MLHamError):
    """A file cannot be read: unknown, truncated, damaged, or of an unknown version."""


class BasisError(MLHamError):
    """An orbital basis lacks an element, a radial function, or does not fit its matrices."""


class ModelError(MLHamError):
    """A model is unknown, or its file cannot be used."""


class DomainError(MLHamError):
    """A structure lies outside what a model was trained for: element, spin kind or distance."""


class SolverError(MLHamError):
    """An eigenvalue problem cannot be solved as asked, for example with a singular overlap."""


class EngineError(MLHamError):
    """A reference calculation could not be set up or run."""


class ConvergenceError(EngineError):
    """A self-consistent calculation did not converge.

    Attributes
    ----------
    reached : dict
        What it had reached: for example iterations and energy (eV).
    """

    def __init__(self, message: str, reached: Mapping[str, float] | None = None) -> None:
        super().__init__(message)
        self.reached = dict(reached or {})


class PluginError(MLHamError):
    """Plugins are in conflict, or one of them does not keep to its hook."""


class MissingDependencyError(MLHamError):
    """An optional part is not installed; the message says what to install."""

    exit_code = 3


class MLHamWarning(UserWarning):
    """Base of the package's warnings; each kind is a subclass of its own."""
