"""What the study printed, checked, as tables for readers."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from covid_core.results.contradictions import Contradiction
from covid_core.results.metrics import METRIC_LABELS
from covid_core.ui.tables import score_text


def statement_rows(found: Sequence[Contradiction]) -> pd.DataFrame:
    """Statements of the study beside what its tables give."""
    rows = [(one.place, _unbroken(one.text), _unbroken(one.tables)) for one in found]
    return pd.DataFrame(rows, columns=["Where", "Said or implied", "Its tables give"])


def above_one_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``contradictions.above_one`` as texts."""
    return pd.DataFrame(
        {
            "Network": table["model"],
            "Metric": table["metric"].map(METRIC_LABELS),
            "As printed": [score_text(*pair) for pair in zip(table["mean"], table["half_width"], strict=True)],
            "Reaches": table["high"].map("{:.4f}".format),
        }
    )


def accuracy_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``contradictions.implied_accuracy`` as texts."""
    return pd.DataFrame(
        {
            "Network": table["model"],
            "Accuracy as printed": table["accuracy"].map("{:.4f}".format),
            "From sensitivity and specificity": table["implied"].map("{:.4f}".format),
            "Difference": table["difference"].map("{:+.4f}".format),
        }
    )


def _unbroken(text: str) -> str:
    """No line ends between ± and its number."""
    return text.replace("± ", "±\u00a0")
