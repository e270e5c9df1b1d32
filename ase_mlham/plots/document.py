"""A document of paragraphs, tables and pictures, written as HTML or as Markdown.

HTML is one file that needs nothing else: pictures lie inside, and no address is asked. Markdown has
its pictures in a folder beside it. Either appears once everything in it has been drawn, or not at
all.
"""

from __future__ import annotations

import base64
import io
import math
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from ase_mlham.errors import InputError
from ase_mlham.files import atomic_path

__all__ = [
    "SUFFIXES",
    "Document",
    "Picture",
    "Pictures",
    "Section",
    "Table",
    "number",
    "write_document",
]

SUFFIXES = (".html", ".md")
"""What the name of a document may end with."""

DOTS_PER_INCH = 200


@dataclass(frozen=True)
class Picture:
    """A picture that is drawn when the document is written.

    Attributes
    ----------
    name : str
        Of its file, without suffix.
    alt : str
        What it shows, in a few words, for readers who do not see it.
    draw : callable
        Gives axes, or several of one figure.
    """

    name: str
    alt: str
    draw: Callable[[], Any]


@dataclass(frozen=True)
class Pictures:
    """Pictures side by side, where there is room, with what is to be said about them."""

    pictures: Sequence[Picture]
    caption: str


@dataclass(frozen=True)
class Table:
    """Rows of numbers and texts; what stands in the first column names the row."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """A heading, and paragraphs (plain text), tables and pictures below it."""

    title: str
    blocks: Sequence[str | Table | Pictures]


@dataclass(frozen=True)
class Document:
    """A title and sections."""

    title: str
    sections: Sequence[Section]


def number(value: float | None) -> str:
    """A number as it stands in tables: three digits; a dash for none and for nan."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        # 9.999 has one digit before the point until it is rounded
        digits = max(0, 2 - math.floor(math.log10(abs(float(f"{value:.2e}")))))
        return f"{value:.{digits}f}"
    return f"{value:.2e}"


def write_document(path: Path | str, document: Document) -> None:
    """Write a document; the suffix of its name says how.

    Parameters
    ----------
    path : Path or str
        `.html` is one file; `.md` has its pictures in a folder NAME_files beside it, where pictures
        of the same names are replaced and other files are left alone.
    document : Document
        What to write.

    Raises
    ------
    InputError
        The suffix is another, or the folder of pictures cannot be made.
    FormatError
        The file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: a report is written as {' or '.join(SUFFIXES)}")
    folder = path.with_name(f"{path.stem}_files")
    html = path.suffix.lower() == ".html"
    if not html and folder.exists() and not folder.is_dir():
        raise InputError(
            f"{folder} is a file; the pictures of {path} go into a folder of that name"
        )
    drawn = {
        picture.name: _png(picture)
        for section in document.sections
        for block in section.blocks
        if isinstance(block, Pictures)
        for picture in block.pictures
    }
    if html:
        with atomic_path(path) as part:
            part.write_text(_html(document, drawn), encoding="utf-8")
        return
    text = _markdown(document, folder.name)
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8")
        _move_in(drawn, folder)


def _move_in(drawn: dict[str, bytes], folder: Path) -> None:
    """All pictures onto the disk first, then under their names."""
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as new:
        for name, data in drawn.items():
            Path(new, f"{name}.png").write_bytes(data)
        for name in drawn:
            Path(new, f"{name}.png").replace(folder / f"{name}.png")


def _png(picture: Picture) -> bytes:
    import matplotlib.pyplot as plt

    from ase_mlham.plots.style import STYLE

    with plt.rc_context(STYLE):
        made = picture.draw()
        first = made[0] if isinstance(made, Sequence) else made
        buffer = io.BytesIO()
        figure: Any = first.figure
        try:
            figure.savefig(
                buffer, format="png", dpi=DOTS_PER_INCH, bbox_inches="tight", pad_inches=0.03
            )
        finally:
            plt.close(figure)
    return buffer.getvalue()


# ---------------------------------------------------------------------- HTML
_STYLE = """\
:root { color-scheme: light; }
body { margin: 0 auto; max-width: 62rem; padding: 1rem; color: #1c1c1c; background: #fff;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: 0; list-style: none; }
a { color: #1f4e79; }
figure { margin: 1.2rem 0; }
figure div { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
img { max-width: 100%; height: auto; }
figcaption, caption { font-size: .9rem; color: #444; text-align: left; }
caption { caption-side: bottom; padding-top: .4rem; }
.table { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .7rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child, .text, .word { text-align: left; }
td.text { white-space: normal; min-width: 12rem; }
thead th { border-bottom: 1px solid #888; vertical-align: bottom; }
tbody tr:nth-child(even) { background: #f4f6f8; }
@media print { h2 { break-after: avoid; } img { max-width: 49%; } img, tr { break-inside: avoid; }
  figure div { gap: 0; } }
"""


def _html(document: Document, drawn: dict[str, bytes]) -> str:
    title = escape(document.title)
    links = "".join(
        f'<li><a href="#{_anchor(section.title)}">{escape(section.title)}</a></li>'
        for section in document.sections
    )
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title>\n<style>\n{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>",
        f"<nav><ul>{links}</ul></nav>",
    ]
    for section in document.sections:
        parts.append(f'<section id="{_anchor(section.title)}">\n<h2>{escape(section.title)}</h2>')
        for block in section.blocks:
            if isinstance(block, Table):
                parts.append(_html_table(block))
            elif isinstance(block, Pictures):
                parts.append(_html_pictures(block, drawn))
            else:
                parts.append(f"<p>{escape(block)}</p>")
        parts.append("</section>")
    return "\n".join([*parts, "</body>\n</html>\n"])


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _html_table(table: Table) -> str:
    columns = [[row[n] for row in table.rows] for n in range(len(table.header))]
    kinds = [_kind(column) for column in columns]
    head = "".join(
        f'<th scope="col"{kind}>{escape(name)}</th>'
        for name, kind in zip(table.header, kinds, strict=True)
    )
    body = "\n".join(
        "<tr>"
        + "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row, kinds, strict=True))
        + "</tr>"
        for row in table.rows
    )
    caption = f"<caption>{escape(table.caption)}</caption>\n" if table.caption else ""
    return (
        f'<div class="table"><table>\n{caption}<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _kind(column: Sequence[str]) -> str:
    """Class of the cells of a column: numbers, words, or texts that may be broken into lines."""
    if all(re.fullmatch(r"[-+−]?[\d.]+(e[-+]?\d+)?|–", cell) for cell in column):
        return ""
    return ' class="text"' if any(len(cell) > 36 for cell in column) else ' class="word"'


def _html_pictures(block: Pictures, drawn: dict[str, bytes]) -> str:
    images = "\n".join(
        f'<img alt="{escape(picture.alt)}" width="{_css_width(drawn[picture.name])}" '
        f'src="data:image/png;base64,{base64.b64encode(drawn[picture.name]).decode("ascii")}">'
        for picture in block.pictures
    )
    return (
        f"<figure>\n<div>\n{images}\n</div>\n"
        f"<figcaption>{escape(block.caption)}</figcaption>\n</figure>"
    )


def _css_width(png: bytes) -> int:
    """Width of a PNG in the page's pixels, of which an inch has 96; here a little more."""
    return round(int.from_bytes(png[16:20], "big") / DOTS_PER_INCH * 120)


# ---------------------------------------------------------------------- Markdown
def _markdown(document: Document, folder: str) -> str:
    lines = [f"# {_plain(document.title)}", ""]
    for section in document.sections:
        lines += [f"## {_plain(section.title)}", ""]
        for block in section.blocks:
            if isinstance(block, Table):
                lines += _markdown_table(block)
            elif isinstance(block, Pictures):
                place = folder.replace(" ", "%20")
                lines += [
                    f"![{_plain(picture.alt)}]({place}/{picture.name}.png)"
                    for picture in block.pictures
                ]
                lines += ["", _plain(block.caption), ""]
            else:
                lines += [_plain(block), ""]
    return "\n".join(lines).rstrip() + "\n"


def _markdown_table(table: Table) -> list[str]:
    columns = [[row[n] for row in table.rows] for n in range(len(table.header))]
    marks = [" --- " if n == 0 or _kind(column) else " ---: " for n, column in enumerate(columns)]
    lines = ["| " + " | ".join(map(_plain, table.header)) + " |", "|" + "|".join(marks) + "|"]
    lines += ["| " + " | ".join(map(_plain, row)) + " |" for row in table.rows]
    return [*lines, "", *([_plain(table.caption), ""] if table.caption else [])]


def _plain(text: str) -> str:
    """Text whose signs mean nothing in Markdown."""
    return re.sub(r"([\\`*_<>\[\]|])", r"\\\1", text)
