"""How long a campaign will take, from the speed of folds already in the store."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from covid_core.training.campaign import Campaign, Task


@dataclass(frozen=True)
class Estimate:
    """Work left, and time where it is known.

    Args:
        images: Training slices that pass through the networks: slices x epochs x folds.
        seconds: Time for the networks that have been timed.
        unknown: Networks without a timed fold at a comparable size.
    """

    images: int
    seconds: float
    unknown: tuple[str, ...]


def estimate(left: list[Task], campaign: Campaign) -> Estimate:
    """Work and time of ``left``.

    The speed of a network is the median of its stored folds, scaled by the number of pixels where they had another
    size; convolutions cost in proportion to pixels. Folds of other machines count too if they share the store.
    """
    protocol = campaign.protocol
    seconds_of = _seconds_of(campaign, campaign.store.folds(status="done"))
    images, seconds, unknown = 0, 0.0, {}
    for task in left:
        images += len(task.fold.train) * protocol.epochs
        known = seconds_of(task)
        if known is None:
            unknown[task.model] = None
        else:
            seconds += known
    return Estimate(images, seconds, tuple(unknown))


def expected_seconds(campaign: Campaign, device: str) -> Callable[[Task], float | None]:
    """How long each fold of a campaign takes on ``device``, by the folds stored so far that ran on such a device; None
    for a network that none of them trained."""
    folds = campaign.store.folds(status="done")
    devices = [json.loads(facts).get("device") for facts in folds["facts"]]
    return _seconds_of(campaign, folds[pd.Series(devices, index=folds.index, dtype=object) == device])


def _seconds_of(campaign: Campaign, folds: pd.DataFrame) -> Callable[[Task], float | None]:
    timed = folds.assign(pixels_per_second=folds["images_per_second"] * folds["size"].astype(float) ** 2)
    speeds = timed.groupby("model")["pixels_per_second"].median()

    def seconds(task: Task) -> float | None:
        speed = speeds.get(task.model, 0.0)
        pixels = len(task.fold.train) * campaign.protocol.epochs * campaign.protocol.size**2
        return pixels / speed if speed > 0 else None

    return seconds
