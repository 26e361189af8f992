"""Studies of heat maps as a page shows them; imports no deep-learning library."""

from __future__ import annotations

import json

import pandas as pd
import streamlit as st

from covid_core.explain.study_tables import p_text
from covid_core.results.intervals import interval_text
from covid_core.results.map_studies import KIND, study_groups, wide_measures
from covid_core.results.published import MEAN_INTENSITIES
from covid_core.settings import Settings
from covid_core.ui.results import results_store

_TARGETS = {"own": "maps of each slice's own class", "positive": "maps of the positive class"}
_SLICES = {"held-out": "held-out slices", "all": "all slices"}


def groups_of_studies() -> list[pd.DataFrame]:
    """``map_studies.study_groups`` of this installation's store.

    Raises:
        StoreError: The store cannot be read.
    """
    return study_groups(results_store())


def slices_of(group: pd.DataFrame) -> pd.DataFrame:
    """``map_studies.wide_measures`` of a group, read once for each state of the store.

    Raises:
        StoreError: The store cannot be read.
    """
    store = results_store()
    return _slices(group, Settings.from_environment().store_url, store.studies_revision(), tuple(group["id"]))


def group_labels(groups: list[pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """A name for people for each group; the first digits of a study's id tell equal ones apart."""
    named = [(_label(group), group) for group in groups]
    texts = [label for label, _ in named]
    return {
        label if texts.count(label) == 1 else f"{label} · {group['id'].iloc[0][:6]}": group for label, group in named
    }


def with_published(table: pd.DataFrame) -> pd.DataFrame:
    """Measured rows and the published means as rows of their own, as the charts of intensities take them.

    Args:
        table: As ``map_studies.intensity_table`` gives it for the published mask and value.

    Returns:
        ``label``, ``source``, ``base``, ``modified``, ``difference``, ``low`` and ``high`` (NaN for published rows).
    """
    measured = table.assign(source="measured", label=table["backbone"] + " · measured")
    printed = pd.DataFrame(
        [
            {"label": f"{name} · published", "source": "published", "base": base, "modified": modified}
            for name, (base, modified) in MEAN_INTENSITIES.items()
        ]
    )
    printed["difference"] = printed["base"] - printed["modified"]
    printed = printed.assign(low=float("nan"), high=float("nan"))
    columns = ["label", "source", "base", "modified", "difference", "low", "high"]
    return pd.concat([measured[columns], printed[columns]], ignore_index=True)


def intensity_rows(table: pd.DataFrame, digits: int, printed: bool) -> pd.DataFrame:
    """``map_studies.intensity_table`` as texts for a table.

    Args:
        table: The rows.
        digits: After the point.
        printed: Whether the published means can stand beside them.
    """
    shown = {
        "Backbone": table["backbone"],
        "Slices": table["slices"],
        "Base": table["base"].map(f"{{:.{digits}f}}".format),
        "Modified": table["modified"].map(f"{{:.{digits}f}}".format),
        "Base − modified, 95 %": _intervals(table, "difference", digits),
        "p, paired t": table["p_t_holm"].map(p_text),
        "p, Wilcoxon": table["p_wilcoxon_holm"].map(p_text),
    }
    if printed:
        means = zip(table["published_base"], table["published_modified"], strict=True)
        shown["Published"] = ["–" if pd.isna(base) else f"{base:.2f} / {other:.2f}" for base, other in means]
    return pd.DataFrame(shown)


def spread_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of one measure of ``map_studies.spread_table`` as texts for a table."""
    return pd.DataFrame(
        {
            "Network": table["network"],
            "Positive": table["positive"].map("{:.4f}".format) + _count(table["positive_slices"]),
            "Others": table["negative"].map("{:.4f}".format) + _count(table["negative_slices"]),
            "Positive − others, 95 %": _intervals(table, "difference", 4),
            "p, Welch": table["p_t_holm"].map(p_text),
            "p, Mann-Whitney": table["p_mann_whitney_holm"].map(p_text),
        }
    )


def quantiles(measures: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Distribution of a measure by network and class, as ``charts.studies.spread_boxes`` takes it."""
    rows = []
    for backbone, slices in measures.groupby("backbone", sort=False):
        for variant, network in (("base", backbone), ("modified", f"Modified-{backbone}")):
            for positive, values in slices.groupby(slices["label"] == 1)[f"{variant}_{measure}"]:
                shares = {f"q{share:02d}": values.quantile(share / 100) for share in (5, 25, 50, 75, 95)}
                rows.append({"network": network, "positive": bool(positive), **shares})
    return pd.DataFrame(rows)


def count_by_sign(table: pd.DataFrame) -> tuple[int, int, int]:
    """How many intervals lie above zero, below it, and across it or are missing."""
    above, below = int((table["low"] > 0).sum()), int((table["high"] < 0).sum())
    return above, below, len(table) - above - below


@st.cache_data(max_entries=4, show_spinner="Reading the measures …")
def _slices(_group: pd.DataFrame, url: str, revision: int, ids: tuple[str, ...]) -> pd.DataFrame:
    return wide_measures(results_store(), _group)


def _label(group: pd.DataFrame) -> str:
    first = group.iloc[0]
    settings, size = json.loads(first["settings"]), json.loads(first["transform"]).get("size")
    slices, target = settings.get("slices"), settings.get("target")
    facts = [
        "random weights" if first["kind"] != KIND else "",
        first["dataset"],
        _SLICES.get(slices, slices),
        f"sample of {settings['limit']}" if settings.get("limit") else "",
        _TARGETS.get(target, target),
        f"{size} px" if size else "",
        "mask on coloured pixels" if settings.get("threshold_on") == "pixel" else "",
    ]
    return " · ".join(str(fact) for fact in facts if fact)


def _intervals(table: pd.DataFrame, column: str, digits: int) -> list[str]:
    bounds = zip(table[column], table["low"], table["high"], strict=True)
    return [interval_text(*row, digits) for row in bounds]


def _count(slices: pd.Series) -> pd.Series:
    return " (" + slices.astype(str) + ")"
