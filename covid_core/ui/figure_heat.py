"""The study's figures 4 and 5: heat maps of many networks, or of pairs; imports no deep-learning library."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from covid_core.charts.figures import Block
from covid_core.explain.map_pairs import trained_pairs
from covid_core.models import zoo
from covid_core.models.library import Card
from covid_core.ui.choices import choose
from covid_core.ui.figure_choices import (
    SLOW_TO_BUILD,
    Plan,
    network_pairs,
    pick_two_slices,
    single_networks,
    slice_name,
)
from covid_core.ui.networks import offer_random

NINE = (
    *("EfficientNetB5", "EfficientNetB4", "ResNet50", "Xception", "InceptionResNetV2"),
    *("DenseNet201", "DenseNet121", "VGG16", "VGG19"),
)
FIVE = ("EfficientNetB5", "ResNet50", "DenseNet201", "Xception", "VGG16")
TARGETS = {"Each slice's own class": True, "COVID for both": False}
BACKBONES = tuple(dict.fromkeys(spec.backbone for spec in zoo.ALL.values()))


def networks_plan(trained: dict[str, list[Card]]) -> Plan:
    """Draw the choices of figure 4: many networks on a positive and a negative slice.

    Args:
        trained: As ``networks.trained_networks`` gives it.
    """
    default = _first_choice(NINE, [name for name in zoo.ALL if name in trained])
    names = choose(st.multiselect, "Networks", list(zoo.ALL), "figure_networks", default=default)
    networks = single_networks(names, trained)
    return _plan("networks", networks, sum(network.card is None for network in networks))


def pairs_plan(trained: dict[str, list[Card]]) -> Plan:
    """Draw the choices of figure 5: base and modified networks on a positive and a negative slice.

    Args:
        trained: As ``networks.trained_networks`` gives it.
    """
    default = _first_choice(FIVE, [pair.backbone for pair in trained_pairs(trained, BACKBONES)])
    names = choose(st.multiselect, "Backbones", list(BACKBONES), "backbones", default=default)
    pairs = network_pairs(names, trained)
    return _plan("pairs", pairs, sum(base.card is None for base, _ in pairs))


def _first_choice(study: Sequence[str], trained: Sequence[str]) -> list[str]:
    """The study's choice; what is trained here where none of that is, and a word about it."""
    if not trained or set(study) & set(trained):
        return list(study)
    st.caption(f"The study draws {', '.join(study)}; none of them is trained here.")
    return list(trained)


def _plan(kind: str, networks: list, missing: int) -> Plan:
    target = choose(
        st.segmented_control, "Maps of", list(TARGETS), "maps_of", default=next(iter(TARGETS)), required=True
    )
    own = TARGETS[target]
    slices = pick_two_slices()
    if not networks:
        st.info("Choose at least one network to draw.", icon=":material/filter_alt_off:")
        st.stop()
    random = missing > 0 and _offer_random(kind, missing, len(networks))

    def draw(say: Callable[[str], None]) -> tuple[list[Block], list[str]]:
        from covid_core.ui import figure_maps  # starts TensorFlow

        of_slice = figure_maps.single_block if kind == "networks" else figure_maps.pair_block
        blocks = [
            of_slice(
                f"{label} slice: {slice_name(chosen)}", networks, chosen, label == "Positive" or not own, random, say
            )
            for label, chosen in zip(("Positive", "Negative"), slices, strict=True)
        ]
        caption = [
            f"Grad-CAM of {'the class that each slice stands for' if own else 'the positive class'} at the layer that "
            "enters the global pooling; jet, each map on its own scale."
        ]
        if kind == "pairs":
            caption.append("Outline: the base network's mask. Intensity: mean of red, green and blue inside it, 0-255.")
        return blocks, caption

    note = "Heat is not lesion: a map shows where evidence for a class enters a network's last maps."
    return Plan(kind, slices, draw, note)


def _offer_random(kind: str, missing: int, count: int) -> bool:
    """Say that networks have no weights; whether the reader wants random ones."""
    noun = "networks" if kind == "networks" else "pairs"
    fate = "is not trained here; its place stays" if missing == 1 else "are not trained here; their places stay"
    st.info(
        f"{missing} of these {count} {noun} {fate} empty. Train with "
        "`python train_all.py --networks NAME --rounds 1 --only-fold 1 --dataset FOLDER`, or choose others.",
        icon=":material/info:",
    )
    return offer_random("Draw them with random weights, to look at the layout only", "random_weights", SLOW_TO_BUILD)
