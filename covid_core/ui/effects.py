"""Families and traits as a page compares them; imports no deep-learning library."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from covid_core.charts.paper import effect_intervals
from covid_core.models.zoo import ALL, TRAITS, VARIANTS
from covid_core.results.effects import BOTH, UNITS, backbones, trait_effects, traits_by_family, variant_effects
from covid_core.results.intervals import LEVEL
from covid_core.results.metrics import METRIC_LABELS
from covid_core.ui.choices import choose
from covid_core.ui.files import csv_button, draw_chart

FEW_DEGREES = 4
"""Intervals with fewer degrees of freedom lean on the normal distribution of what they cannot check."""

_MEANINGS = (
    "residual links add a block's input to its output",
    "depthwise convolutions filter each channel by itself",
    "pointwise convolutions of 1 × 1 mix channels only",
    "dense links append what a block computes to its input",
    "inception blocks join parallel branches; Xception has separable convolutions in their place",
)


def draw_effects(rows: pd.DataFrame, metric: str, name: str) -> None:
    """Draw what families, traits, size and head go with, and how little can be told.

    Args:
        rows: Of one experiment or of the study, as ``leaderboard.leaderboard`` gives them.
        metric: Whose score.
        name: Of the rows, for the names of files.
    """
    scopes = {BOTH.capitalize(): BOTH, **{f"{variant.capitalize()} networks": variant for variant in VARIANTS}}
    scopes = {label: scope for label, scope in scopes.items() if len(backbones(rows, metric, scope))}
    heads = variant_effects(rows, metric)
    if not scopes:
        st.info("These results hold no network of the zoo, whose traits are known.", icon=":material/info:")
        return
    scope = scopes[
        choose(
            st.segmented_control,
            "Score of a backbone",
            list(scopes),
            "scope",
            default=next(iter(scopes)),
            required=True,
        )
    ]
    of_backbone = backbones(rows, metric, scope)
    effects = pd.concat([heads, trait_effects(rows, metric, scope)], ignore_index=True)
    count = len(of_backbone)
    st.subheader(f"{METRIC_LABELS[metric]} over {count} backbone{'s' if count > 1 else ''}", anchor=False)
    known = effects[effects["effect"].notna()]
    if known.empty:
        st.info(
            "One backbone cannot be compared: an effect needs backbones with a trait and others without it. Choose "
            "other results, or train more networks.",
            icon=":material/info:",
        )
    else:
        title = METRIC_LABELS[metric] if metric == "f1" else METRIC_LABELS[metric].lower()
        draw_chart(
            effect_intervals(known, f"Change in {title}"),
            f"{name}-effects",
            f"Effects of head, families, traits and size on {title} with two 95 % intervals each",
            effects,
        )
        st.dataframe(effect_rows(effects), key="effects", hide_index=True, height="content")
        st.markdown(_found(effects))
        _draw_limits(count, of_backbone["family"].nunique())
    strangers = rows.loc[~rows["model"].isin(ALL), "model"].nunique()
    if strangers:
        st.caption(f"Left out, because their traits are not known: {strangers} networks from elsewhere.")
    st.subheader("Who has which trait", anchor=False)
    st.dataframe(_traits_text(), key="traits", height="content")
    st.caption(
        "Of all backbones of each family, measured or not, those that have a trait. The traits are columns of the "
        "table of networks and follow from the layers: " + "; ".join(_MEANINGS) + "."
    )
    csv_button("Download backbones with traits and scores as CSV", of_backbone, f"{name}-backbones")


def effect_rows(effects: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``trait_effects`` and ``variant_effects`` as texts; what cannot be told is said in words."""
    rows = []
    for row in effects.to_dict("records"):
        known = not np.isnan(row["effect"])
        rows.append(
            {
                "Effect of": row["label"],
                "With / without": f"{row['with']} / {row['without']}" if row["without"] else f"{row['with']}",
                "Change": f"{row['effect']:+.4f}" if known else "–",
                **{unit_label: _interval(row, unit) for unit, unit_label in UNITS.items()},
                "One family left out": _range(row),
                "Cannot be told from": _confounded(row),
            }
        )
    return pd.DataFrame(rows)


def _interval(row: dict, unit: str) -> str:
    if np.isnan(row["effect"]):
        return f"nothing to compare: {row['with']} with, {row['without']} without"
    if np.isnan(row[f"low_{unit}"]):
        return "rests on one family" if unit == "family" else "rests on one backbone"
    low, high, degrees = (row[f"{part}_{unit}"] for part in ("low", "high", "degrees"))
    few = f" · {degrees:.1f} df" if degrees < FEW_DEGREES else ""
    return f"{low:+.4f} to {high:+.4f}{few}"


def _range(row: dict) -> str:
    return "–" if np.isnan(row["least"]) else f"{row['least']:+.4f} to {row['most']:+.4f}"


def _confounded(row: dict) -> str:
    if row["kind"] == "size" or row["kind"] == "variant":
        return ""
    if row["kind"] == "family":
        return "all else that sets it apart"
    if row["same_as"]:
        return f"the family: {row['same_as']}"
    return "" if np.isnan(row["follows"]) else f"other traits, {row['follows']:.0%}"


def _found(effects: pd.DataFrame) -> str:
    texts = []
    for unit, label in UNITS.items():
        # a trait that one family alone has, or lacks, is that family's contrast under another name
        tested = effects[effects[f"low_{unit}"].notna() & effects["same_as"].eq("")]
        if tested.empty:
            texts.append(f"**{label}**: these results allow no interval.")
            continue
        sure = tested[(tested[f"low_{unit}"] > 0) | (tested[f"high_{unit}"] < 0)]
        names = ", ".join(f"*{name}*" for name in sure["label"]) or "none"
        texts.append(
            f"**{label}**: {len(sure)} of {len(tested)} intervals leave{'s' if len(sure) == 1 else ''} zero out "
            f"({names}); about {len(tested) * (1 - LEVEL):.1f} would by chance alone. Traits that are one family's are "
            "counted with that family."
        )
    return "  \n".join(texts)


def _draw_limits(count: int, families: int) -> None:
    several = "one backbone" if count == 1 else f"{count} correlated backbones"
    stand = "one family stands" if families == 1 else f"{families} families stand"
    st.markdown(
        f"**What {several} can show**: how scores differ between these architectures on this data set, trained "
        "and split in this way; and, because base and modified network of a backbone are a pair, what the head "
        "changes.\n\n"
        "**What they cannot show**: which trait is the cause. Nobody drew the architectures by chance: a family shares "
        "many properties at once, and several traits are nearly a family's name. Pointwise convolutions are had by all "
        "but VGG, dense links by DenseNet alone, and the scores of these families differ for any reason that sets them "
        "apart. All networks are also tested on the same slices, so luck with these slices is shared and in no "
        "interval."
    )
    st.caption(
        "The change is the mean with the trait minus the mean without it; for sizes what doubling the parameters goes "
        f"with. *{UNITS['backbone']}*: as if the members of a family were unrelated designs, which they are not; these "
        f"intervals promise too much. *{UNITS['family']}*: {stand} for all designs, and what one family "
        "alone has cannot get an interval. Both are least squares with the CR2 variance (Bell & McCaffrey 2002) and "
        f"Satterthwaite's degrees of freedom (df), which are given below {FEW_DEGREES}: such an interval rests on next "
        "to nothing. *One family left out*: how far the change moves when any one family is dropped. *Other traits, "
        "88 %*: that share of who has the trait follows from the other traits, so a joint fit could not take them "
        "apart. Intervals are not corrected for their number."
    )


def _traits_text() -> pd.DataFrame:
    counts = traits_by_family()
    texts = {
        label: [f"{has} of {of}" if has else "–" for has, of in zip(counts[trait], counts["backbones"], strict=True)]
        for trait, label in TRAITS.items()
    }
    return pd.DataFrame(texts, index=counts.index.rename("Family"))
