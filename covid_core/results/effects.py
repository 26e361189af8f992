"""What families and traits of architectures go with, over networks, with an interval for each effect.

The unit is the backbone: base and modified network of one backbone share everything but the head, so they are one
observation, their mean, or a pair whose difference is the effect of the head. Backbones of one family are variations of
one design, so every interval is given twice: with backbones as independent, and with families as clusters
(``cluster_robust``). Effects are those of single regressions: the traits overlap too much to be fitted together, and
the tables say how much.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from covid_core.models import zoo
from covid_core.results.cluster_robust import UNKNOWN, coefficient, estimate
from covid_core.results.published import published_rows

BOTH = "mean of base and modified"
UNITS = {"backbone": "Backbones as independent", "family": "Families as clusters"}
"""What the intervals take as independent, with names for people."""

_BOUNDS = [f"{part}_{unit}" for unit in UNITS for part in ("low", "high", "degrees")]
EFFECT_COLUMNS = [
    *("kind", "name", "label", "with", "without", "effect", *_BOUNDS),
    *("least", "most", "same_as", "follows"),
]


def backbones(rows: pd.DataFrame, metric: str, variant: str = BOTH) -> pd.DataFrame:
    """One row a backbone with its traits.

    Args:
        rows: Of one experiment or of the study, as ``leaderboard.leaderboard`` gives them. Networks that are not in the
            zoo, and so without known traits, are left out.
        metric: One of ``METRICS``.
        variant: One of ``zoo.VARIANTS``, or ``BOTH``: backbones that have base and modified, by their mean.

    Returns:
        ``backbone``, ``family``, the columns of ``zoo.TRAITS`` (bool), ``parameters_millions`` and
        ``log2_parameters`` (of the base network, as published), ``value`` (of the metric).
    """
    known = rows[rows["model"].isin(zoo.ALL) & rows[metric].notna()]
    values = known.pivot_table(index="backbone", columns="variant", values=metric)
    values = values.reindex(columns=list(zoo.VARIANTS))
    chosen = values["base"].add(values["modified"]) / 2 if variant == BOTH else values[variant]
    chosen = chosen.dropna()
    size = published_rows().query("variant == 'base'").set_index("backbone")["parameters_millions"]
    specs = [spec for spec in zoo.MODELS.values() if spec.variant == "base" and spec.backbone in chosen.index]
    names = [spec.backbone for spec in specs]
    table = pd.DataFrame(
        {
            "backbone": pd.Series(names, dtype="str"),
            "family": pd.Series([spec.family for spec in specs], dtype="str"),
            **{trait: pd.Series([getattr(spec, trait) for spec in specs], dtype=bool) for trait in zoo.TRAITS},
        }
    )
    table["parameters_millions"] = size.reindex(names).to_numpy()
    table["log2_parameters"] = np.log2(table["parameters_millions"])
    return table.assign(value=chosen.reindex(names).to_numpy(dtype=float))


def trait_effects(rows: pd.DataFrame, metric: str, variant: str = BOTH) -> pd.DataFrame:
    """What each family, each trait and the size goes with.

    Args:
        rows: As for ``backbones``.
        metric: One of ``METRICS``.
        variant: As for ``backbones``.

    Returns:
        One row an effect, in the order of the zoo: ``kind`` (``"family"``, ``"trait"`` or ``"size"``), ``name``,
        ``label`` (for people), ``with`` and ``without`` (backbones; of sizes all and 0), ``effect`` (mean with minus
        mean without; for sizes the change with every doubling of the parameters, over all backbones and within
        families), and for each of ``UNITS`` the bounds ``low_`` and ``high_`` of its 95 % interval and its
        ``degrees_`` of freedom; ``least`` and ``most`` (the effect as it becomes when one family is left out);
        ``same_as`` (families that the trait coincides with, for people) and ``follows`` (share
        of its variance that the other traits determine, 0-1; 1: it is a combination of them). NaN where these backbones
        cannot tell: an effect without backbones on both sides, an interval that would rest on one of them.
    """
    table = backbones(rows, metric, variant)
    ones = np.ones(len(table))
    found = []
    for family in zoo.FAMILIES:
        has = (table["family"] == family).to_numpy()
        found.append(_row(table, "family", family, f"{family} against the rest", has, [ones, has]))
    for trait, label in zoo.TRAITS.items():
        has = table[trait].to_numpy()
        facts = {"same_as": _same_as(table, has), "follows": _follows(table, trait)}
        found.append(_row(table, "trait", trait, label, has, [ones, has]) | facts)
    size, everywhere = table["log2_parameters"].to_numpy(), ones.astype(bool)
    families = [(table["family"] == family).to_numpy() for family in table["family"].unique()]
    found.append(_row(table, "size", "size", "Twice the parameters", everywhere, [ones, size]))
    found.append(_row(table, "size", "size_within", "Twice the parameters, same family", everywhere, [*families, size]))
    return pd.DataFrame(found, columns=EFFECT_COLUMNS)


def variant_effects(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """What the heads change: paired differences to the base network over backbones.

    Args:
        rows: As for ``backbones``.
        metric: One of ``METRICS``.

    Returns:
        As ``trait_effects``, with the kind ``"variant"``: one row for each head but the base one that some backbone
        has beside its base network; ``effect`` is the head's score minus the base network's, ``with`` the number of
        pairs.
    """
    base = backbones(rows, metric, "base").set_index("backbone")
    found = []
    for variant in zoo.VARIANTS[1:]:
        other = backbones(rows, metric, variant).set_index("backbone")
        pairs = other.index.intersection(base.index, sort=False)
        if len(pairs):
            table = base.loc[pairs].assign(value=other.loc[pairs, "value"] - base.loc[pairs, "value"]).reset_index()
            ones = np.ones(len(table))
            label = f"{variant.capitalize()} head − base"
            found.append(_row(table, "variant", variant, label, ones.astype(bool), [ones]))
    return pd.DataFrame(found, columns=EFFECT_COLUMNS)


def traits_by_family() -> pd.DataFrame:
    """How many backbones of each family have each trait.

    Returns:
        Indexed by ``zoo.FAMILIES``: ``backbones`` (their number) and a column for each of ``zoo.TRAITS``.
    """
    specs = pd.DataFrame([spec for spec in zoo.MODELS.values() if spec.variant == "base"])
    groups = specs.groupby("family")
    counts = groups[list(zoo.TRAITS)].sum()
    counts.insert(0, "backbones", groups.size())
    return counts.loc[list(zoo.FAMILIES)]


def _row(table: pd.DataFrame, kind: str, name: str, label: str, has: np.ndarray, design: list[np.ndarray]) -> dict:
    x = np.column_stack([np.asarray(column, np.float64) for column in design])
    effects = {unit: coefficient(table["value"], x, table[unit]) if len(table) else UNKNOWN for unit in UNITS}
    bounds = {
        f"{part}_{unit}": getattr(effect, part)
        for unit, effect in effects.items()
        for part in ("low", "high", "degrees")
    }
    without_one = [] if kind == "family" else [_without(table, x, family) for family in table["family"].unique()]
    known = [value for value in without_one if not np.isnan(value)]
    return {
        "kind": kind,
        "name": name,
        "label": label,
        "with": int(has.sum()),
        "without": int((~has).sum()),
        "effect": effects["backbone"].value,
        **bounds,
        "least": min(known, default=float("nan")),
        "most": max(known, default=float("nan")),
        "same_as": "",
        "follows": float("nan"),
    }


def _without(table: pd.DataFrame, x: np.ndarray, family: str) -> float:
    """The effect with one family left out, and with it the column that stands for that family alone."""
    kept = (table["family"] != family).to_numpy()
    others = x[kept, :-1]
    design = np.column_stack([others[:, others.any(axis=0)], x[kept, -1]])
    return estimate(table["value"][kept], design)


def _same_as(table: pd.DataFrame, has: np.ndarray) -> str:
    """The one family that a trait cannot be told from among these backbones."""
    if has.all() or not has.any():
        return ""
    for family in zoo.FAMILIES:
        of_family = (table["family"] == family).to_numpy()
        if (has == of_family).all():
            return family
        if (has == ~of_family).all():
            return f"all but {family}"
    return ""


def _follows(table: pd.DataFrame, trait: str) -> float:
    """R² of a trait on the others; the variance inflation factor of a joint fit is 1 / (1 - R²)."""
    has = table[trait].to_numpy(np.float64)
    if has.all() or not has.any():
        return float("nan")
    others = [table[other].to_numpy(np.float64) for other in zoo.TRAITS if other != trait]
    x = np.column_stack([np.ones(len(table)), *others])
    left = has - x @ np.linalg.lstsq(x, has, rcond=None)[0]
    return float(1 - (left**2).sum() / ((has - has.mean()) ** 2).sum())
