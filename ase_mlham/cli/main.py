"""Entry of `mlham`: find the sub-command, run it, turn errors into one line and an exit code.

`mlham --help` must be quick, so this module imports nothing heavy and fills in the arguments of one
sub-command only, the one that is asked for.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import NoReturn

from ase_mlham import __version__
from ase_mlham.errors import MLHamError, MLHamWarning
from ase_mlham.hooks import CommandSpec, load, missing_dependency, registered

__all__ = ["EXIT_INPUT", "EXIT_INTERRUPTED", "EXIT_USAGE", "build_parser", "main"]

EXIT_INPUT = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

_EPILOG = """\
examples:
  mlham bands silicon.cif                  bands and DOS predicted by the packaged model
  mlham bands silicon.scfout -o bands.pdf  the DFT code's own bands
  mlham gap POSCAR --model sige
  mlham doctor                             what is installed, what is missing

Each command has its own help with examples: mlham bands --help
Exit codes: 0 done, 1 bad input, 2 bad usage, 3 an optional part is missing, 130 interrupted.
"""


class _Parser(argparse.ArgumentParser):
    """Parser that names the nearest sub-command or option when one is mistyped."""

    def error(self, message: str) -> NoReturn:
        """Print the mistake without the page of usage, and where to find help."""
        sys.stderr.write(f"{self.prog}: {message}{self._nearest(message)}\n")
        sys.stderr.write(f"see: {self.prog} --help\n")
        raise SystemExit(EXIT_USAGE)

    def _nearest(self, message: str) -> str:
        head, _, rest = message.partition("unrecognized arguments: ")
        if rest and not head:
            wrong = rest.split()[0].partition("=")[0]
            known = [option for action in self._actions for option in action.option_strings]
            close = get_close_matches(wrong, known, n=1)
            return f" (did you mean {close[0]}?)" if close else ""
        return ""

    def parse_args(self, args=None, namespace=None):
        """As the base class, but unknown options are reported by the sub-command they belong to."""
        options, unknown = self.parse_known_args(args, namespace)
        if unknown:
            chosen: _Parser = getattr(options, "parser", self)
            chosen.error(f"unrecognized arguments: {' '.join(unknown)}")
        return options


def _everywhere(parser: argparse.ArgumentParser, *, sub_command: bool) -> None:
    """Options that may stand before or after the name of the sub-command."""

    def default(value: object) -> object:
        return argparse.SUPPRESS if sub_command else value

    group = parser.add_argument_group("messages")
    group.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        default=default(False),
        help="say what is being done",
    )
    group.add_argument(
        "-q", "--quiet", action="store_true", default=default(False), help="results and errors only"
    )
    group.add_argument(
        "--debug",
        action="store_true",
        default=default(False),
        help="show where in the program an error arose",
    )


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """Parser of `mlham`, with the arguments of one sub-command.

    Parameters
    ----------
    command : str, optional
        Sub-command whose arguments are wanted; the code of all others is not imported.
    """
    parser = _Parser(
        prog="mlham",
        description="Learned and computed Kohn-Sham Hamiltonians: bands, DOS, gap from a file.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mlham {__version__}")
    _everywhere(parser, sub_command=False)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands", required=True)
    for name, spec in _commands().items():
        sub = commands.add_parser(
            name,
            help=spec.description,
            description=spec.description[:1].upper() + spec.description[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if name == command:
            load(spec.add_arguments)(sub)
            _everywhere(sub, sub_command=True)
            sub.set_defaults(command=name, parser=sub)
    return parser


def _commands() -> dict[str, CommandSpec]:
    """Sub-commands: the built-in ones in the order of their list, then the plugins' ones."""
    from ase_mlham.cli.plugin import mlham_commands

    table = registered("command")
    builtin = [spec.name for spec in mlham_commands() if spec.name in table]
    return {name: table[name] for name in [*builtin, *(n for n in table if n not in builtin)]}


def _wanted(arguments: Sequence[str]) -> str | None:
    """The sub-command among the arguments; the options before it take no values."""
    return next((word for word in arguments if not word.startswith("-")), None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `mlham`.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; those of the process if not given.

    Returns
    -------
    int
        Exit code: 0, 1 (bad input), 2 (usage), 3 (an optional part is missing), 130 (interrupted).
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    debug = "--debug" in arguments
    try:
        with _messages(arguments):
            return _run(arguments)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else EXIT_USAGE
    except BrokenPipeError:
        # the reader of our output (`| head`) has gone; nothing more may be written to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        sys.stderr.write("\nmlham: interrupted; what was finished before is kept\n")
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the border: every error becomes a line and a code
        if debug:
            traceback.print_exc()
        message, code = _explain(error)
        sys.stderr.write(f"mlham: {message}\n")
        return code


def _run(arguments: Sequence[str]) -> int:
    wanted = _wanted(arguments)
    commands = _commands()
    if wanted is not None and wanted not in commands:
        close = get_close_matches(wanted, commands, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        sys.stderr.write(f"mlham: no command {wanted!r}{hint} (there are: {', '.join(commands)})\n")
        return EXIT_USAGE
    options = build_parser(wanted).parse_args(arguments)
    run = load(commands[options.command].run)
    if options.quiet:
        return int(run(options) or 0)
    from ase_mlham.cli.bar import show
    from ase_mlham.progress import reporting

    with reporting(show):
        return int(run(options) or 0)


def _explain(error: Exception) -> tuple[str, int]:
    """One line for an error, and the exit code."""
    if isinstance(error, MLHamError):
        return f"{error}", error.exit_code
    if isinstance(error, ModuleNotFoundError) and not f"{error.name}.".startswith("ase_mlham."):
        missing = missing_dependency("this command", error)
        return f"{missing}", missing.exit_code
    if isinstance(error, MemoryError):
        return f"not enough memory ({error}); try a smaller structure or fewer k-points", EXIT_INPUT
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}", EXIT_INPUT
    if isinstance(error, RuntimeError) and "out of memory" in str(error):
        return "the device is out of memory; use --device cpu or a smaller structure", EXIT_INPUT
    return (
        f"internal error, {type(error).__name__}: {error}; please report it with the output of the "
        "same command and --debug"
    ), EXIT_INPUT


@contextmanager
def _messages(arguments: Sequence[str]) -> Iterator[None]:
    """Log and warnings of the package go to the terminal's error stream, one line each."""
    quiet = "-q" in arguments or "--quiet" in arguments
    verbose = "-v" in arguments or "--verbose" in arguments
    log = logging.getLogger("ase_mlham")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("mlham: %(message)s"))
    level, propagate = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING)
    log.propagate = False
    with warnings.catch_warnings():
        if not verbose:
            # libraries below us warn about each other; users can do nothing about it
            for kind in (DeprecationWarning, FutureWarning, PendingDeprecationWarning):
                warnings.simplefilter("ignore", kind)

        warnings.simplefilter("always", MLHamWarning)
        shown: list[str] = []

        def show(message, category, filename, lineno, file=None, line=None):
            # a model says what it thinks of a structure, and every analysis says it again
            if not quiet and not any(str(message) in earlier for earlier in shown):
                shown.append(str(message))
                sys.stderr.write(f"mlham: warning: {message}\n")

        warnings.showwarning = show
        try:
            yield
        finally:
            log.removeHandler(handler)
            log.setLevel(level)
            log.propagate = propagate


if __name__ == "__main__":
    raise SystemExit(main())
