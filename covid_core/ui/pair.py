"""The mask statistic: the maps of a base network and of its partner with another head, compared inside one mask."""

from __future__ import annotations

import math

import pandas as pd
import streamlit as st

from covid_core import charts
from covid_core.explain.heatmap import normalise, overlay, resize_heat
from covid_core.explain.intensity import mask_statistic
from covid_core.models import zoo
from covid_core.models.library import Card
from covid_core.results.published import MEAN_INTENSITIES
from covid_core.ui import inference
from covid_core.ui.choices import choose
from covid_core.ui.chosen import ChosenSlice
from covid_core.ui.networks import ChosenNetwork, same_fold, untrained_notice

THRESHOLDS = {"Heat": "heat", "Coloured pixel": "pixel"}


_MASK_MEANINGS = {
    "heat": "The mask holds the pixels whose heat is more than one standard deviation above its mean. ",
    "pixel": "The mask holds the pixels whose coloured intensity is more than one standard deviation above its mean; "
    "the hottest ones, which jet draws dark, may not be among them. ",
}


def draw_pair(
    network: ChosenNetwork,
    trained: dict[str, list[Card]],
    chosen: ChosenSlice,
    layer: str,
    class_index: int,
    opacity: float,
) -> None:
    """Draw the heading, both maps with the mask's outline, and the statistic beside them.

    The study defines the statistic for base and modified. A residual network takes the modified one's place, and the
    page says so; a base network is compared with its modified partner.

    Args:
        network: The network on the page; there is nothing to compare where it is not trained.
        trained: As ``networks.trained_networks`` gives it.
        chosen: The slice.
        layer: Grad-CAM's layer, of the backbone, which both networks have.
        class_index: The class that the maps explain.
        opacity: Of the heat over the slice, 0-1.
    """
    partner_spec = zoo.partner(network.spec)
    variant = next(spec.variant for spec in (network.spec, partner_spec) if spec.variant != "base")
    as_published = variant in zoo.STUDY_VARIANTS
    st.subheader(f"Base against {variant}: the mask statistic", anchor=False)
    card = same_fold(network.card, trained.get(partner_spec.name, [])) if network.card else None
    if card is None:
        st.markdown(f"The statistic compares a base network with its {variant} partner, and needs both trained.")
        if network.card:  # else the picker has said so already
            untrained_notice(partner_spec)
        return
    partner = ChosenNetwork(partner_spec, card)
    base, other = (network, partner) if network.spec.variant == "base" else (partner, network)
    sources = {
        "Base (as published)" if as_published else "Base": "base",
        variant.capitalize(): "modified",
        "Union": "union",
    }
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        source = choose(
            st.segmented_control,
            "Mask from",
            list(sources),
            "mask",
            default=next(iter(sources)),
            required=True,
        )
        threshold = choose(
            st.segmented_control, "Threshold on", list(THRESHOLDS), "threshold", default="Heat", required=True
        )
    inference.warm_up(partner, layer)
    with st.spinner("Computing both maps …"):
        heat = {
            one: resize_heat(normalise(inference.explain(one, chosen, layer, class_index).maps[0]), chosen.pixels.shape)
            for one in (base, other)
        }
    statistic = mask_statistic(heat[base], heat[other], sources[source], THRESHOLDS[threshold])
    *pictures, numbers = st.columns(3)
    for column, one in zip(pictures, (base, other), strict=True):
        picture = charts.outlined(overlay(chosen.pixels, heat[one], opacity), statistic.mask)
        column.image(picture, caption=f"{one.spec.name}, outline: the mask", width="stretch")
    if math.isnan(statistic.base_intensity):
        st.info("The mask is empty: its map is the same everywhere, so there is nothing to compare.")
        return
    for one in (base, other):
        if not heat[one].any():
            st.info(f"The map of {one.spec.name} is empty; its intensity is the dark blue that jet gives to zero.")
    published = MEAN_INTENSITIES.get(network.spec.backbone) if as_published else None
    rows = {
        "Mean intensity, 0–255": (statistic.base_intensity, statistic.modified_intensity, "{:.2f}"),
        "Mean heat, 0–1": (statistic.base_heat, statistic.modified_heat, "{:.3f}"),
    }
    if published:
        rows["Published mean intensity"] = (*published, "{:.4f}")
    table = pd.DataFrame(
        {name: [form.format(first), form.format(second)] for name, (first, second, form) in rows.items()},
        index=["Base", variant.capitalize()],
    ).T
    numbers.markdown(f"**Inside the mask**, {statistic.share:.0%} of the slice")
    numbers.table(table)
    st.caption(
        _MASK_MEANINGS[THRESHOLDS[threshold]] + "Intensity is the mean of red, green and blue of the jet-coloured map. "
        "Jet is dark at both ends and bright in the middle: a higher intensity need not mean a hotter map, which is "
        "why the heat stands beside it. "
        + f"{_relation_to_study(as_published, bool(published))} {_difference(network.card, card)}"
    )


def _relation_to_study(as_published: bool, printed: bool) -> str:
    if not as_published:
        return "The study compares base with modified networks; here the residual one takes the modified one's place."
    return "The published mean is over many slices." if printed else "The study prints no intensity for this backbone."


def _difference(one: Card | None, other: Card) -> str:
    if one and (one.experiment, one.round, one.fold) == (other.experiment, other.round, other.fold):
        return "Both networks were trained on the same fold."
    return "Mind that the two networks were not trained on the same fold of the same experiment."
