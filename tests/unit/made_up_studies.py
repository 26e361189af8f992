"""Studies of maps as a command would hand them over, for tests of the store and what reads it."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from covid_core.results.records import Study

STUDY = Study(
    kind="mask-statistic",
    dataset="phantom",
    dataset_digest="ab" * 32,
    transform={"size": 64, "interpolation": "area"},
    networks={"VGG16": {"sha256": "1" * 64}, "Modified-VGG16": {"sha256": "2" * 64}},
    settings={"slices": "held-out"},
)
PAIR = "VGG16 / Modified-VGG16"


def measures(slices=6, subject=PAIR, method="gradcam", first=0, seed=0) -> pd.DataFrame:
    """Two measures a slice, one of them NaN for the first slice."""
    random = np.random.default_rng(seed)
    rows = [
        {
            "subject": subject,
            "method": method,
            "slice": f"{'COVID' if number % 2 else 'non-COVID'}/slice {number}.png",
            "label": number % 2,
            "measure": measure,
            "value": math.nan if number == first and measure == "iou" else random.random(),
        }
        for number in range(first, first + slices)
        for measure in ("base_intensity", "iou")
    ]
    return pd.DataFrame(rows)
