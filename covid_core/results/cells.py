"""The columns of exported results, and how a cell of each is read."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from covid_core.results.store import KEY


def _text(text: str) -> str:
    if not text:
        raise ValueError("a text")
    return text


def _from(lowest: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and int(text) >= lowest):
            raise ValueError(f"a whole number from {lowest}")
        return int(text)

    return parse


def _label(text: str) -> int:
    if text not in ("0", "1"):
        raise ValueError("0 or 1")
    return int(text)


def _float(text: str) -> float:
    try:
        return float(text) if text else math.nan
    except ValueError:
        raise ValueError("a number, or nothing for NaN") from None


def _amount(text: str) -> float:
    value = _float(text)
    if not 0 <= value < math.inf:
        raise ValueError("a number of 0 or more")
    return value


def _share(text: str) -> float:
    value = _float(text)
    if not (0 <= value <= 1 + 1e-5):  # float32 rounding
        raise ValueError("a number in 0-1")
    return value


def _share_or_nan(text: str) -> float:
    return _share(text) if text else math.nan


def measure(text: str) -> float | None:
    """Value of a measure, or None where it was not taken."""
    if not text:
        return None
    value = _float(text)
    if math.isinf(value):
        raise ValueError("a finite number, nan, or nothing")
    return value


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ValueError("a JSON object")
    return value


_FOLD = dict(zip(KEY, (_text, _text, _from(1), _from(1)), strict=True))

COLUMNS: dict[str, dict[str, Callable[[str], Any]]] = {
    "experiments.csv": {
        "id": _text,
        "dataset": str,
        "dataset_digest": _text,
        "transform": _object,
        "protocol": _object,
        "split": _text,
    },
    "folds.csv": {
        **_FOLD,
        "status": _text,
        "seed": _from(0),
        **dict.fromkeys(("tp", "fp", "tn", "fn"), _from(0)),
        "auc": _share_or_nan,
        "seconds": _amount,
        "images_per_second": _amount,
        "finished": _text,
        "facts": _object,
        "error": str,
    },
    "predictions.csv": {**_FOLD, "slice": _text, "label": _label, "probability": _share},
    "history.csv": {**_FOLD, "epoch": _from(1), "metric": _text, "value": _float},
}
"""The columns of each file of folds, and how a cell is read."""

STUDY: dict[str, Callable[[str], Any]] = {
    "id": _text,
    "kind": _text,
    "dataset": str,
    "dataset_digest": _text,
    "transform": _object,
    "networks": _object,
    "settings": _object,
    "finished": str,
}
"""The columns of ``studies.csv``."""

MEASURED_SLICE: dict[str, Callable[[str], Any]] = {
    "study": _text,
    "subject": _text,
    "method": _text,
    "slice": _text,
    "label": _label,
}
"""The first columns of ``measures.csv``; every other one is a measure."""
