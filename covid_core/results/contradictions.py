"""Where the study contradicts itself: what its text says beside what its tables give, computed from their rows.

What the text says is typed here; what the tables give is not. Places are given where they are known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd

from covid_core.results.half_widths import JUDGED
from covid_core.results.metrics import METRIC_LABELS, METRICS
from covid_core.results.paper_tables import BASE, OTHER, network_table, pair_table, wins

EFFICIENTNETS = "EfficientNet"
BEST = 11
"""How many networks the text counts EfficientNets among."""

ACCURACY_SLACK = 0.001
"""Accuracy may differ by this much from the mean of sensitivity and specificity, weighted by slices: rounding, and
classes that are not spread evenly over the folds, explain a fraction of it."""


@dataclass(frozen=True)
class Contradiction:
    """One statement of the text and what the tables give.

    Args:
        place: Where the statement stands, for people.
        text: What it says, for people.
        tables: What the tables give, for people.
        contradicted: Whether the two differ.
    """

    place: str
    text: str
    tables: str
    contradicted: bool


def contradictions(published: pd.DataFrame) -> list[Contradiction]:
    """All statements that were checked, in the order of the text's parts.

    Args:
        published: As ``published.published_rows`` gives them.
    """
    checks: Sequence[Callable[[pd.DataFrame], Contradiction]] = (
        _abstract_half_width,
        _borrowed_means,
        _base_wins,
        _above_one,
        _precision_of_densenet,
        _borrowed_half_widths,
        partial(_among_best, variant="base", claimed=7),
        _ranks,
        partial(_among_best, variant="modified", claimed=8),
        _best_of_vgg,
        _accuracy,
    )
    return [check(published) for check in checks]


def above_one(published: pd.DataFrame) -> pd.DataFrame:
    """Printed intervals that reach above 1, where no score can be.

    Returns:
        One row an interval, the highest first: ``model``, ``metric``, ``mean``, ``half_width``, ``high``.
    """
    parts = [
        pd.DataFrame(
            {
                "model": published["model"],
                "metric": metric,
                "mean": published[metric],
                "half_width": published[f"{metric}_pm"],
                "high": (published[metric] + published[f"{metric}_pm"]).round(4),
            }
        )
        for metric in METRICS
    ]
    table = pd.concat(parts)
    return table[table["high"] > 1].sort_values("high", ascending=False, kind="stable", ignore_index=True)


def implied_accuracy(published: pd.DataFrame) -> pd.DataFrame:
    """The accuracy that follows from sensitivity and specificity when every fold holds both classes alike.

    Returns:
        One row a network, the largest difference first: ``model``, ``accuracy``, ``implied``, ``difference`` (printed
        minus implied).
    """
    positive, negative = JUDGED["sensitivity"], JUDGED["specificity"]
    implied = (positive * published["sensitivity"] + negative * published["specificity"]) / (positive + negative)
    table = published[["model", "accuracy"]].assign(implied=implied, difference=published["accuracy"] - implied)
    return table.sort_values("difference", key=lambda values: -values.abs(), ignore_index=True)


def _abstract_half_width(published: pd.DataFrame) -> Contradiction:
    row = published.set_index("model").loc["EfficientNetB5"]
    same = [_name(name) for name in METRICS if row[f"{name}_pm"] == 0.0020]
    return Contradiction(
        "Abstract",
        "EfficientNetB5 has a sensitivity with ± 0.0020.",
        f"± {row['sensitivity_pm']:.4f}" + (f"; ± 0.0020 stands beside its {' and '.join(same)}." if same else "."),
        bool(row["sensitivity_pm"] != 0.0020),
    )


def _borrowed_means(published: pd.DataFrame) -> Contradiction:
    names = ("f1", "accuracy", "sensitivity")
    rows = published.set_index("model")
    b4, b5 = (
        ", ".join(f"{_name(name)} {rows.at[model, name]:.4f}" for name in names)
        for model in ("EfficientNetB4", "EfficientNetB5")
    )
    return Contradiction(
        "Section 3.1.1",
        f"F1, accuracy and sensitivity of EfficientNetB5 are those of EfficientNetB4: {b4}.",
        f"EfficientNetB5: {b5}.",
        any(rows.at["EfficientNetB4", name] != rows.at["EfficientNetB5", name] for name in names),
    )


def _base_wins(published: pd.DataFrame) -> Contradiction:
    pairs = pair_table(published)
    counts = wins(pairs).set_index("metric")
    texts = [
        f"{_name(name)} {counts.at[name, BASE]} to {counts.at[name, OTHER]}"
        for name in sorted(METRICS, key=lambda name: name != "sensitivity")
    ]
    return Contradiction(
        "Text",
        "The base network beats the modified one in 16 of 20 pairs; no metric is named.",
        f"Base to modified: {', '.join(texts)}.",
        counts[BASE].nunique() > 1 or counts[BASE].iloc[0] != 16,
    )


def _above_one(published: pd.DataFrame) -> Contradiction:
    table = above_one(published)
    texts = [
        f"{_name(row.metric)} of {row.model} to {row.high:.4f}" for row in table.drop_duplicates("metric").itertuples()
    ]
    return Contradiction(
        "Tables",
        "The half-widths are those of 95 % confidence intervals.",
        f"{len(table)} of {len(published) * len(METRICS)} intervals reach above 1: {', '.join(texts)}."
        if len(table)
        else "No interval reaches above 1.",
        len(table) > 0,
    )


def _precision_of_densenet(published: pd.DataFrame) -> Contradiction:
    value = published.set_index("model").at["DenseNet201", "precision"]
    same = published.loc[published["precision"] == 0.9883, "model"].tolist()
    return Contradiction(
        "Text",
        "DenseNet201 has a precision of 0.9883.",
        f"{value:.4f}" + (f"; 0.9883 stands beside {' and '.join(same)}." if same else "."),
        bool(value != 0.9883),
    )


def _borrowed_half_widths(published: pd.DataFrame) -> Contradiction:
    rows = published.set_index("model")
    dense, xception = (
        ", ".join(f"{_name(name)} ± {rows.at[model, f'{name}_pm']:.4f}" for name in METRICS)
        for model in ("DenseNet201", "Xception")
    )
    return Contradiction(
        "Text",
        f"The intervals of Xception are those of DenseNet201: {dense}.",
        f"Xception: {xception}.",
        any(rows.at["DenseNet201", f"{name}_pm"] != rows.at["Xception", f"{name}_pm"] for name in METRICS),
    )


def _among_best(published: pd.DataFrame, variant: str, claimed: int) -> Contradiction:
    count = _efficientnets_among_best(published, variant)
    return Contradiction(
        "Text",
        f"EfficientNets hold {claimed} of the {BEST} best sensitivities of {variant} networks.",
        f"They hold {count}.",
        count != claimed,
    )


def _ranks(published: pd.DataFrame) -> Contradiction:
    ranks = {name: _rank(published, name) for name in ("EfficientNetB6", "EfficientNetB0", "EfficientNetB7")}
    return Contradiction(
        "Text",
        "EfficientNetB6 and EfficientNetB0 are second and fourth by sensitivity among the base networks.",
        f"By sensitivity, of {int((published['variant'] == 'base').sum())} base networks: "
        + ", ".join(f"{name} is number {rank}" for name, rank in ranks.items())
        + ".",
        (ranks["EfficientNetB6"], ranks["EfficientNetB0"]) != (2, 4),
    )


def _best_of_vgg(published: pd.DataFrame) -> Contradiction:
    rows = published.set_index("model")
    first, second = rows.loc["Modified-VGG16"], rows.loc["Modified-VGG19"]
    higher = [name for name in METRICS if second[name] > first[name]]
    texts = [f"{_name(name)} ({second[name]:.4f} against {first[name]:.4f})" for name in higher]
    return Contradiction(
        "Text",
        "Modified-VGG16 is better than Modified-VGG19 in every metric.",
        f"Modified-VGG19 has the higher {' and '.join(texts)}." if texts else "It is.",
        bool(higher),
    )


def _accuracy(published: pd.DataFrame) -> Contradiction:
    table = implied_accuracy(published)
    far = table[table["difference"].abs() > ACCURACY_SLACK]
    texts = [f"{row.model} has {row.accuracy:.4f} in place of {row.implied:.4f}" for row in far.itertuples()]
    return Contradiction(
        "Tables",
        "Accuracy is the mean of sensitivity and specificity, weighted by the slices of each class.",
        f"{'; '.join(texts)}. All other networks are within {_largest(table):.4f}."
        if texts
        else f"All networks are within {_largest(table):.4f}.",
        bool(texts),
    )


def _name(metric: str) -> str:
    """As inside a sentence."""
    return METRIC_LABELS[metric] if metric == "f1" else METRIC_LABELS[metric].lower()


def _largest(table: pd.DataFrame) -> float:
    near = table.loc[table["difference"].abs() <= ACCURACY_SLACK, "difference"]
    return float(near.abs().max())


def _efficientnets_among_best(published: pd.DataFrame, variant: str) -> int:
    best = network_table(published, variant).head(BEST)
    return int((best["family"] == EFFICIENTNETS).sum())


def _rank(published: pd.DataFrame, model: str) -> int:
    """From 1; equal values share the better rank."""
    rows = published[published["variant"] == "base"].set_index("model")["sensitivity"]
    return int((rows > rows[model]).sum()) + 1
