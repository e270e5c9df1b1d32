"""Pictures and reports of evaluations: numbers drawn, names that can be read, whole documents."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations, combinations_with_replacement, pairwise

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")
from matplotlib import pyplot as plt

from ase_mlham.electronic.collapse import Collapse
from ase_mlham.electronic.comparison import BandComparison, Deviation
from ase_mlham.errors import FormatError, InputError
from ase_mlham.learning.evaluation import EnergyErrors, Evaluation, StructureErrors
from ase_mlham.learning.histograms import ElementHistograms
from ase_mlham.learning.metrics import MatrixErrors, Tally
from ase_mlham.plots import document as documents
from ase_mlham.plots.document import (
    Document,
    Picture,
    Pictures,
    Section,
    Table,
    number,
    write_document,
)
from ase_mlham.plots.evaluation.bands import (
    plot_cost,
    plot_electron_errors,
    plot_energy_errors,
    plot_gaps,
)
from ase_mlham.plots.evaluation.matrix import (
    plot_distance_errors,
    plot_element_errors,
    plot_error_sizes,
    plot_error_spread,
    plot_matrix_elements,
    plot_structure_errors,
)
from ase_mlham.plots.evaluation.pairs import (
    plot_pair_errors,
    plot_pairs_against_counts,
    plot_shell_errors,
    plot_training_pairs,
)
from ase_mlham.plots.evaluation.report import evaluation_document, write_report

TEN = ("B", "C", "N", "O", "Al", "Si", "P", "Ga", "Ge", "As")
FOR_MANY = (
    plot_structure_errors,
    plot_element_errors,
    plot_pairs_against_counts,
    plot_distance_errors,
    plot_error_spread,
    plot_energy_errors,
    plot_gaps,
    plot_electron_errors,
    plot_cost,
)
FOR_ONE = (
    plot_pair_errors,
    plot_training_pairs,
    plot_shell_errors,
    plot_matrix_elements,
    plot_error_sizes,
)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def made_up(name="model 1", scale=1.0, elements=("C", "Si", "Ge"), n=8) -> Evaluation:
    """Random errors that are larger for rare pairs; the second structure has collapsed."""
    rng = np.random.default_rng(0)
    pairs = [f"{a}-{b}" for a, b in combinations_with_replacement(elements, 2)]
    counts = {pair: int(100 * 1.7 ** (k % 16)) + k for k, pair in enumerate(pairs)}
    histograms = ElementHistograms()
    structures = []
    for k in range(n):
        chosen = sorted(rng.choice(len(elements), size=min(3, len(elements)), replace=False))
        names = [elements[index] for index in chosen]
        errors = MatrixErrors(shifts=[0.0])
        for a, b in combinations_with_replacement(names, 2):
            error = scale * 1e-3 * (1 + k) * rng.standard_normal(200) / counts[f"{a}-{b}"] ** 0.3
            reference = rng.standard_normal(200) * 10 ** rng.uniform(-3, 1, 200)
            histograms.add(reference + error, reference, 2)
            tally = Tally.of(error, 2)
            for whole in (errors.overall, errors.offsite):
                whole.add(tally)
            errors.offsite_by_elements[f"{a}-{b}"] = tally
            for distance, shells in enumerate(("s-s", "s-p", "p-p", "p-d")):
                where = f"{distance + 1}-{distance + 2}"
                errors.by_distance.setdefault(where, Tally()).add(tally)
                errors.by_shells.setdefault(shells, Tally()).add(tally)
        for element in names:
            tally = Tally.of(5e-3 * scale * rng.standard_normal(20))
            errors.overall.add(tally)
            errors.onsite.add(tally)
            errors.onsite_by_element[element] = tally
        gap = max(0.0, k - 2.0)
        small = Deviation(0.005 * scale, 0.006, 0.02, 10)
        windows = {"1 eV": small, "3 eV": small}
        far = np.concatenate([rng.uniform(-9, -6, 50), rng.uniform(-3, 9, 50)])
        structures.append(
            StructureErrors(
                name=f"{k:04d}.h5",
                formula="".join(names),
                elements=tuple(names),
                n_atoms=4 + 3 * k,
                matrix=errors,
                overlap=1e-9,
                bands=BandComparison(0.1, small, gap * 1.1, gap, (0.0, 0.0, 0.0), windows),
                energies=EnergyErrors.of(1e-3 * scale * (1 + abs(far)), far, 0.01 * (gap == 0)),
                collapse=Collapse(int(k == 1), 0, 1.5, -20.0, -80.0, 1e-3, (0.0, 0.0, 0.0)),
                warnings=("3 pairs are far",) if k == 0 else (),
                seconds=0.01 * (4 + 3 * k),
                peak_memory=5e8,
            )
        )
    return Evaluation(name, tuple(structures), counts, histograms)


@pytest.fixture(scope="module")
def one() -> Evaluation:
    return made_up()


@pytest.fixture(scope="module")
def two(one) -> list[Evaluation]:
    return [one, made_up("other 2", 3.0)]


@pytest.fixture(scope="module")
def exact() -> Evaluation:
    """One structure, without any error."""
    return made_up(scale=0.0, elements=("Si",), n=1)


def first_of(axes):
    return axes[0] if isinstance(axes, tuple) else axes


# ---------------------------------------------------------------------- numbers drawn
@pytest.mark.parametrize("draw", [*FOR_MANY, *FOR_ONE], ids=lambda f: f.__name__)
def test_axes_have_names_and_units(draw, one):
    made = draw(one)
    for axes in made if isinstance(made, tuple) else (made,):
        if draw in (plot_pair_errors, plot_training_pairs, plot_shell_errors):
            # names of elements and shells at the axes, the unit at the colours
            assert axes.figure.axes[-1].get_ylabel()
            continue
        if draw is not plot_element_errors:
            assert axes.get_xlabel()
        assert axes.get_ylabel()
        said = axes.get_xlabel() + axes.get_ylabel()
        assert re.search(r"\((meV|eV|Å|s|%|a cell)\)", said), said
    assert made is not None


@pytest.mark.parametrize("draw", FOR_MANY, ids=lambda f: f.__name__)
def test_each_model_has_a_name_and_a_colour(draw, two):
    made = draw(two)
    shown = made if isinstance(made, tuple) else (made,)
    legends = [axes.get_legend() for axes in shown if axes.get_legend() is not None]
    texts = [text.get_text() for legend in legends for text in legend.get_texts()]
    assert any(text.startswith("model 1") for text in texts)
    assert any(text.startswith("other 2") for text in texts)
    alone = draw(two[0])
    for axes in alone if isinstance(alone, tuple) else (alone,):
        if axes.get_legend() is not None:
            assert draw in (plot_pairs_against_counts, plot_error_spread)


def test_bars_are_the_errors_of_elements(one):
    upper, lower = plot_element_errors(one)
    table = one.element_errors()
    assert [bar.get_height() for bar in upper.patches] == [e.mae for e in table.values()]
    assert [bar.get_height() for bar in lower.patches] == [e.onsite.mae for e in table.values()]
    labels = [text.get_text() for text in upper.get_xticklabels()]
    assert labels == [f"{name}\n{e.structures}" for name, e in table.items()]


def test_heat_map_holds_each_pair_once():
    evaluation = made_up(elements=("C", "Si"), n=2)
    only = replace(evaluation.structures[0], matrix=MatrixErrors())
    only.matrix.offsite_by_elements["C-Si"] = Tally(4, 0.008, 0.0, 0.004)
    evaluation = replace(evaluation, structures=(only,), training_pairs={"C-C": 0, "C-Si": 31000})
    axes = plot_pair_errors(evaluation)
    assert [text.get_text() for text in axes.texts] == ["2.0"]
    assert axes.texts[0].get_position() == (0.5, 1.5)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["C", "Si"]
    counted = plot_training_pairs(evaluation)
    assert {t.get_text(): t.get_position() for t in counted.texts} == {
        "0": (0.5, 0.5),
        "31k": (0.5, 1.5),
    }


def test_coefficient_stands_above_the_points(one):
    axes = plot_pairs_against_counts(one)
    told = one.pair_correlation()
    (text,) = [text.get_text() for text in axes.get_legend().get_texts()]
    assert text == f"ρ = −{abs(told.coefficient):.2f}, p = {told.p_value:.2g}, 6 pairs"
    points = axes.collections[0].get_offsets()
    expected = [(one.training_pairs[pair], t.mae) for pair, t in one.pair_errors().items()]
    assert np.allclose(points, expected)
    few = replace(one, training_pairs={"C-C": 0})
    axes = plot_pairs_against_counts(few)
    assert "too few" in axes.get_legend().get_texts()[0].get_text()
    # a logarithm has no zero
    assert axes.get_xscale() == "symlog"


def test_energies_are_drawn_where_there_are_states(one):
    axes = plot_energy_errors(one)
    table = one.energy_errors()
    drawn = np.concatenate([line.get_xydata() for line in axes.lines if line.get_marker() == "o"])
    assert np.allclose(drawn, [(low + 0.5, tally.mae) for low, tally in table.items()])
    # no line crosses the hole from -6 to -3 eV
    steps = [np.diff(line.get_xdata()) for line in axes.lines if line.get_marker() == "o"]
    assert len(steps) == 2
    assert max(step.max() for step in steps) == pytest.approx(1.0)


def test_collapsed_structures_are_crosses(one):
    axes = plot_gaps(one)
    circles, crosses = (
        np.concatenate([line.get_xydata() for line in axes.lines if line.get_marker() == marker])
        for marker in "ox"
    )
    assert len(crosses) == 1
    assert len(circles) == len(one.structures) - 1
    assert np.allclose(circles[:, 1], 1.1 * circles[:, 0])
    errors = plot_electron_errors(one)
    assert {line.get_marker() for line in errors.lines} >= {"o", "x"}
    points = next(line.get_xydata() for line in errors.lines if line.get_marker() == "o")
    assert [y for x, y in points if x == 0] == [0.01] * int((points[:, 0] == 0).sum())


def test_share_of_structures_ends_at_one(one):
    _, right = plot_structure_errors(one)
    curve = next(line for line in right.lines if len(line.get_xdata()) > 2)
    assert curve.get_ydata()[0] == 0
    assert curve.get_ydata()[-1] == 1
    maes = sorted(e.matrix.overall.mae for e in one.structures)
    assert np.allclose(curve.get_xdata()[1:-1], maes)
    (dotted,) = [line for line in right.lines if len(line.get_xdata()) == 2]
    assert dotted.get_xdata()[0] == pytest.approx(np.mean(maes))


def test_densities_lose_no_element(one):
    total = one.histograms.values.counts.sum()
    for draw in (plot_matrix_elements, plot_error_sizes):
        mesh = draw(one).collections[0]
        assert mesh.get_array().sum() == total


def test_the_first_prediction_is_not_timed(one):
    points = plot_cost(one).lines[0].get_xydata()
    assert len(points) == len(one.structures) - 1
    assert np.allclose(points[:, 1], 0.01 * points[:, 0])


# ---------------------------------------------------------------------- what can be read
def overlapping(texts) -> list[tuple[str, str]]:
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts if t.get_text()]
    return [(a, b) for (a, one), (b, two) in combinations(boxes, 2) if one.overlaps(two)]


@pytest.mark.parametrize("elements", [TEN, TEN + tuple("HFSKVYIW")], ids=len)
def test_names_of_many_elements_do_not_overlap(elements):
    from ase.data import atomic_numbers

    elements = tuple(sorted(elements, key=atomic_numbers.__getitem__))
    evaluation = made_up(elements=elements, n=30)
    assert len(evaluation.element_errors()) == len(elements)
    for axes in (*plot_element_errors(evaluation), plot_pair_errors(evaluation)):
        axes.figure.canvas.draw()
        assert not overlapping(axes.get_xticklabels())
        assert not overlapping(axes.get_yticklabels())
    axes = plot_pairs_against_counts(evaluation)
    axes.figure.canvas.draw()
    assert len(axes.texts) >= 5
    assert not overlapping(axes.texts)


@pytest.mark.parametrize("draw", FOR_MANY, ids=lambda f: f.__name__)
def test_ticks_do_not_overlap(draw, two):
    axes = first_of(draw(two))
    axes.figure.canvas.draw()
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        shown = [t.label1 for t in axis.get_major_ticks() if low <= t.get_loc() <= high]
        assert not overlapping(shown)


@pytest.mark.parametrize("draw", FOR_MANY, ids=lambda f: f.__name__)
def test_long_names_leave_room_for_the_picture(draw, two):
    long = [replace(e, model=f"trained/on/many/structures/{e.model}" * 2) for e in two]
    axes = first_of(draw(long))
    # a layout that finds no room warns, which is an error here
    axes.figure.canvas.draw()
    named = [t.get_text() for t in axes.figure.findobj(mpl.text.Text) if "…" in t.get_text()]
    assert len(named) >= 2


@pytest.mark.parametrize("draw", [*FOR_MANY, *FOR_ONE], ids=lambda f: f.__name__)
def test_a_model_without_errors_can_be_drawn(draw, exact):
    # on its own output, for example; a logarithmic axis would have nothing to show
    axes = first_of(draw(exact))
    axes.figure.canvas.draw()
    assert axes.get_figure() is not None


def test_settings_stay_as_they_were(two):
    before = dict(mpl.rcParams)
    plot_gaps(two)
    plot_pair_errors(two[0])
    assert dict(mpl.rcParams) == before


def test_own_axes_are_used(one):
    _, given = plt.subplots(1, 2)
    assert plot_structure_errors(one, ax=given) == tuple(given)
    with pytest.raises(InputError, match="needs 2"):
        plot_element_errors(one, ax=given[0])
    with pytest.raises(InputError, match="no evaluation"):
        plot_gaps([])


# ---------------------------------------------------------------------- documents
class Page(HTMLParser):
    """Tags that are opened and closed in order, and all addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[tuple[str, str]] = []
        self.ids: set[str] = set()
        self.count: dict[str, int] = {}
        self.words: list[str] = []

    def handle_starttag(self, tag, attributes):
        self.count[tag] = self.count.get(tag, 0) + 1
        if tag not in ("meta", "img"):
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "action", "data", "srcset"):
                self.addresses.append((tag, value))
            if name == "id":
                self.ids.add(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
def quick(monkeypatch):
    """Coarse pictures: what is tested is the document."""
    monkeypatch.setattr(documents, "DOTS_PER_INCH", 40)


SECTIONS = (
    "Summary",
    "Matrix elements",
    "Structures",
    "Elements",
    "Pairs of elements",
    "Shells and distances",
    "Bands",
    "Gaps and electrons",
    "Ghost states",
    "Time and memory",
    "Reservations",
)


def test_html_is_one_whole_file(quick, two, tmp_path):
    path = tmp_path / "report.html"
    write_report(path, two, {"data": "a & <b>"})
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
    text = path.read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    page.close()
    assert not page.open
    assert "script" not in page.count
    assert "http" not in re.sub(r"base64,[^\"]*", "", text)
    for tag, address in page.addresses:
        assert address.startswith("data:image/png;base64," if tag == "img" else "#")
        if tag == "a":
            assert address[1:] in page.ids
    # of two models five pictures are drawn twice, but the count of one training
    assert page.count["img"] == 9 + 2 * 4 + 1
    words = "".join(page.words)
    for title in SECTIONS:
        assert title in words
    assert "a & <b>" in words


def test_markdown_has_its_pictures_beside_it(quick, one, tmp_path):
    path = tmp_path / "my report.md"
    folder = tmp_path / "my report_files"
    folder.mkdir()
    (folder / "mine.txt").write_text("stays")
    write_report(path, one)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Errors of model 1\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == list(SECTIONS)
    named = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    files = {entry.name for entry in folder.iterdir()}
    assert {name.replace("%20", " ").partition("/")[2] for name in named} == files - {"mine.txt"}
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in files - {"mine.txt"})
    for rows in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows.splitlines()}) == 1
    assert f"| H MAE | meV | {number(one.summary()['H MAE'])} |" in text


def tables_of(document: Document) -> dict[str, list[Table]]:
    return {
        section.title: [block for block in section.blocks if isinstance(block, Table)]
        for section in document.sections
    }


def test_numbers_of_the_report_are_those_of_the_evaluation(two):
    tables = tables_of(evaluation_document(two))
    elements = [evaluation.element_errors() for evaluation in two]
    assert [list(row) for row in tables["Elements"][0].rows] == [
        [
            name,
            str(entry.structures),
            *(number(each[name].mae) for each in elements),
            *(number(each[name].onsite.mae) for each in elements),
        ]
        for name, entry in elements[0].items()
    ]
    told = two[1].pair_correlation()
    correlations, pairs = tables["Pairs of elements"]
    assert correlations.rows[1][1:] == [
        f"{told.coefficient:.3f}",
        f"{told.p_value:.2g}",
        str(told.n),
    ]
    # elements in the order of atomic numbers, C Si Ge
    assert [row[0] for row in pairs.rows] == ["C-C", "C-Si", "C-Ge", "Si-Si", "Si-Ge", "Ge-Ge"]
    assert [row[1] for row in pairs.rows] == [str(two[0].training_pairs[r[0]]) for r in pairs.rows]
    worst = max(two[0].structures, key=lambda e: e.matrix.overall.mae)
    assert tables["Structures"][0].rows[0][:2] == [worst.name, worst.formula]
    ghosts, listed = tables["Ghost states"]
    assert [row[2] for row in ghosts.rows] == ["1", "1"]
    assert [row[0] for row in listed.rows] == ["0001.h5", "0001.h5"]
    summary = {row[0]: row[2:] for row in tables["Summary"][1].rows}
    assert summary["H MAE"] == [number(e.summary()["H MAE"]) for e in two]
    electrons = [abs(e.energies.electrons) for e in two[0].with_bands]
    assert summary["electron count MAE"][0] == number(np.mean(electrons))


def test_a_report_without_bands_and_correlation(one):
    plain = replace(
        one,
        structures=tuple(
            replace(e, bands=None, energies=None, collapse=None, warnings=())
            for e in one.structures
        ),
        training_pairs={},
    )
    tables = tables_of(evaluation_document(plain))
    absent = {"Bands", "Gaps and electrons", "Ghost states", "Reservations"}
    assert not absent & tables.keys()
    assert tables["Pairs of elements"][0].rows == [["model 1", "–", "–", "–"]]


def test_nothing_is_written_when_a_picture_fails(tmp_path):
    def fails():
        raise FormatError("no ink")

    def works():
        return plt.subplots()[1]

    pictures = [Picture("a", "works", works), Picture("b", "fails", fails)]
    document = Document("t", [Section("s", [Pictures(pictures, "c")])])
    for name in ("report.html", "report.md"):
        (tmp_path / name).write_text("old")
        with pytest.raises(FormatError, match="no ink"):
            write_document(tmp_path / name, document)
        assert (tmp_path / name).read_text() == "old"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["report.html", "report.md"]


def test_signs_are_written_as_text(tmp_path):
    document = Document("a <b> | c", [Section("s_1 *x*", ["p & q", Table(["|"], [["<i>"]], "")])])
    write_document(tmp_path / "r.html", document)
    page = Page()
    page.feed((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert not {"b", "i"} & page.count.keys()
    words = "".join(page.words)
    assert "a <b> | c" in words
    assert "p & q" in words
    write_document(tmp_path / "r.md", document)
    text = (tmp_path / "r.md").read_text(encoding="utf-8")
    assert "# a \\<b\\> \\| c" in text
    assert "s\\_1 \\*x\\*" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1234.5, "1234"), (0.12345, "0.123"), (9.999, "10.0"), (1e-7, "1.00e-07")],
)
def test_numbers_have_three_digits(value, text):
    assert number(value) == text
    assert number(None) == number(float("nan")) == "–"


def test_reports_that_cannot_be(one, tmp_path):
    with pytest.raises(InputError, match="\\.html or \\.md"):
        write_report(tmp_path / "report.pdf", one)
    (tmp_path / "r_files").write_text("")
    with pytest.raises(InputError, match="is a file"):
        write_report(tmp_path / "r.md", one)
    with pytest.raises(InputError, match="different structures"):
        write_report(tmp_path / "r.html", [one, replace(one, structures=one.structures[1:])])
    with pytest.raises(FormatError, match="does not exist"):
        write_document(tmp_path / "none" / "r.html", Document("t", []))


def test_matplotlib_is_loaded_only_for_drawing():
    import subprocess
    import sys

    code = (
        "import sys, ase_mlham.plots.evaluation.report, ase_mlham.learning.evaluation;"
        "sys.exit(bool({'matplotlib', 'torch'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_bins_of_distance_are_in_order():
    errors = MatrixErrors()
    for low in (9, 10, 2):
        errors.by_distance[f"{low}-{low + 1}"] = Tally.of(np.full(3, 1e-3 * low))
    evaluation = made_up(n=1)
    evaluation = replace(evaluation, structures=(replace(evaluation.structures[0], matrix=errors),))
    line = plot_distance_errors(evaluation).lines[0]
    assert np.allclose(line.get_xydata(), [(2.5, 2), (9.5, 9), (10.5, 10)])
    assert all(a < b for a, b in pairwise(line.get_xdata()))
