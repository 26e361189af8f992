"""Many small pictures with their captions as one picture: figures that can be taken away as a file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

INK, FAINT, EMPTY, PAPER = "#1b2b34", "#6b7a84", "#edf1f3", "#ffffff"
SHARPNESS = 2
"""Pixels of the figure for one on the screen: letters stay sharp in print."""

TILE, GAP, LINE, FONT_SIZE = (SHARPNESS * length for length in (210, 14, 20, 15))
SMALL = GAP // 4


@dataclass(frozen=True, eq=False)
class Tile:
    """One picture of a figure.

    Args:
        image: uint8 RGB ``(H, W, 3)``, or None for an empty field.
        heading: Name, above the picture.
        lines: Texts below it.
        note: Text inside an empty field.
    """

    image: np.ndarray | None
    heading: str
    lines: Sequence[str] = ()
    note: str = ""


@dataclass(frozen=True)
class Block:
    """Rows of tiles under a title.

    Args:
        title: Above the rows.
        rows: Tiles; None leaves a place free.
    """

    title: str
    rows: Sequence[Sequence[Tile | None]]


def draw_figure(blocks: Sequence[Block], caption: Sequence[str] = ()) -> Image.Image:
    """All blocks one under the other.

    Args:
        blocks: What to draw.
        caption: Texts at the foot, each from a new line.

    Returns:
        RGB picture, as wide as the longest row.
    """
    columns = max((len(row) for block in blocks for row in block.rows), default=1)
    width = GAP + columns * (TILE + GAP)
    heights = [[_row_height(row) for row in block.rows] for block in blocks]
    lines = [line for text in caption for line in _wrapped(text, width - 2 * GAP)]
    height = GAP + sum(2 * LINE + sum(rows) for rows in heights) + LINE * len(lines) + GAP
    figure = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(figure)
    y = GAP
    for block, rows in zip(blocks, heights, strict=True):
        draw.text((GAP, y), block.title, INK, _font(FONT_SIZE + 8))
        y += 2 * LINE
        for row, row_height in zip(block.rows, rows, strict=True):
            for column, tile in enumerate(row):
                if tile is not None:
                    _draw_tile(figure, draw, tile, GAP + column * (TILE + GAP), y)
            y += row_height
    for line in lines:
        draw.text((GAP, y), line, FAINT, _font(FONT_SIZE))
        y += LINE
    return figure


def bars(values: Sequence[float], labels: Sequence[str]) -> np.ndarray:
    """Shares as the picture of a tile: a bar for each, from 0 at the foot to 1.

    Args:
        values: In 0-1; NaN gets no bar.
        labels: Names, under the bars.

    Returns:
        uint8 RGB ``(TILE, TILE, 3)``.
    """
    picture = Image.new("RGB", (TILE, TILE), EMPTY)
    draw = ImageDraw.Draw(picture)
    top, foot, width = LINE, TILE - LINE - SMALL, TILE // len(values)
    for y, text in ((top, "1"), (foot, "0")):
        draw.line((0, y, TILE, y), FAINT)
        draw.text((SMALL, y - SMALL), text, FAINT, _font(FONT_SIZE - 2), anchor="ls")
    for number, (value, label) in enumerate(zip(values, labels, strict=True)):
        middle = number * width + width // 2
        height = 0 if np.isnan(value) else round(value * (foot - top))
        if height:
            draw.rectangle((middle - width // 5, foot - height, middle + width // 5, foot - 1), INK)
        draw.text((middle, TILE - SMALL), _fitted(label, width), FAINT, _font(FONT_SIZE - 2), anchor="ms")
    return np.asarray(picture)


def as_png(figure: Image.Image) -> bytes:
    """The figure as a file."""
    file = io.BytesIO()
    figure.save(file, "PNG", optimize=True)
    return file.getvalue()


def _draw_tile(figure: Image.Image, draw: ImageDraw.ImageDraw, tile: Tile, x: int, y: int) -> None:
    draw.text((x, y), _fitted(tile.heading), INK, _font(FONT_SIZE))
    y += LINE
    if tile.image is None:
        draw.rectangle((x, y, x + TILE - 1, y + TILE - 1), EMPTY)
        draw.text((x + TILE / 2, y + TILE / 2), tile.note, FAINT, _font(FONT_SIZE), anchor="mm", align="center")
    else:
        # the whole slice, in its own proportions
        picture = ImageOps.pad(Image.fromarray(tile.image), (TILE, TILE), Image.Resampling.LANCZOS, PAPER)
        figure.paste(picture, (x, y))
    for number, line in enumerate(tile.lines):
        draw.text((x, y + TILE + SMALL + number * LINE), _fitted(line), FAINT, _font(FONT_SIZE - 2))


def _row_height(row: Sequence[Tile | None]) -> int:
    lines = max((len(tile.lines) for tile in row if tile is not None), default=0)
    return LINE + TILE + SMALL + lines * LINE + GAP


def _wrapped(text: str, width: int) -> list[str]:
    """``text`` in lines of at most ``width`` pixels, broken between words."""
    font = _font(FONT_SIZE)
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _fitted(text: str, width: int = TILE) -> str:
    """``text``, cut where it would reach into the next tile."""
    font = _font(FONT_SIZE)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
