"""Figures: every tile at its place, in its proportions, and readable captions."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageColor

from covid_core.charts.figures import GAP, INK, LINE, SMALL, TILE, Block, Tile, as_png, bars, draw_figure

RED = np.full((80, 80, 3), (255, 0, 0), np.uint8)
GREEN = np.full((80, 80, 3), (0, 128, 0), np.uint8)


def tile_at(figure: Image.Image, row: int, column: int, lines: int = 0) -> np.ndarray:
    """Pixels of a tile of the first block whose rows all have ``lines`` lines of text."""
    top = GAP + 2 * LINE + row * (LINE + TILE + SMALL + lines * LINE + GAP) + LINE
    left = GAP + column * (TILE + GAP)
    return np.asarray(figure)[top : top + TILE, left : left + TILE]


def test_tiles_stand_in_rows_and_columns():
    figure = draw_figure([Block("A", [[Tile(RED, "r"), Tile(GREEN, "g")], [None, Tile(RED, "r")]])])
    assert (tile_at(figure, 0, 0) == (255, 0, 0)).all()
    assert (tile_at(figure, 0, 1) == (0, 128, 0)).all()
    assert (tile_at(figure, 1, 0) == 255).all()
    assert (tile_at(figure, 1, 1) == (255, 0, 0)).all()
    assert figure.width == GAP + 2 * (TILE + GAP)


def test_a_slice_keeps_its_proportions():
    wide = np.zeros((50, 100, 3), np.uint8)
    tile = tile_at(draw_figure([Block("A", [[Tile(wide, "w")]])]), 0, 0)
    dark = (tile == 0).all(-1)
    assert dark.sum() == pytest.approx(TILE * TILE / 2, rel=0.02)
    assert dark[TILE // 2].all()
    assert not dark[: TILE // 5].any()


def test_an_empty_place_is_no_picture_and_says_why():
    tile = tile_at(draw_figure([Block("A", [[Tile(None, "VGG16", note="not trained")]])]), 0, 0)
    assert (tile[:60] == tile[0, 0]).all()
    assert (tile[0, 0] != 255).all()
    assert (tile != tile[0, 0]).any(), "the note"


def test_texts_are_drawn_and_stay_in_their_tile():
    blank = draw_figure([Block("", [[Tile(RED, "", ["", ""]), None]])])
    long = draw_figure([Block("", [[Tile(RED, "n" * 99, ["x" * 99, "y"]), None]])])
    changed = (np.asarray(blank) != np.asarray(long)).any(-1)
    assert blank.size == long.size
    assert changed.any()
    assert not changed[:, GAP + TILE :].any()
    assert (tile_at(long, 0, 0, 2) == (255, 0, 0)).all()


def test_blocks_and_caption_follow_each_other():
    one = draw_figure([Block("A", [[Tile(RED, "r")]])])
    two = draw_figure([Block("A", [[Tile(RED, "r")]]), Block("B", [[Tile(GREEN, "g", ["line"])]])], ["a", "b"])
    assert two.height == 2 * one.height - 2 * GAP + LINE + 2 * LINE
    assert ((np.asarray(two) == (0, 128, 0)).all(-1)).sum() == TILE * TILE


def test_a_long_caption_is_broken_between_words():
    narrow = [Block("A", [[Tile(RED, "r")]])]
    short, long = draw_figure(narrow, ["word"]), draw_figure(narrow, ["word " * 40])
    assert short.width == long.width
    assert long.height > short.height + 2 * LINE
    assert (np.asarray(long)[:, -GAP // 2 :] == 255).all()


def test_the_file_is_the_figure():
    figure = draw_figure([Block("A", [[Tile(GREEN, "g")]])])
    again = Image.open(io.BytesIO(as_png(figure)))
    assert again.format == "PNG"
    assert (np.asarray(again) == np.asarray(figure)).all()


def test_bars_are_as_high_as_their_shares():
    picture = bars([0.25, 0.75, 0.0, 1.0, float("nan")], ["a", "b", "c", "d", "a very long name of a class"])
    assert picture.shape == (TILE, TILE, 3)
    assert picture.dtype == np.uint8
    whole = TILE - LINE - SMALL - LINE
    ink = (picture == ImageColor.getrgb(INK)).all(-1)
    heights = [ink[:, number * (TILE // 5) + TILE // 10].sum() for number in range(5)]
    assert heights == [round(0.25 * whole), round(0.75 * whole), 0, whole, 0]
    assert not ink[TILE - LINE - SMALL :].any(), "bars stand on the zero line"


def test_nothing_to_draw_is_a_figure_too():
    assert draw_figure([]).size[0] > 0
