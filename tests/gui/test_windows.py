"""The windows, driven under a virtual display as a user would drive them."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from ase_mlham.cli.main import build_parser
from ase_mlham.formats import write_system
from ase_mlham.gui.command import main_window

tk = pytest.importorskip("tkinter", reason="needs tkinter: apt-get install python3-tk")


def pixels(window, index) -> tuple[float, float]:
    """Where a state of a bands window is drawn."""
    points = window.points
    x, y = points.x[index[1]], points.states.energies[index] - points.level
    return tuple(window.axes.transData.transform((x, y)))


def single_state(points, band: int = 4) -> tuple[int, int, int]:
    """A state in the picture that shares its energy with no other."""
    inside = abs(points.states.energies[0, :, band] - points.level) < 6
    return next(
        (0, int(k), band)
        for k in np.flatnonzero(inside)
        if points.state((0, int(k), band)).degeneracy == 1
    )


def buttons(widget) -> dict[str, tk.Widget]:
    """All widgets below one that can be pressed, by their text."""
    found = {}
    for child in widget.winfo_children():
        if "button" in child.winfo_class().lower():
            found[str(child.cget("text"))] = child
        found.update(buttons(child))
    return found


def menu_entry(gui, label: str) -> tuple[tk.Menu, int]:
    """An entry of the Electronic structure menu."""
    bar = gui.window.win.nametowidget(gui.window.win["menu"])
    titles = [bar.entrycget(n, "label") for n in range(1, bar.index("end") + 1)]
    assert titles.index("Electronic structure") == titles.index("Help") - 1
    menu = bar.nametowidget(bar.entrycget(titles.index("Electronic structure") + 1, "menu"))
    for n in range(menu.index("end") + 1):
        if menu.type(n) in ("command", "checkbutton") and menu.entrycget(n, "label") == label:
            return menu, n
    raise AssertionError(f"no entry {label!r}")


def choose(driver, label: str) -> None:
    """Choose an entry of the menu with the mouse, as it were."""
    menu, n = menu_entry(driver.gui, label)
    menu.invoke(n)
    driver.update()


def test_open_predict_click_a_band_close(drive, silicon, toys, dialogues):
    driver = drive(silicon, toys())
    electronics = driver.electronics
    plain = driver.drawn_colours()
    choose(driver, "Bands ...")
    (window,) = electronics.windows
    driver.wait()
    points = window.points
    assert points.states.energies.shape[2] == 8
    assert "gap" in window.message["text"]
    assert window.source["text"] == "model toy"

    index = single_state(points)
    at = pixels(window, index)
    driver.mouse(window, "motion_notify_event", *at, None)
    assert f"band {index[2]}" in window.message["text"]
    assert "E − E_F" in window.message["text"]
    assert window.markers[0].get_visible()
    driver.click(window, *at)
    driver.wait()
    # atoms of one kind share every state of a crystal with inversion between them
    np.testing.assert_allclose(electronics.colouring.values, [0.5, 0.5], atol=1e-6)
    assert driver.drawn_colours() != plain
    state = electronics.state_window
    assert state.exists
    assert state.drawn.values.max() > 0
    state.plane.set("a, c")
    state.turn()
    state.quantity.set("real part")
    state.draw()
    assert state.drawn.signed
    before = state.drawn.title
    state.slider.set(0.999)
    assert state.drawn.title != before

    state.close()
    window.close()
    assert electronics.windows == []
    assert electronics.state_window is None
    choose(driver, "Plain atoms")
    assert driver.drawn_colours() == plain
    assert dialogues == []
    driver.gui.exit()
    assert not driver.gui.window.exists


def test_while_zooming_a_click_chooses_nothing(drive, silicon, toys):
    driver = drive(silicon, toys())
    window = driver.electronics.show_bands()
    driver.wait()
    window.in_space.set(False)
    window.toolbar.zoom()
    corner = window.axes.transAxes.transform((0.1, 0.2))
    driver.mouse(window, "button_press_event", *corner)
    driver.mouse(window, "button_release_event", *window.axes.transAxes.transform((0.9, 0.8)))
    assert window.chosen is None
    before = window.axes.get_ylim()
    assert before != (-10.0, 8.0)
    window.toolbar.zoom()
    index = next(
        index
        for index in ((0, int(k), 4) for k in range(len(window.points.x)))
        if window.axes.bbox.contains(*pixels(window, index))
        and window.points.state(index).degeneracy == 1
    )
    driver.click(window, *pixels(window, index))
    driver.wait()
    assert driver.electronics.state_window is None
    assert window.axes.get_ylim() == before
    assert window.chosen == window.points.state(index)


def test_another_path(drive, silicon, toys, dialogues):
    driver = drive(silicon, toys())
    window = driver.electronics.show_bands()
    driver.wait()
    window.path.insert(0, "LGX")
    window.path.event_generate("<Return>")
    window.compute()
    driver.wait()
    assert window.points.bands.path.path == "LGX"
    window.path.delete(0, "end")
    window.path.insert(0, "LQ")
    window.compute()
    driver.wait()
    assert "special points of this cell" in dialogues.text
    assert window.points.bands.path.path == "LGX"


def test_a_wrong_model_is_a_dialogue_with_the_remedy(drive, toys, dialogues):
    driver = drive(bulk("Ge", "diamond", a=5.6), toys())
    window = driver.electronics.show_bands()
    driver.wait()
    assert dialogues == [("bands", "atom 0 (Ge): model 'toy' covers Si; choose another model")]
    assert "No bands" in window.message["text"]
    # charges that follow the frames complain once, and not at every frame
    driver.electronics.colour_by_charge()
    driver.wait()
    assert len(dialogues) == 2
    driver.gui.set_frame()
    driver.wait()
    assert len(dialogues) == 2


def test_a_missing_model_file_is_refused_when_it_is_chosen(drive, silicon, toys, dialogues):
    toy = toys()
    driver = drive(silicon, toy)
    chooser = driver.electronics.choose_source()
    chooser.use("missing.mlham")
    driver.wait()
    assert "missing.mlham" in dialogues.text
    assert driver.electronics.hamiltonians.model is toy
    assert chooser.choice.get() == str(toy)
    chooser.close()


def test_choosing_the_source(drive, silicon, toys, dialogues):
    driver = drive(silicon, toys())
    electronics = driver.electronics
    window = electronics.show_bands()
    electronics.colour_by_charge()
    driver.wait()
    chooser = electronics.choose_source()
    chooser.use("")
    assert electronics.hamiltonians.model is None
    assert electronics.colouring is None
    assert "source has changed" in window.message["text"]
    # a state of the old Hamiltonian is not looked for in the new one
    driver.click(window, *pixels(window, single_state(window.points)))
    assert window.chosen is None
    assert "another source" in window.message["text"]
    chooser.outside.set(True)
    chooser.apply()
    assert electronics.hamiltonians.on_unknown == "warn"
    chooser.close()
    assert dialogues == []


def test_what_nobody_foresaw_comes_with_its_traceback(drive, silicon, toys, dialogues):
    def wait():
        raise KeyError("surprise")

    driver = drive(silicon, toys(wait=wait))
    driver.electronics.show_bands()
    driver.wait()
    assert dialogues == []
    texts = [
        child.get("1.0", "end")
        for window in driver.gui.window.win.winfo_children()
        for child in window.winfo_children()
        if child.winfo_class() == "Text"
    ]
    assert any("KeyError: 'surprise'" in text and "in wait" in text for text in texts)


def test_stop_and_a_window_that_does_not_freeze(drive, silicon, toys, dialogues):
    started, release = threading.Event(), threading.Event()

    def wait():
        started.set()
        release.wait(10)

    driver = drive(silicon, toys(wait=wait))
    window = driver.electronics.show_bands()
    driver.wait(started.is_set)
    assert window.strip.frame.winfo_ismapped()
    assert "bands" in window.strip.label["text"]
    # while it computes, the main window takes orders
    axes = driver.gui.axes.copy()
    driver.gui.set_view("X")
    driver.update()
    assert not np.allclose(driver.gui.axes, axes)
    buttons(window.window.win)["Stop"].invoke()
    assert "stopping" in window.strip.label["text"]
    release.set()
    driver.wait()
    assert window.points is None
    driver.wait(lambda: not window.strip.frame.winfo_ismapped())
    assert dialogues == []
    # and the next one runs
    window.compute()
    driver.wait()
    assert window.points is not None


def test_closing_the_window_stops_its_work(drive, silicon, toys, dialogues):
    started, release = threading.Event(), threading.Event()

    def wait():
        started.set()
        release.wait(10)

    driver = drive(silicon, toys(wait=wait))
    window = driver.electronics.show_dos()
    driver.wait(started.is_set)
    window.close()
    release.set()
    driver.wait()
    assert dialogues == []
    assert window.found is None


def test_density_of_states_click_and_drag(drive, silicon, toys):
    driver = drive(silicon, toys())
    electronics = driver.electronics
    window = electronics.show_dos()
    driver.wait()
    transform = window.axes.transData.transform
    _, middle = window.axes.transAxes.transform((0.5, 0.5))
    driver.mouse(window, "motion_notify_event", transform((-3.0, 0))[0], middle, None)
    assert "electrons/eV (Si" in window.message["text"]
    driver.click(window, transform((-3.0, 0))[0], middle)
    low, high = window.window_shown
    assert (low + high) / 2 == pytest.approx(-3.0, abs=0.05)
    clicked = electronics.colouring.values
    driver.mouse(window, "button_press_event", transform((-8.0, 0))[0], middle)
    driver.mouse(window, "motion_notify_event", transform((0.0, 0))[0], middle, None)
    driver.mouse(window, "button_release_event", transform((0.0, 0))[0], middle)
    assert electronics.colouring.values.sum() > 5 * clicked.sum()
    assert "electrons in states from -8" in window.message["text"]
    choose(driver, "Colour by density at the Fermi level")
    driver.wait()
    assert "electrons, " in electronics.colouring.title


def test_a_repeated_view(drive, silicon, toys, dialogues):
    driver = drive(silicon, toys(split=0.5))
    electronics, gui = driver.electronics, driver.gui
    gui.images.repeat_images([2, 2, 1])
    gui.set_frame()
    choose(driver, "Colour by charge")
    choose(driver, "Spin arrows")
    driver.wait()
    assert len(gui.atoms) == 8
    assert len(electronics.colouring.values) == 2
    assert len(electronics.arrows.vectors) == 2
    colours = gui.get_colors()
    assert colours == colours[:2] * 4
    lines = [
        item
        for item in gui.window.canvas.find_all()
        if gui.window.canvas.type(item) == "line"
        and gui.window.canvas.itemcget(item, "arrow") == "last"
    ]
    # seen along z moments are points and crosses; turned, they are arrows
    assert not lines
    gui.set_view("X")
    arrows = [
        item
        for item in gui.window.canvas.find_all()
        if gui.window.canvas.type(item) == "line"
        and gui.window.canvas.itemcget(item, "arrow") == "last"
    ]
    # with a white edge each
    assert len(arrows) == 2 * 8
    # up on one atom of the cell, down on the other
    assert electronics.arrows.vectors[0, 2] == pytest.approx(-electronics.arrows.vectors[1, 2])
    assert electronics.arrows.vectors[0, 2] != 0
    # the key of the structure does not depend on how often it is drawn
    gui.images.repeat_images([1, 1, 1])
    gui.set_frame()
    driver.update()
    assert electronics.colouring is not None
    # ASE's own window of colours has the last word
    gui.colormode = "neighbors"
    gui.draw()
    assert gui.get_colors() != colours[:2]
    assert dialogues == []


def test_moments_of_a_hamiltonian_without_spin(drive, silicon, toys, dialogues):
    driver = drive(silicon, toys())
    choose(driver, "Spin arrows")
    driver.wait()
    driver.update()
    assert "has no spin" in dialogues.text
    assert not driver.gui.window["toggle-spin-arrows"]
    choose(driver, "Colour by magnetic moment")
    driver.wait()
    driver.update()
    assert len(dialogues) == 2


def test_a_trajectory(drive, silicon, toys, dialogues):
    images = [silicon.copy() for _ in range(4)]
    for n, atoms in enumerate(images):
        atoms.set_cell(np.asarray(atoms.cell) * (1 + 0.01 * n), scale_atoms=True)
    toy = toys(split=0.3)
    driver = drive(images, toy)
    electronics, gui = driver.electronics, driver.gui
    choose(driver, "Gap along the frames ...")
    (window,) = electronics.windows
    driver.wait()
    assert [one.frame for one in window.found] == [0, 1, 2, 3]
    assert len(window._curves[0].get_xdata()) == 4
    place = window.axes[0].transData.transform((1.1, window.found[1].gap))
    driver.click(window, *place)
    assert gui.frame == 1
    assert "frame 1: gap" in window.message["text"]

    # colours follow the frames, and those of a frame that was seen are there at once
    choose(driver, "Colour by magnetic moment")
    driver.wait()
    first = electronics.colouring.key
    gui.set_frame(2)
    assert electronics.colouring is None
    driver.wait()
    assert electronics.colouring.key != first
    calls = toy.calls
    gui.set_frame(1)
    assert electronics.colouring.key == first
    assert toy.calls == calls

    # bands of a frame that is no longer shown cannot be clicked
    bands = electronics.show_bands()
    driver.wait()
    gui.set_frame(3)
    driver.wait()
    assert "other atoms" in bands.message["text"]
    driver.click(bands, *pixels(bands, single_state(bands.points)))
    assert bands.chosen is None
    assert "Refresh first" in bands.message["text"]
    assert dialogues == []


def test_results_of_a_frame_that_is_left_are_dropped(drive, silicon, toys):
    started, release = threading.Event(), threading.Event()

    def wait():
        started.set()
        release.wait(10)

    other = bulk("Si", "diamond", a=5.5)
    driver = drive([silicon, other], toys(wait=wait))
    driver.gui.set_frame(0)
    driver.electronics.colour_at_fermi_level()
    driver.wait(started.is_set)
    driver.gui.set_frame(1)
    release.set()
    driver.wait()
    assert driver.electronics.colouring is None


def test_an_edited_structure_drops_what_lies_over_it(drive, silicon, toys):
    driver = drive(silicon, toys())
    driver.electronics.colour_by_charge()
    driver.wait()
    driver.electronics.following = None
    assert driver.electronics.colouring is not None
    driver.gui.atoms.positions[0] += 0.01
    driver.gui.set_frame()
    assert driver.electronics.colouring is None


def test_an_empty_window(drive, dialogues):
    from ase import Atoms

    driver = drive(Atoms())
    for entry in ("Bands ...", "Gap ...", "Colour by charge", "Spin arrows"):
        choose(driver, entry)
    assert len(dialogues) == 4
    assert {message for _, message in dialogues} == {
        "there are no atoms: open a structure first (File > Open)"
    }


def test_the_gap_in_words(drive, silicon, toys):
    driver = drive(silicon, toys())
    choose(driver, "Gap ...")
    driver.wait()
    driver.update()
    texts = [
        child.get("1.0", "end")
        for window in driver.gui.window.win.winfo_children()
        for child in window.winfo_children()
        if child.winfo_class() == "Text"
    ]
    assert any("valence band maximum" in text for text in texts)


def test_the_command_opens_files_with_their_own_hamiltonian(
    display, home, dialogues, tmp_path, silicon, toys
):
    from ase.io import write

    write_system(toys().predict(silicon), tmp_path / "own.h5")
    write(tmp_path / "run.extxyz", [silicon] * 3)
    files = [f"{tmp_path}/own.h5", f"{tmp_path}/run.extxyz@1:"]
    options = build_parser("gui").parse_args(["gui", *files, "-r", "2,1,1", "-b"])
    gui = main_window(options)
    try:
        assert len(gui.images) == 3
        assert list(gui.images.repeat) == [2, 1, 1]
        gui.set_frame(0)
        what = gui.electronics.shown()
        assert gui.electronics.hamiltonians.name(what) == "own.h5"
        gui.set_frame(2)
        what = gui.electronics.shown()
        assert what.file == f"{tmp_path}/run.extxyz"
        assert gui.electronics.hamiltonians.name(what) == "model sige"
    finally:
        gui.exit()
    assert dialogues == []


def test_an_output_with_spinor_states(display, home, dialogues, driver_of):
    oxygen = Path(__file__).parents[1] / "data" / "openmx" / "o2_nc.scfout.zst"
    gui = main_window(build_parser("gui").parse_args(["gui", str(oxygen)]))
    driver = driver_of(gui)
    try:
        window = gui.electronics.show_bands()
        driver.wait()
        points = window.points
        level = points.states.energies[0, 0]
        band = int(np.flatnonzero(level < points.level)[-1])
        window.in_space.set(False)
        place = window.axes.transData.transform((0.0, level[band] - points.level))
        driver.click(window, *place)
        driver.wait()
        # both electrons of the triplet are along the moment of the molecule, at 50 degrees from z
        arrows = gui.electronics.arrows
        assert arrows.title == "spin of the state"
        direction = arrows.vectors[0] / np.linalg.norm(arrows.vectors[0])
        assert direction[2] == pytest.approx(np.cos(np.radians(50)), abs=0.02)
        np.testing.assert_allclose(gui.electronics.colouring.values, [0.5, 0.5], atol=1e-3)
    finally:
        gui.exit()
    assert dialogues == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.cif"], "missing.cif: no such file"),
        (["-r", "2,2"], "--repeat 2,2: expected one number or three"),
        (["broken.cif"], "ASE cannot read it"),
    ],
)
def test_files_that_cannot_be_opened(
    display, home, tmp_path, monkeypatch, capsys, arguments, message
):
    from ase_mlham.cli.main import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.cif").write_text("data_x\n_cell_length_a nonsense\n")
    assert main(["gui", *arguments]) == 1
    assert message in capsys.readouterr().err
