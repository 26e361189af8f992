"""How long a campaign will take, from the speed of folds already in the store."""

from __future__ import annotations

from dataclasses import dataclass

from covid_core.training.campaign import Campaign
from covid_core.training.tasks import Task


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
    folds = campaign.store.folds(status="done")
    timed = folds.assign(pixels_per_second=folds["images_per_second"] * folds["size"].astype(float) ** 2)
    speeds = timed.groupby("model")["pixels_per_second"].median()
    images, seconds, unknown = 0, 0.0, {}
    for task in left:
        count = len(task.fold.train) * protocol.epochs
        images += count
        if speeds.get(task.model, 0.0) > 0:
            seconds += count * protocol.size**2 / speeds[task.model]
        else:
            unknown[task.model] = None
    return Estimate(images, seconds, tuple(unknown))
