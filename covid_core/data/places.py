"""Where a slice lies in its scan, and what follows: the order of slices, doubles, gaps."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

PICTURES, UNNAMED = "", "unnamed"
"""Series of what does not name one: pictures, and slices of a scan whose name is missing."""

SAME_PLACE = 0.01
"""Millimetres up to which two slices lie at the same place; rounded positions differ by less."""

GAP = 1.5
"""Distance of neighbours over the median distance from which slices are missing between them."""


@dataclass(frozen=True)
class Place:
    """Where one slice belongs.

    Args:
        series: Tells the scans of an upload apart; ``PICTURES`` or ``UNNAMED`` where a file does not say.
        position: Millimetres towards the head along the normal of the slices, or None where unknown.
        number: The slice's number as the scanner counts, or None.
        name: File name without folders.
        frame: Place within its file, from 0.
    """

    series: str = PICTURES
    position: float | None = None
    number: int | None = None
    name: str = ""
    frame: int = 0


def natural(name: str) -> list[tuple[int, str]]:
    """Key that puts slice 10 behind slice 9."""
    return [(int(part), "") if part.isdecimal() else (-1, part.lower()) for part in re.split(r"([0-9]{1,18})", name)]


def by_series(places: Sequence[Place]) -> dict[str, list[int]]:
    """Indices of the places of each series, in their order; series as they come first."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, place in enumerate(places):
        groups[place.series].append(index)
    return dict(groups)


def in_order(places: Sequence[Place]) -> list[int]:
    """The order of one series' slices, from head to feet.

    Positions decide where every slice has one and they differ; else the scanner's numbers where every slice has one;
    else names, numbers in them counted as such. Equal places keep the order of number, name and frame.

    Args:
        places: Of one series.

    Returns:
        Indices into ``places``.
    """
    positioned = has_positions(places)
    numbered = all(place.number is not None for place in places)

    def key(index: int) -> tuple:
        place = places[index]
        if positioned:
            return (-place.position, _tie(place))
        return _tie(place) if numbered else (natural(place.name), place.frame)

    return sorted(range(len(places)), key=key)


def _tie(place: Place) -> tuple:
    """Which of two slices at one place comes first."""
    return (math.inf if place.number is None else place.number, natural(place.name), place.frame)


def has_positions(places: Sequence[Place]) -> bool:
    """Whether every slice has a position that says something: of several, not all may lie at one place."""
    positions = [place.position for place in places if place.position is not None]
    if len(positions) < len(places) or not positions:
        return False
    return len(places) == 1 or max(positions) - min(positions) > SAME_PLACE


def without_doubles(places: Sequence[Place], order: Sequence[int]) -> list[int]:
    """``order`` with one slice a place: the first by number, name and frame of those that lie there.

    Scans that do not name themselves keep all: they may be several.
    """
    if not has_positions(places) or places[0].series in (PICTURES, UNNAMED):
        return list(order)
    kept: list[int] = []
    for index in order:
        if not kept or places[kept[-1]].position - places[index].position > SAME_PLACE:
            kept.append(index)
        elif _tie(places[index]) < _tie(places[kept[-1]]):
            kept[-1] = index
    return kept


def gaps(places: Sequence[Place]) -> list[tuple[int, float]]:
    """Where slices are missing.

    Args:
        places: Of one series, in order, without doubles.

    Returns:
        Index of the slice in front of each gap, and its millimetres; none where positions are not known.
    """
    if len(places) < 3 or not has_positions(places):
        return []
    distances = [abs(a.position - b.position) for a, b in pairwise(places)]
    usual = sorted(distances)[(len(distances) - 1) // 2]
    return [(index, distance) for index, distance in enumerate(distances) if distance > GAP * usual]
