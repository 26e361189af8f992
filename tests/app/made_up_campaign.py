"""One made-up campaign: its experiment, its folds, and what stands on its networks' cards."""

from __future__ import annotations

import numpy as np

from covid_core.results.records import Experiment, FoldResult, Predictions

EXPERIMENT = Experiment(
    dataset="synthetic slices",
    dataset_digest="ab" * 32,
    transform={"size": 64, "interpolation": "area"},
    protocol={"epochs": 3, "folds": 5, "seed": 0},
)


CARD_FACTS = {
    "input_size": 64,
    "interpolation": "area",
    "classes": ("non-COVID", "COVID"),
    "dataset": EXPERIMENT.dataset,
    "dataset_digest": EXPERIMENT.dataset_digest,
    "experiment": EXPERIMENT.id,
    "protocol": EXPERIMENT.protocol,
    "round": 1,
    "fold": 1,
    "counts": (9, 1, 9, 1),
    "scores": {"accuracy": 0.9, "sensitivity": 0.9, "specificity": 0.9, "precision": 0.9, "f1": 0.9},
    "auc": 0.95,
    "date": "2026-01-01T00:00:00+00:00",
    "command": "python train_all.py --networks EfficientNetB0 --dataset data",
    "facts": {"backend": "tensorflow", "device": "CPU", "precision": "float32", "versions": "keras 3"},
}


def fold_result(model: str, fold: int, status: str = "done", **changes: object) -> FoldResult:
    """A fold of ``EXPERIMENT`` with 20 test slices, 1 false positive and ``fold`` - 1 false negatives."""
    missed = fold - 1
    labels = np.array([1] * 10 + [0] * 10, np.int8)
    probabilities = np.array([0.2] * missed + [0.9] * (10 - missed) + [0.8] + [0.1] * 9, np.float32)
    done = {
        "counts": (10 - missed, 1, 9, missed),
        "auc": 0.9,
        "predictions": Predictions(tuple(f"slice-{fold}-{n}.png" for n in range(20)), labels, probabilities),
        "history": {
            "loss": [0.7, 0.5, 0.3],
            "accuracy": [0.5, 0.7, 0.9],
            "test_loss": [0.7, float("nan"), 0.4],
            "test_accuracy": [0.5, float("nan"), 0.85],
        },
        "seconds": 12.5,
        "images_per_second": 24.0,
        "facts": {"backend": "tensorflow", "device": "CPU x86_64", "precision": "float32", "versions": "keras 3"},
    }
    failed = {"error": f"Traceback (most recent call last):\n  line {fold}\nMemoryError: no room for the batch"}
    return FoldResult(
        experiment=EXPERIMENT.id,
        model=model,
        round=1,
        fold=fold,
        status=status,
        seed=fold,
        finished="2026-01-01T00:00:00+00:00",
        **((done if status == "done" else failed) | changes),
    )
