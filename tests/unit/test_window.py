"""Hounsfield units as grey values."""

from __future__ import annotations

import numpy as np
import pytest

from covid_core.data.window import BONE, LUNG, MEDIASTINUM, Window, to_grey


def test_the_lung_window_runs_from_minus_1350_to_150():
    grey = to_grey(np.array([[-3000, -1350, -600, 150, 3000]]))
    assert grey.dtype == np.float32
    assert grey.tolist() == [[0, 0, 127.5, 255, 255]]


@pytest.mark.parametrize("window", [LUNG, MEDIASTINUM, BONE, Window(-37.5, 0.5)])
def test_a_window_is_linear_between_its_ends_and_leaves_its_input_alone(window):
    units = np.linspace(window.level - window.width / 2, window.level + window.width / 2, 33).astype(np.float32)
    before = units.copy()
    np.testing.assert_allclose(to_grey(units[None], window)[0], np.linspace(0, 255, 33), atol=0.02)
    np.testing.assert_array_equal(units, before)


@pytest.mark.parametrize("width", [0, -1, float("nan")])
def test_a_window_without_width_is_refused(width):
    with pytest.raises(ValueError, match="width above 0"):
        Window(0, width)
