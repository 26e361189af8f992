"""Choosing a layer of a network: a slider over all, one over the blocks, steps and play."""

from __future__ import annotations

import time
from collections.abc import Sequence

import streamlit as st

from covid_core.explain.activations import LayerInfo
from covid_core.ui.choices import choose

PLAY_SECONDS = 1.5
_LAYER, _BLOCK, _STEP, _DRAWN = "layer_number", "layer_block", "layer_step", "layer_drawn"


def pick_layer(layers: Sequence[LayerInfo]) -> LayerInfo:
    """Draw the sliders and return the layer.

    Args:
        layers: All of the network, numbered as in the study.
    """
    labels = {f"{layer.number} {layer.name}": layer for layer in layers}
    names = list(labels)
    first = next((name for name, layer in labels.items() if layer.kind == "Conv2D"), names[0])
    ends = [name for name, layer in labels.items() if layer.ends_block]
    step = st.session_state.pop(_STEP, 0)
    if step and st.session_state.get(_LAYER) in labels:
        st.session_state[_LAYER] = names[(names.index(st.session_state[_LAYER]) + step) % len(names)]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = choose(st.select_slider, "Layer, numbered as in the study", names, _LAYER, value=first)
        at = names.index(name)
        # at the ends there is nowhere to go
        st.button(
            "Previous",
            key="previous",
            icon=":material/chevron_left:",
            on_click=_move,
            args=(names, -1),
            disabled=at == 0,
        )
        st.button(
            "Next", key="next", icon=":material/chevron_right:", icon_position="right", on_click=_move, args=(names, 1),
            disabled=at == len(names) - 1,
        )  # fmt: skip
        st.session_state[_DRAWN] = None  # in this run of the page nothing stands yet
        if st.toggle("Play", key="play"):
            _play()
    if len(ends) > 1:
        # it follows the layer: the block that the layer lies in, or the last one
        st.session_state[_BLOCK] = next((end for end in ends if labels[end].number >= labels[name].number), ends[-1])
        st.select_slider("Blocks only: the last layer of each", ends, key=_BLOCK, on_change=_jump)
    return labels[name]


def draw_facts(layer: LayerInfo, count: int) -> None:
    """Draw what is known of a layer before any slice is looked at.

    Args:
        layer: The layer.
        count: Layers of the network.
    """
    st.markdown(
        f"**Layer {layer.number} of {count}: {layer.name}** · {layer.kind} · "
        f"{' × '.join(map(str, layer.shape))} · {layer.parameters:,} weights · a place sees {field_text(layer)}"
    )


def field_text(layer: LayerInfo) -> str:
    """What one place of the layer's maps sees of the slice as the network takes it, in words."""
    if layer.field is None:
        return "the whole slice" if not layer.is_spatial or layer.shape[:2] == (1, 1) else "an unknown part"
    rows, columns = layer.field.rows, layer.field.columns
    box = f"{rows.size} × {columns.size} pixels, every {rows.stride}"
    return box if layer.field.bounded else f"{box}; through squeeze and excitation the whole slice"


def _move(names: Sequence[str], by: int) -> None:
    at = names.index(st.session_state[_LAYER]) + by
    st.session_state[_LAYER] = names[min(max(at, 0), len(names) - 1)]


def _jump() -> None:
    st.session_state[_LAYER] = st.session_state[_BLOCK]


@st.fragment(run_every=PLAY_SECONDS)
def _play() -> None:
    """Asks for the next layer some time after this one was drawn; a page that is still being drawn is not hurried."""
    drawn = st.session_state.get(_DRAWN)
    if drawn is not None and time.monotonic() - drawn >= PLAY_SECONDS * 0.8:
        st.session_state[_DRAWN] = None
        st.session_state[_STEP] = 1
        st.rerun()


def note_drawn() -> None:
    """Say that the page stands as the reader chose it: from now on the time of the next layer is counted."""
    st.session_state[_DRAWN] = time.monotonic()
