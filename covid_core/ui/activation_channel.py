"""One channel of a layer, large: over the slice, with the places where it fires. Importing this starts TensorFlow."""

from __future__ import annotations

import numpy as np
import streamlit as st

from covid_core import charts
from covid_core.charts.maps import readable_map
from covid_core.explain.activation_statistics import ChannelStatistics
from covid_core.explain.activations import LayerInfo
from covid_core.explain.heatmap import colour, overlay, resize_heat
from covid_core.ui.activation_layers import field_text
from covid_core.ui.choices import slide
from covid_core.ui.chosen import ChosenSlice
from covid_core.ui.excitation import draw_excitation
from covid_core.ui.networks import ChosenNetwork

COLOURS = "inferno"  # from dark to bright, in grey too; jet is for what the study printed in jet


def pick_channel(count: int, noun: str = "Channel") -> int:
    """Draw the picker of a channel and return it, from 0; a click on the grid sets it too.

    Args:
        count: Channels of the layer.
        noun: What they are called.
    """
    if not 1 <= st.session_state.get("channel", 1) <= count:
        st.session_state["channel"] = 1
    return st.number_input(noun, 1, count, key="channel", bind="query-params", width=160) - 1


def draw_channel(
    network: ChosenNetwork, maps: np.ndarray, statistics: ChannelStatistics, layer: LayerInfo, chosen: ChosenSlice
) -> None:
    """Draw the picker of a channel, the channel over the slice, its numbers, and what excites it most on request.

    Args:
        network: The network.
        maps: float32 ``(h, w, c)``.
        statistics: Of these maps.
        layer: The layer.
        chosen: The slice.
    """
    left, right = st.columns(2, gap="large")
    with left:
        channel = pick_channel(len(statistics.mean))
        opacity = slide("Opacity", 0.0, 1.0, 0.6, "channel_opacity", step=0.05)
        share = slide(
            "Fires above, as a share of the way from its smallest to its largest value",
            0.05, 0.95, 0.5, "fires_above", step=0.05,
        )  # fmt: skip
        low, high = float(statistics.low[channel]), float(statistics.high[channel])
        values = resize_heat(maps[..., channel], chosen.pixels.shape)
        heat = (values - low) / (high - low) if high > low else np.zeros_like(values)
        fires = heat > share
        picture = charts.outlined(overlay(chosen.pixels, np.clip(heat, 0, 1), opacity, COLOURS), fires)
        st.altair_chart(
            readable_map(picture, chosen.pixels, values, value="Activation", value_format=".4g"),
            width="content",
            key="channel_map",
            alt=f"Channel {channel + 1} of {layer.name} over the slice",
        )
        if high > low:
            shades = colour(np.linspace(0, 1, 33, dtype=np.float32)[None], COLOURS)[0]
            bar = charts.colour_bar(shades, f"Activation of channel {channel + 1}", (low, high), ".3~g")
            with st.container(width=480):
                st.altair_chart(bar, key="channel_bar")
    with right:
        st.table(
            {
                "Smallest and largest value": f"{low:.4g} to {high:.4g}",
                "Mean, standard deviation": f"{statistics.mean[channel]:.4g}, "
                f"{np.sqrt(statistics.variance[channel]):.4g}",
                "Resolution": f"{layer.shape[0]} × {layer.shape[1]} places",
                "A place sees": field_text(layer),
                "Fires on": f"{fires.mean():.1%} of the slice, above {low + share * (high - low):.3g}"
                if high > low
                else "nothing: it is dead on this slice",
            },
            hide_header=True,
        )
        st.caption(
            "The map is enlarged to the slice, bilinear; the white line surrounds the pixels where the channel fires. "
            "A channel that fires on a region has not found a lesion: it responds to a pattern, whatever that is."
        )
        draw_excitation(network, layer, channel)
