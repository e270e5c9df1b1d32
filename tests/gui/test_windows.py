"""The windows, driven under a virtual display as a user would drive them."""

from __future__ import annotations

import numpy as np


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


def test_open_predict_click_a_band_close(drive, silicon, toys, dialogues):
    driver = drive(silicon, toys())
    electronics = driver.electronics
    plain = driver.drawn_colours()
    window = electronics.show_bands()
    driver.wait()
    points = window.points
    assert points.states.energies.shape[2] == 8
    assert "gap" in window.message["text"]

    index = single_state(points)
    at = pixels(window, index)
    driver.mouse(window, "motion_notify_event", *at, None)
    assert f"band {index[2]}" in window.message["text"]
    assert "E − E_F" in window.message["text"]
    driver.click(window, *at)
    driver.wait()
    weights = electronics.colouring.values
    # atoms of one kind share every state of a crystal with inversion between them
    np.testing.assert_allclose(weights, [0.5, 0.5], atol=1e-6)
    assert driver.drawn_colours() != plain
    state = electronics.state_window
    assert state.exists
    assert state.drawn.values.max() > 0
    state.plane.set("a, c")
    state.turn()
    state.quantity.set("real part")
    state.draw()
    assert state.drawn.signed

    state.close()
    window.close()
    assert electronics.windows == []
    assert electronics.state_window is None
    electronics.clear()
    assert driver.drawn_colours() == plain
    assert dialogues == []
    driver.gui.exit()
    assert not driver.gui.window.exists
