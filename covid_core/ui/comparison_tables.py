"""Comparisons as texts and tables for readers."""

from __future__ import annotations

import pandas as pd

from covid_core.explain.study_tables import p_text
from covid_core.results.false_positives import INTERVALS, TESTS, Measured
from covid_core.results.half_widths import JUDGED
from covid_core.results.intervals import interval_text
from covid_core.ui.tables import score_text

SURE = 0.95
"""From this probability on, the page speaks of an outcome as found."""


def capital(text: str) -> str:
    """``text`` as it begins a line; the rest of a network's name stays as it is."""
    return text[:1].upper() + text[1:]


def fold_rows(table: pd.DataFrame, names: tuple[str, str]) -> pd.DataFrame:
    """Rows of ``pairs.compare_pairs`` with a column ``label`` as texts.

    Args:
        table: The rows.
        names: What the first and the second network of every row are called, as inside a sentence.
    """
    first, second = names
    remarks = [_remark(*row) for row in zip(table["reason"], table["left_out"], strict=True)]
    return pd.DataFrame(
        {
            "Pair": table["label"],
            "Folds": table["folds"],
            capital(first): table["first_mean"].map(_score),
            capital(second): table["second_mean"].map(_score),
            f"{capital(first)} − {second}, 95 %": _intervals(table),
            "p, corrected t": table["p_holm"].map(p_text),
            f"{capital(first)} better": table["better"].map(_share),
            "Equivalent": table["equivalent"].map(_share),
            f"{capital(second)} better": table["worse"].map(_share),
            **({"Remark": remarks} if any(remarks) else {}),
        }
    )


def slice_rows(table: pd.DataFrame, names: tuple[str, str]) -> pd.DataFrame:
    """Rows of ``pairs.compare_predictions`` with a column ``label`` as texts."""
    first, second = names
    return pd.DataFrame(
        {
            "Pair": table["label"],
            "Round": table["round"],
            "Folds": table["folds"],
            "Slices": table["slices"],
            f"Only {first} right": table["only_first"],
            f"Only {second} right": table["only_second"],
            f"{capital(first)} − {second}, 95 %": _intervals(table),
            "p, McNemar": table["p_holm"].map(p_text),
        }
    )


def printed_rows(published: pd.DataFrame, pairs: pd.DataFrame, metric: str, names: tuple[str, str]) -> pd.DataFrame:
    """Pairs of published networks as texts: means, half-widths and their difference.

    Args:
        published: As ``published.published_rows`` gives them.
        pairs: Columns ``label``, ``first``, ``second``.
        metric: One of ``METRICS``.
        names: What the first and the second network of every row are called, as inside a sentence.
    """
    of = published.set_index("model")
    sides = [of.loc[pairs[side]].reset_index() for side in ("first", "second")]
    difference = sides[0][metric] - sides[1][metric]
    first, second = names
    return pd.DataFrame(
        {
            "Pair": pairs["label"].to_numpy(),
            capital(first): _printed(sides[0], metric),
            capital(second): _printed(sides[1], metric),
            f"{capital(first)} − {second}": difference.map("{:+.4f}".format),
        }
    )


def outcomes_sentence(table: pd.DataFrame, names: tuple[str, str], region: float) -> str:
    """What the Bayesian test finds in each pair, or in how many; rows without a test are left out."""
    tested = table[table["better"].notna()]
    beyond = f" by more than {region:g}" if region else ""
    outcomes = {
        "better": f"**{names[0]} better**{beyond}",
        "worse": f"**{names[1]} better**{beyond}",
        "equivalent": "**equivalent**",
    }
    found = {column: int((tested[column] >= SURE).sum()) for column in outcomes}
    sure = f"a probability of {100 * SURE:.0f} % or more"
    if len(tested) == 1:
        of_one = [text for column, text in outcomes.items() if found[column]]
        return f"With {sure}: {of_one[0]}." if of_one else f"**Undecided**: no outcome has {sure}."
    counts = ", ".join(f"{text} in {found[column]}" for column, text in outcomes.items())
    return f"With {sure}: {counts}; undecided in {len(tested) - sum(found.values())} of {len(tested)}."


def rate_rows(measured: Measured, kind: str) -> pd.DataFrame:
    """Rates of one kind as texts: one row a learner, metric and number of rounds, one column a test or interval."""
    names = TESTS if kind == "test" else INTERVALS
    cells = {(rate.learner, rate.metric, rate.rounds, rate.what): rate for rate in measured.rates if rate.kind == kind}
    rows = []
    for learner, metric, rounds in dict.fromkeys(key[:3] for key in cells):
        of_row = {names[what]: cells.get((learner, metric, rounds, what)) for what in names}
        texts = {
            name: f"{100 * rate.share:.1f} ± {100 * rate.error:.1f} %" if rate else "–" for name, rate in of_row.items()
        }
        rows.append({"Learner": learner, "Metric": metric.capitalize(), "Rounds": rounds, **texts})
    return pd.DataFrame(rows)


def rates_sentence(measured: Measured) -> str:
    """From where to where the rate of each test goes, with the most rounds that it was asked for."""
    texts = []
    for what, name in TESTS.items():
        rates = [rate for rate in measured.rates if (rate.kind, rate.what) == ("test", what)]
        most = max((rate.rounds for rate in rates), default=0)
        shares = [rate.share for rate in rates if rate.rounds == most]
        if shares:
            rounds = "one round" if most == 1 else f"{most} rounds"
            texts.append(f"{name.split(',')[0]} in {100 * min(shares):.1f} to {100 * max(shares):.1f} % ({rounds})")
    return "; ".join(texts) + "."


def reading_rows(readings: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``half_widths.fitting_readings`` as texts."""
    ratios = {
        f"{metric.capitalize()}, needed / chance": [
            f"{middle:.2f} ({low:.2f} to {high:.2f})"
            for middle, low, high in zip(
                *(readings[f"{metric}_ratio{end}"] for end in ("", "_low", "_high")), strict=True
            )
        ]
        for metric in JUDGED
    }
    return pd.DataFrame(
        {
            "Reading of ±": readings["reading"],
            **ratios,
            "p of chance": readings["probability"].map(p_text),
            "Verdict": readings["verdict"],
        }
    )


def _intervals(table: pd.DataFrame) -> list[str]:
    bounds = zip(table["difference"], table["low"], table["high"], strict=True)
    return [interval_text(*row, digits=4, signed=True) for row in bounds]


def _printed(rows: pd.DataFrame, metric: str) -> list[str]:
    return [score_text(*pair) for pair in zip(rows[metric], rows[f"{metric}_pm"], strict=True)]


def _score(mean: float) -> str:
    return "–" if pd.isna(mean) else f"{mean:.4f}"


def _share(probability: float) -> str:
    """Three digits; never ``1.000`` or ``0.000``, which would claim a certainty that no test gives."""
    if pd.isna(probability):
        return "–"
    if probability > 0.9995:
        return "> 0.999"
    return "< 0.001" if probability < 0.0005 else f"{probability:.3f}"


def _remark(reason: str, left_out: int) -> str:
    folds = f"{left_out} fold{'s' if left_out > 1 else ''} of one network left out" if left_out else ""
    return "; ".join(part for part in (reason, folds) if part)
