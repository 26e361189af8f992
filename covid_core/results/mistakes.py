"""Slices that a network calls wrongly, the surest mistakes first."""

from __future__ import annotations

import numpy as np
import pandas as pd

from covid_core.results.metrics import THRESHOLD

MISSED, ALARMS = "missed", "alarms"
"""Positive slices called negative, and negative ones called positive."""

COLUMNS = ["slice", "probability", "round", "fold", "wrong", "asked"]


def worst_mistakes(answers: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Every slice that was called wrongly at least once at ``THRESHOLD``, by the answer that was furthest off.

    Another threshold makes the list longer or shorter at its end and leaves its beginning as it is.

    Args:
        answers: Columns ``round``, ``fold``, ``slice``, ``label`` and ``probability``.
        kind: ``MISSED`` or ``ALARMS``.

    Returns:
        One row a slice: ``slice``, ``probability``, ``round`` and ``fold`` of its worst answer; ``wrong`` of ``asked``
        networks called it wrongly. Equally bad ones stand in the order of their names.

    Raises:
        ValueError: Unknown kind.
    """
    if kind not in (MISSED, ALARMS):
        raise ValueError(f"Expected {MISSED!r} or {ALARMS!r}. Received: {kind!r}.")
    positive = kind == MISSED
    of_class = answers[answers["label"] == int(positive)].astype({"slice": "str"})
    called = of_class["probability"] >= THRESHOLD
    of_class = of_class.assign(wrong=called != positive, error=np.abs(of_class["label"] - of_class["probability"]))
    of_slice = of_class.groupby("slice")["wrong"]
    of_class["asked"], of_class["count"] = of_slice.transform("size"), of_slice.transform("sum")
    worst = of_class[of_class["wrong"]].sort_values(["error", "slice", "round", "fold"], ascending=[False] + 3 * [True])
    worst = worst.drop_duplicates("slice").drop(columns="wrong").rename(columns={"count": "wrong"})
    return worst[COLUMNS].reset_index(drop=True)
