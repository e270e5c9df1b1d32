"""Documentation site: `python -m sphinx -W -b html docs docs/_build/html`.

Pages are Markdown. The API reference and the list of commands are generated from the package before
each build, so a new module or option appears by itself. Docstrings are written to be read in a
terminal: what RST would take for markup in them is escaped here.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import reference  # noqa: E402 - the folder of this file has to be found first

import ase_mlham  # noqa: E402

project = "ase-mlham"
author = "the ase-mlham developers"
copyright = f"2026, {author}"
version = release = ase_mlham.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
# shapes in docstrings, such as (n_atoms, 3), are looked up as names and found several times
suppress_warnings = ["ref.python"]

html_theme = "furo"
html_title = f"ase-mlham {release}"
html_static_path: list[str] = []

# shapes and units stand in the docstrings; annotations would say the same with less
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
default_role = "literal"
napoleon_numpy_docstring = True
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_use_param = False

_LITERAL = re.compile(r"(``.*?``|`[^`]*`)")


def _escape(line: str) -> str:
    """Escape |x|, a * b and trailing underscores outside of literals."""
    # napoleon itself looks after *args and **options
    head = re.match(r"\*{0,2}", line)[0]
    parts = _LITERAL.split(line[len(head) :])
    for n in range(0, len(parts), 2):
        parts[n] = re.sub(r"[|*]|(?<=\w)_(?!\w)", lambda found: "\\" + found[0], parts[n])
    return head + "".join(parts)


def plain_text(_app: Sphinx, _what: str, _name: str, _obj: Any, _options: Any, lines: list[str]):
    """Make RST of a docstring: indented paragraphs are code, bars are bars."""
    out: list[str] = []
    previous, inside = "", False
    for line in lines:
        indented = line.startswith("    ")
        if inside and line and not indented:
            inside = False
        starts = indented and not inside and out and not out[-1].strip()
        if starts and previous and not previous.startswith((" ", "-", "..", ">>>")):
            out += ["::", ""]
            inside = True
        out.append(line if inside else _escape(line))
        previous = line or previous
    lines[:] = out


def setup(app: Sphinx) -> None:
    """Connect both generators."""
    # before napoleon, which listens at priority 500
    app.connect("autodoc-process-docstring", plain_text, priority=400)
    app.connect("builder-inited", lambda app: reference.write(Path(app.srcdir) / "api/generated"))
