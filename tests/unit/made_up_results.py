"""Fold results as training would hand them over, for tests of the store and what reads it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from covid_core.results.metrics import counts
from covid_core.results.records import Experiment, FoldResult, Predictions

EXPERIMENT = Experiment("phantom", "ab" * 32, {"size": 64}, {"epochs": 2, "folds": 5})


def fold_result(model="VGG16", round_=1, fold=1, experiment=EXPERIMENT, slices=40, **changes) -> FoldResult:
    random = np.random.default_rng([round_, fold])
    predictions = Predictions(
        tuple(f"COVID/slice {number}.png" for number in range(slices)),
        random.integers(0, 2, slices, dtype=np.int8),
        random.random(slices, dtype=np.float32),
    )
    result = FoldResult(
        experiment=experiment.id,
        model=model,
        round=round_,
        fold=fold,
        status="done",
        seed=7,
        finished="2026-01-02T03:04:05+00:00",
        counts=counts(predictions.labels, predictions.probabilities),
        auc=0.75,
        predictions=predictions,
        history={"loss": [0.7, 0.1 + 0.2], "val_loss": [0.8, math.nan]},
        seconds=1.5,
        images_per_second=20.25,
        facts={"backend": "tensorflow", "device": "CPU"},
    )
    return replace(result, **changes)


def failure(error="Traceback: out of memory", finished="2026-01-01T00:00:00+00:00", **key) -> FoldResult:
    nothing = {"counts": (0, 0, 0, 0), "auc": math.nan, "predictions": None, "history": {}}
    return fold_result(status="failed", error=error, finished=finished, **nothing, **key)
