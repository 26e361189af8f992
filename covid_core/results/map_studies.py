"""What studies of heat maps say, as tables with one row a backbone or network; reads the store, imports no Keras.

Three claims of the study are tested: base and modified networks differ in the mean intensity inside the mask; maps of
COVID slices are localised and those of others diffuse; the two networks of a pair look at the same regions, except
VGG16's.
"""

from __future__ import annotations

import json

import pandas as pd

from covid_core.models import zoo
from covid_core.results.differences import group_difference, holm, paired_difference
from covid_core.results.intervals import mean_with_interval
from covid_core.results.published import MEAN_INTENSITIES
from covid_core.results.store import ResultsStore

KIND = "mask-statistic"
"""Studies of trained pairs."""

RANDOM_KIND = "mask-statistic-random"
"""Studies of networks that have learned nothing."""

SPREADS = {"area_over_half": "Area over half maximum", "entropy": "Entropy"}
"""Measures of how far one map spreads, with their names for people."""

AGREEMENTS = ("mask_iou", "chance_iou", "other_slice_iou", "rank_correlation", "other_slice_rank_correlation")
"""Measures of how well the two maps of a pair agree, and their controls."""

_GROUP = ["kind", "dataset_digest", "transform", "settings"]


def study_groups(store: ResultsStore) -> list[pd.DataFrame]:
    """Studies whose backbones can stand in one table: of one kind, data set, transform and settings.

    Returns:
        Frames as ``ResultsStore.studies`` gives them, with ``backbone`` in front, one row a backbone in the zoo's
        order: of a pair that was studied with other weights before, the study that was finished last. Groups of
        trained networks come first, then the larger ones.
    """
    studies = store.studies()
    studies = studies[studies["kind"].isin((KIND, RANDOM_KIND)) & (studies["measured"] > 0)]
    if studies.empty:
        return []
    order = {name: position for position, name in enumerate(zoo.ALL)}
    studies = studies.assign(backbone=[_backbone(text) for text in studies["networks"]])
    studies = studies.sort_values(["finished", "measured"], na_position="first", kind="stable")
    studies = studies.drop_duplicates([*_GROUP, "backbone"], keep="last")
    studies = studies.sort_values("backbone", key=lambda names: names.map(order), kind="stable")
    studies = studies[["backbone", *(name for name in studies if name != "backbone")]]
    groups = [group.reset_index(drop=True) for _, group in studies.groupby(_GROUP)]
    return sorted(groups, key=lambda group: (group["kind"].iloc[0] != KIND, -group["measured"].sum()))


def wide_measures(store: ResultsStore, group: pd.DataFrame) -> pd.DataFrame:
    """The measures of a group of studies, one row a slice and backbone.

    Args:
        store: Where they are.
        group: As ``study_groups`` gives it.

    Returns:
        ``backbone`` (in the group's order), ``slice``, ``label``, and a column for each measure.
    """
    parts = []
    for study in group.itertuples():
        rows = store.measures(study.id)
        table = rows.pivot(index=["slice", "label"], columns="measure", values="value").rename_axis(columns=None)
        parts.append(table.reset_index().assign(backbone=study.backbone))
    table = pd.concat(parts, ignore_index=True)
    return table[["backbone", *(name for name in table if name != "backbone")]]


def intensity_table(measures: pd.DataFrame, mask: str = "base", value: str = "intensity") -> pd.DataFrame:
    """Base against modified network inside the mask, one row a backbone, beside the published means.

    Args:
        measures: As ``wide_measures`` gives them.
        mask: The map that the mask is from: ``"base"`` as published, ``"modified"`` or ``"union"``.
        value: ``"intensity"`` (0-255) or ``"heat"`` (0-1).

    Returns:
        ``backbone``, ``slices`` (with a mask), ``without_mask``, ``empty_base`` and ``empty_modified`` (slices whose
        map is zero everywhere; where the other network's map gives the mask, an empty one counts with the colour of
        zero), ``base`` and ``modified`` (means), ``difference`` (base minus modified) with ``low`` and ``high`` (paired
        t, 95 %), ``p_t`` and ``p_wilcoxon``, ``p_t_holm`` and ``p_wilcoxon_holm`` (over the rows), ``published_base``,
        ``published_modified`` and ``published_difference`` (NaN where nothing is printed that this can stand beside).
    """
    rows = []
    for backbone, slices in measures.groupby("backbone", sort=False):
        result = paired_difference(slices[f"{mask}_mask_base_{value}"], slices[f"{mask}_mask_modified_{value}"])
        printed = MEAN_INTENSITIES.get(backbone) if (mask, value) == ("base", "intensity") else None
        base, modified = printed or (float("nan"), float("nan"))
        rows.append(
            {
                "backbone": backbone,
                "slices": result.counts[0],
                "without_mask": len(slices) - result.counts[0],
                "empty_base": int(slices["base_entropy"].isna().sum()),
                "empty_modified": int(slices["modified_entropy"].isna().sum()),
                "base": result.means[0],
                "modified": result.means[1],
                "difference": result.difference,
                "low": result.low,
                "high": result.high,
                "p_t": result.p_t,
                "p_wilcoxon": result.p_rank,
                "published_base": base,
                "published_modified": modified,
                "published_difference": base - modified,
            }
        )
    table = pd.DataFrame(rows)
    for test in ("p_t", "p_wilcoxon"):
        table.insert(table.columns.get_loc("published_base"), f"{test}_holm", holm(table[test]))
    return table


def spread_table(measures: pd.DataFrame) -> pd.DataFrame:
    """Spread of the maps of positive slices against that of the others, one row a network and measure.

    Args:
        measures: As ``wide_measures`` gives them.

    Returns:
        ``network``, ``measure`` (of ``SPREADS``), ``positive_slices`` and ``negative_slices`` (with a map that is not
        empty), ``positive`` and ``negative`` (means), ``difference`` (positive minus negative) with ``low`` and
        ``high`` (Welch, 95 %), ``p_t`` (Welch) and ``p_mann_whitney``, and both with ``_holm`` over the networks of a
        measure. Below zero means that maps of positive slices are the narrower ones.
    """
    rows = []
    for backbone, slices in measures.groupby("backbone", sort=False):
        positive = slices["label"] == 1
        for variant, network in (("base", backbone), ("modified", f"Modified-{backbone}")):
            for measure in SPREADS:
                values = slices[f"{variant}_{measure}"]
                result = group_difference(values[positive], values[~positive])
                rows.append(
                    {
                        "network": network,
                        "measure": measure,
                        "positive_slices": result.counts[0],
                        "negative_slices": result.counts[1],
                        "positive": result.means[0],
                        "negative": result.means[1],
                        "difference": result.difference,
                        "low": result.low,
                        "high": result.high,
                        "p_t": result.p_t,
                        "p_mann_whitney": result.p_rank,
                    }
                )
    table = pd.DataFrame(rows)
    for test in ("p_t", "p_mann_whitney"):
        table[f"{test}_holm"] = table.groupby("measure")[test].transform(holm)
    return table


def agreement_table(measures: pd.DataFrame) -> pd.DataFrame:
    """How well the two maps of a pair agree, one row a backbone and measure of ``AGREEMENTS``.

    Args:
        measures: As ``wide_measures`` gives them.

    Returns:
        ``backbone``, ``measure``, ``slices``, ``mean``, ``low`` and ``high`` (Student's t, 95 %).
    """
    rows = []
    for backbone, slices in measures.groupby("backbone", sort=False):
        for measure in AGREEMENTS:
            mean, low, high = mean_with_interval(slices[measure])
            count = int(slices[measure].notna().sum())
            rows.append(
                {"backbone": backbone, "measure": measure, "slices": count, "mean": mean, "low": low, "high": high}
            )
    return pd.DataFrame(rows)


def overlap_beyond_control(measures: pd.DataFrame) -> pd.DataFrame:
    """How much more the masks of a pair overlap on one slice than on two of the same class, one row a backbone.

    Args:
        measures: As ``wide_measures`` gives them.

    Returns:
        ``backbone``, ``slices``, ``difference`` with ``low`` and ``high`` (paired t, 95 %), ``p_t`` and ``p_t_holm``.
    """
    rows = []
    for backbone, slices in measures.groupby("backbone", sort=False):
        result = paired_difference(slices["mask_iou"], slices["other_slice_iou"])
        rows.append(
            {
                "backbone": backbone,
                "slices": result.counts[0],
                "difference": result.difference,
                "low": result.low,
                "high": result.high,
                "p_t": result.p_t,
            }
        )
    table = pd.DataFrame(rows)
    return table.assign(p_t_holm=holm(table["p_t"]))


def _backbone(networks: str) -> str:
    """Of a pair, the network without a prefix."""
    names = list(json.loads(networks))
    return min(names, key=len) if names else ""
