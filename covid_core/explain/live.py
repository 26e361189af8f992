"""Is the map of this one slice any good? The measures that fit beside a live map; no drawn lesion is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from covid_core.data.lungs import Lungs
from covid_core.explain.agreement import rank_correlation, similarity
from covid_core.explain.controls import centred_map, random_map
from covid_core.explain.evaluation import Batch, measure_maps, stream
from covid_core.explain.perturbation import Predict, blurred

DRAWS = 5
SHOWN = ("deletion", "insertion", "lungs")


@dataclass(frozen=True)
class LiveEvidence:
    """Measures of one map of one slice.

    Args:
        of_map: Measure out of ``SHOWN`` to its value; NaN where it is not defined.
        of_random: The same to the values of ``DRAWS`` random maps.
        of_centred: The same of the Gaussian in the middle.
        probability: Of the class, for the slice.
        blurred_probability: Of the class, for the blurred slice, which the curves lead to.
        lung_share: Share of the slice that is lung; NaN where none were found.
        lungs_reason: Why none were found; empty where they were.
        random_rank: Rank correlation with the map of the same architecture with random weights; NaN where that map, or
            this one, is empty.
        random_ssim: Structural similarity with it.
    """

    of_map: dict[str, float]
    of_random: dict[str, tuple[float, ...]]
    of_centred: dict[str, float]
    probability: float
    blurred_probability: float
    lung_share: float
    lungs_reason: str
    random_rank: float
    random_ssim: float


def judge(
    name: str,
    seen: np.ndarray,
    raw: np.ndarray,
    predict: Predict,
    lungs: Lungs,
    random_raw: np.ndarray | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> LiveEvidence | None:
    """Measures of a live map beside its controls.

    Args:
        name: Tells the slice from others; seeds its random maps.
        seen: ``(S, S)``, grey 0-255, the slice as the network sees it.
        raw: Float ``(h, w)``, >= 0.
        predict: Probability of the class that the map explains.
        lungs: At the slice's own size.
        random_raw: The map of the same architecture with random weights.
        cancelled: Asked between maps: whether nobody wants to know any more.

    Returns:
        None if it was cancelled.
    """
    inputs = np.asarray(seen, np.float32)[None]
    batch = Batch([name], inputs, [lungs.mask if lungs.found else None], [None], predict)
    random = [random_map(raw.shape, stream(name, 1, draw)) for draw in range(DRAWS)]
    measured = []
    for one in (raw, centred_map(inputs.shape[1:]), *random):
        if cancelled():
            return None
        values = measure_maps(batch, np.asarray(one, np.float32)[None])
        measured.append({measure: float(values[measure][0]) for measure in SHOWN})
    of_map, of_centred, *of_random = measured
    whole, gone = (float(predict(pictures)[0]) for pictures in (inputs, blurred(inputs)))
    alike = [np.nan, np.nan]
    if random_raw is not None:
        alike = [float(of(raw[None], random_raw[None])[0]) for of in (rank_correlation, similarity)]
    return LiveEvidence(
        of_map=of_map,
        of_random={measure: tuple(one[measure] for one in of_random) for measure in SHOWN},
        of_centred=of_centred,
        probability=whole,
        blurred_probability=gone,
        lung_share=float(lungs.mask.mean()) if lungs.found else float("nan"),
        lungs_reason=lungs.reason,
        random_rank=alike[0],
        random_ssim=alike[1],
    )
