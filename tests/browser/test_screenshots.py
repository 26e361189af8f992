"""The comparison itself: blind to letters and small shifts, not to a chart that is gone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image
from screenshots import BASELINES, difference, differs


@pytest.fixture
def leaderboard():
    return np.asarray(Image.open(BASELINES / "leaderboard.png").convert("RGB"))


def test_the_same_page_is_the_same(leaderboard):
    assert difference(leaderboard, leaderboard).max() == 0


def test_other_letters_are_no_difference(leaderboard):
    """Softer edges and another weight: what another rasteriser does to text."""
    softer = cv2.GaussianBlur(leaderboard, (0, 0), 0.8)
    bolder = cv2.erode(leaderboard, np.ones((2, 1), np.uint8))
    shifted = np.roll(leaderboard, 1, axis=1)
    for changed in (softer, shifted):
        assert not differs(difference(leaderboard, changed))
    # bolder text everywhere is the most that is tolerated in places, not on the whole page
    assert (difference(leaderboard, bolder) > 0).any()


def test_a_missing_chart_a_changed_colour_and_a_missing_table_are_differences(leaderboard):
    height, width, _ = leaderboard.shape
    half = leaderboard.copy()
    half[height // 2 :, width // 4 :] = 255
    assert differs(difference(leaderboard, half))
    busy = cv2.Canny(leaderboard, 50, 150)[: height // 12 * 12, : width // 12 * 12]
    cells = busy.reshape(height // 12, 12, width // 12, 12).mean(axis=(1, 3))
    y, x = np.unravel_index(cv2.blur(cells, (15, 10)).argmax(), cells.shape)
    block = leaderboard.copy()
    block[max(0, 12 * y - 90) : 12 * y + 90, max(0, 12 * x - 120) : 12 * x + 120] = 255
    assert differs(difference(leaderboard, block))
