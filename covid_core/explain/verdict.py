"""From measures of single slices to means with intervals, and to whether a map beats its controls."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from covid_core.explain.evaluation import JUDGED, MEASURES
from covid_core.explain.method_names import METHODS, PIXEL_METHODS
from covid_core.results.intervals import LEVEL, mean_with_interval

LEAST_LOSS = 0.2
"""Mean probability that a blurred slice has to lose before deletion and insertion mean something."""

FACTS = "slice"
"""Method of the measures that belong to a slice itself, whatever map it gets."""

RANDOM, RANDOM_PIXELS, CENTRED = "control random", "control random pixels", "control centred"
SHUFFLED, RANDOM_WEIGHTS = "gradcam shuffled", "gradcam random weights"
"""Maps that must not beat the controls, with the number of a seed behind them: ``"gradcam shuffled 1"``."""

FOLDS = "gradcam folds"
NULLS = {SHUFFLED: "Grad-CAM, shuffled", RANDOM_WEIGHTS: "Grad-CAM, random weights"}
CONTROLS = {"random": "random maps", "centred": "a Gaussian in the middle"}

BOTH, ONLY_RANDOM, ONLY_CENTRED, NEITHER = "both", "random only", "centred only", "neither"
WORSE, UNKNOWN = "worse than both", "not defined"


class Mean(NamedTuple):
    """A mean with its confidence interval; NaN where it is not defined."""

    mean: float
    low: float
    high: float
    count: int


def mean_of_groups(values: np.ndarray, groups: np.ndarray, level: float = LEVEL) -> Mean:
    """Mean over groups with Student's t interval, every group counting once.

    Slices of one patient are no independent observations: each patient gives one number, the mean of theirs.

    Args:
        values: Float ``(N,)``; NaN is skipped.
        groups: ``(N,)``: the patient of each value.
        level: Confidence level.

    Returns:
        Mean and bounds, not cut off; ``count`` is the number of groups. One group has a mean and no interval.
    """
    known = ~np.isnan(values)
    means = pd.Series(np.asarray(values)[known]).groupby(np.asarray(groups)[known]).mean().to_numpy()
    return Mean(*mean_with_interval(means, level), len(means))


def summary(measures: pd.DataFrame) -> pd.DataFrame:
    """One row a network, method and measure: the mean beside that of its controls on the same slices.

    Args:
        measures: As ``ResultsStore.measures`` gives them, of one data set and setting; columns ``subject``, ``method``,
            ``slice``, ``measure``, ``value``.

    Returns:
        ``subject``, ``method``, ``measure``; ``mean``, ``low``, ``high`` of the map; ``slices``, ``groups`` (counts);
        for each control ``<control>`` (its mean) and ``<control>_gain``, ``_gain_low``, ``_gain_high``: how much better
        the map is, positive in the measure's better direction, paired by slice; ``beats``: which controls it is better
        than, or whether it is worse than both, with an interval that excludes zero.
    """
    rows = []
    for subject, of_subject in measures.groupby("subject", sort=True):
        values = of_subject.pivot(index=["method", "measure"], columns="slice", values="value")
        groups = _groups(values)
        methods = [name for name in METHODS if name in values.index.get_level_values("method")]
        for method in methods:
            random = RANDOM_PIXELS if method in PIXEL_METHODS else RANDOM
            for name in MEASURES:
                row = _compared(values, groups, method, name, {"random": random, "centred": CENTRED})
                if row is not None:
                    rows.append({"subject": subject, "method": method, "measure": name} | row)
    return pd.DataFrame(rows, columns=_COLUMNS)


def null_summary(measures: pd.DataFrame) -> pd.DataFrame:
    """The same for maps that must not beat the controls: the wider of the intervals over seeds and over slices.

    Args:
        measures: As for ``summary``.

    Returns:
        ``subject``, ``null`` (``SHUFFLED`` or ``RANDOM_WEIGHTS``), ``measure``, ``seeds`` (those with a defined value),
        ``seeds_beating`` (those that beat both controls when each is taken alone, over its slices), ``mean`` over the
        seeds; for each control ``<control>_gain`` with ``_low`` and ``_high``; ``beats``.
    """
    rows, nulls_controls = [], {"random": RANDOM, "centred": CENTRED}
    for subject, of_subject in measures.groupby("subject", sort=True):
        values = of_subject.pivot(index=["method", "measure"], columns="slice", values="value")
        groups = _groups(values)
        present = sorted(set(values.index.get_level_values("method")))
        for null in NULLS:
            seeds = [method for method in present if method.startswith(f"{null} ")]
            for name in MEASURES:
                compared = [_compared(values, groups, seed, name, nulls_controls) for seed in seeds]
                compared = [row for row in compared if row is not None and row["slices"]]
                if not compared:
                    continue
                row = {"subject": subject, "null": null, "measure": name, "seeds": len(compared)}
                row["seeds_beating"] = sum(one["beats"] == BOTH for one in compared)
                row["mean"] = float(np.mean([one["mean"] for one in compared]))
                of_seeds = values.loc[[(seed, name) for seed in seeds if (seed, name) in values.index]]
                over_slices = _against(values, groups, of_seeds.mean().to_numpy(), name, nulls_controls)
                for control in CONTROLS:
                    gains = np.array([one[f"{control}_gain"] for one in compared])
                    gain = mean_of_groups(gains, np.arange(len(gains)))
                    # seeds share slices and the controls' draws, slices share seeds: the wider of both
                    of_slices = over_slices[f"{control}_gain_high"] - over_slices[f"{control}_gain"]
                    half = np.maximum(gain.high - gain.mean, of_slices)
                    bounds = (gain.mean, gain.mean - half, gain.mean + half)
                    row |= dict(zip(_gain_columns(control), bounds, strict=True))
                rows.append(row | {"beats": _beaten(row)})
    return pd.DataFrame(rows, columns=_NULL_COLUMNS)


def verdict(rows: pd.DataFrame) -> str:
    """In words whether one method of one network beats its controls.

    Args:
        rows: The rows of ``summary`` of one subject and method.

    Returns:
        One or two sentences.
    """
    judged = rows[rows["measure"].isin(JUDGED)]
    judged = judged[judged["beats"] != UNKNOWN]
    if judged.empty:
        return "Nothing to judge: the maps are empty, or too few slices were measured for an interval."
    by = {beats: _listed([_label(name) for name in of["measure"]]) for beats, of in judged.groupby("beats")}
    parts = []
    if BOTH in by:
        parts.append(f"Beats both controls by {by[BOTH]}.")
    if ONLY_RANDOM in by:
        parts.append(f"Beats random maps, but not a Gaussian in the middle, by {by[ONLY_RANDOM]}.")
    if ONLY_CENTRED in by:
        parts.append(f"Beats a Gaussian in the middle, but not random maps, by {by[ONLY_CENTRED]}.")
    if NEITHER in by:
        parts.append(f"{'No better than either control' if parts else 'Beats neither control'} by {by[NEITHER]}.")
    if WORSE in by:
        parts.append(f"Worse than both controls by {by[WORSE]}.")
    return " ".join(parts)


def null_verdict(nulls: pd.DataFrame) -> str:
    """In words how often maps that know nothing beat both controls; that none is shown to proves nothing.

    Args:
        nulls: Rows of ``null_summary``; measures that are not judged are left out.

    Returns:
        A few sentences; empty where no judged measure was taken.
    """
    rows = nulls[nulls["measure"].isin(JUDGED)]
    if rows.empty:
        return ""
    beating = rows[rows["beats"] == BOTH]
    # a map that is worse than one control beats not both; a bound that is NaN rules nothing out
    ruled_out = np.any([rows[f"{control}_gain_high"] < 0 for control in CONTROLS], axis=0)
    undecided = int((~ruled_out & (rows["beats"] != BOTH)).sum())
    fewest, most = rows["seeds"].min(), rows["seeds"].max()
    over = f"{most} seed{'s' if most > 1 else ''}" if fewest == most else f"{fewest} to {most} seeds"
    found = f"{len(beating)} of {len(rows)} comparisons beat" if len(beating) else "none is shown to beat"
    text = f"In the mean over {over} {found} both controls"
    if len(beating):
        who = [f"{row.subject}, {NULLS[row.null]}, by {_label(row.measure)}" for row in beating.itertuples()]
        text += f" ({'; '.join(who)}): by these measures a win proves nothing there"
    text += f". {undecided} of {len(rows)} comparisons are undecided"
    text += ": their intervals leave such a win open, or do not exist. " if undecided else ". "
    alone = rows.groupby(["null", "measure"], sort=False)[["seeds", "seeds_beating"]].sum().reset_index()
    wins = [
        f"{NULLS[row.null]}, by {_label(row.measure)} ({row.seeds_beating} of {row.seeds})"
        for row in alone[alone["seeds_beating"] > 0].itertuples()
    ]
    total = f"{rows['seeds_beating'].sum()} of {rows['seeds'].sum()}"
    which = f": {'; '.join(wins)}" if wins else ""
    return f"{text}Of single seeds, each over its slices, {total} are shown to beat both{which}."


def sanity(measures: pd.DataFrame) -> pd.DataFrame:
    """Means over all slices of what belongs to slices and networks, one row a network.

    Args:
        measures: As for ``summary``.

    Returns:
        ``subject``, then as far as they were measured: ``probability`` and ``blurred probability`` of the slice's own
        class, ``randomised rank`` and ``randomised ssim`` (likeness of Grad-CAM to that of random weights, over all
        seeds) and ``fold rank`` (rank correlation between the folds' maps).
    """
    wanted = ["probability", "blurred probability", "randomised rank", "randomised ssim", "fold rank"]
    of = measures[measures["measure"].isin(wanted)]
    means = of.groupby(["subject", "measure"])["value"].mean().unstack()
    return means.reindex(columns=[name for name in wanted if name in means]).reset_index()


def unevenly_measured(measures: pd.DataFrame) -> list[str]:
    """Networks some of whose maps were measured on fewer slices than others; the measures themselves tell.

    Args:
        measures: As for ``summary``.
    """
    counts = measures.groupby(["subject", "method"])["slice"].nunique().groupby("subject")
    return sorted(counts.min()[counts.min() < counts.max()].index)


def curve_notes(means: pd.DataFrame) -> list[str]:
    """Where deletion and insertion say little, because blurring a slice takes nothing away from its class.

    Args:
        means: As ``sanity`` gives them.

    Returns:
        One sentence a network that it holds for.
    """
    if "blurred probability" not in means:
        return []
    return [
        f"{row['subject']} gives a blurred slice a mean probability of {row['blurred probability']:.2f} for the "
        f"slice's own class, and the slice itself {row['probability']:.2f}: deleting takes little away, so deletion "
        "and insertion say little here."
        for row in means.to_dict("records")
        if row["blurred probability"] > row["probability"] - LEAST_LOSS
    ]


def caveats(trained: dict[str, tuple[str, int]], dataset: str, groups_are: str, all_positive: bool) -> list[str]:
    """What has to be said beside the numbers.

    Args:
        trained: Network to the name of the data set that it was trained on, and the size of its slices in pixels.
        dataset: Name of the data set that was measured.
        groups_are: What counts once in an interval, see ``AnnotatedDataset``.
        all_positive: Whether all slices are of the positive class.
    """
    trained_on = sorted({f"{name} at {size} px" for name, size in trained.values()})
    same = sorted(network for network, (name, _) in trained.items() if name == dataset)
    # by name only: the digest of a measured set covers its masks too, that of the slices alone is not kept
    domain = (
        f"the data set of {_listed(same)} by its name: whether its slices were trained on is not known"
        if same
        else "another domain by its name, with a window, contrast and size of its own: they may be wrong there, and a "
        "map of a wrong answer shows what misled it"
    )
    if same and len(same) < len(trained):
        domain += "; to the others it is another domain, where they may be wrong"
    notes = [
        "Each map explains the slice's own class. 'Beats' means: paired by slice, the 95 % interval of the mean "
        "difference lies on the better side of zero. Intervals are not corrected for their number.",
        f"The networks were trained on {', '.join(trained_on)}; {dataset} is {domain}.",
    ]
    if all_positive:
        notes.append("Every slice is positive: nothing is said about maps of other slices.")
    if groups_are != "patient":
        notes.append(
            f"Patients are not known: every {groups_are} counts once, and intervals are too narrow if patients reach "
            "further."
        )
    return notes


def _groups(values: pd.DataFrame) -> np.ndarray:
    """The group of each slice; a slice of its own where none was noted."""
    if (FACTS, "group") in values.index:
        return values.loc[(FACTS, "group")].to_numpy()
    return np.arange(values.shape[1])


def _compared(
    values: pd.DataFrame, groups: np.ndarray, method: str, name: str, controls: dict[str, str]
) -> dict[str, float] | None:
    if (method, name) not in values.index:
        return None
    return _against(values, groups, values.loc[(method, name)].to_numpy(float), name, controls)


def _against(
    values: pd.DataFrame, groups: np.ndarray, of_map: np.ndarray, name: str, controls: dict[str, str]
) -> dict[str, float] | None:
    """A map's measure of each slice beside that of its controls."""
    if np.isnan(of_map).all():
        return None
    mean = mean_of_groups(of_map, groups)
    # no share can lie outside 0-1: cutting the interval there loses no coverage
    row = {"mean": mean.mean, "low": max(mean.low, 0.0), "high": min(mean.high, 1.0)}
    row |= {"slices": int((~np.isnan(of_map)).sum()), "groups": mean.count}
    for control, stored in controls.items():
        known = (stored, name) in values.index
        of_control = values.loc[(stored, name)].to_numpy(float) if known else np.full_like(of_map, np.nan)
        gain = mean_of_groups(MEASURES[name].better * (of_map - of_control), groups)
        row[control] = mean_of_groups(np.where(np.isnan(of_map), np.nan, of_control), groups).mean
        row |= dict(zip(_gain_columns(control), gain[:3], strict=True))
    return row | {"beats": _beaten(row)}


def _beaten(row: dict[str, float]) -> str:
    lows = {control: row[f"{control}_gain_low"] for control in CONTROLS}
    if any(np.isnan(low) for low in lows.values()):
        return UNKNOWN
    if all(row[f"{control}_gain_high"] < 0 for control in CONTROLS):
        return WORSE
    beaten = tuple(control for control, low in lows.items() if low > 0)
    return {(): NEITHER, ("random",): ONLY_RANDOM, ("centred",): ONLY_CENTRED}.get(beaten, BOTH)


def _gain_columns(control: str) -> list[str]:
    return [f"{control}_gain{bound}" for bound in ("", "_low", "_high")]


def _label(measure: str) -> str:
    return MEASURES[measure].label.lower().replace("iou", "IoU")


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


_OF_CONTROLS = [column for control in CONTROLS for column in (control, *_gain_columns(control))]
_COLUMNS = ["subject", "method", "measure", "mean", "low", "high", "slices", "groups", *_OF_CONTROLS, "beats"]
_GAINS = [column for control in CONTROLS for column in _gain_columns(control)]
_NULL_COLUMNS = ["subject", "null", "measure", "seeds", "seeds_beating", "mean", *_GAINS, "beats"]
