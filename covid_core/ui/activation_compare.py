"""Activations side by side: two slices in one network, one slice in two networks. Importing this starts TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from covid_core.explain.activation_statistics import channel_difference, channel_order, channel_statistics
from covid_core.explain.activations import LayerInfo
from covid_core.models import zoo
from covid_core.models.library import Card
from covid_core.ui import activation_views as views
from covid_core.ui import inference
from covid_core.ui.choices import choose
from covid_core.ui.chosen import ChosenSlice
from covid_core.ui.errors import plain
from covid_core.ui.networks import ChosenNetwork, same_fold


def draw_two_slices(network: ChosenNetwork, layer: LayerInfo, chosen: ChosenSlice, other: ChosenSlice) -> None:
    """The same channels of one layer on two slices, by default on one scale.

    Args:
        network: The network.
        layer: One that gives maps.
        chosen: The slice on the page.
        other: The slice beside it.
    """
    slices = (chosen, other)
    maps = [inference.activation_maps(network, one, layer.number) for one in slices]
    statistics = [channel_statistics(one) for one in maps]
    grid = views.choose_grid(two_slices=True, own_scale=False)
    difference = channel_difference(*maps)
    order = channel_order(statistics[0], grid.order, difference).tolist()
    channels = order[views.pick_page(len(order), grid)]
    scale = views.layer_scale(*statistics)
    for column, one, of, numbers, key in zip(
        views.panes(2), slices, maps, statistics, ("first", "second"), strict=True
    ):
        with column:
            st.markdown(f"**{plain(one.name)}**")
            chart = views.grid_chart(of, numbers, channels, grid, scale, clickable=False)
            views.draw_grid(chart, channels, f"grid-{key}-{layer.number}-{channels[0]}", clickable=False)
            st.caption(views.dead_text(numbers))
    st.caption(
        f"{views.channels_text(channels, layer.shape[-1], grid)}. Over all channels the two slices differ by "
        f"{difference.mean():.3g} on average, most in channel {difference.argmax() + 1} ({difference.max():.3g})."
    )
    views.draw_scale(grid, *scale, of="the layer, over both slices")


def draw_two_networks(
    network: ChosenNetwork, layers: Sequence[LayerInfo], chosen: ChosenSlice, trained: dict[str, list[Card]]
) -> None:
    """One slice in two networks, at the end of the last block of one stride.

    Args:
        network: The network on the page.
        layers: All of its layers.
        chosen: The slice.
        trained: As ``networks.trained_networks`` gives it.
    """
    other = _pick_other(network, trained)
    if other is None:
        return
    others = inference.layers_of(other)
    ends = [_last_by_stride(of) for of in (layers, others)]
    strides = [str(stride) for stride in sorted(ends[0]) if stride in ends[1]]
    if not strides:
        st.info("These two networks have no stride in common.", icon=":material/info:")
        return
    stride = choose(
        st.select_slider, "Stride: pixels of the slice from one place of a map to the next", strides, "stride",
        value=strides[len(strides) // 2],
    )  # fmt: skip
    grid = views.choose_grid()
    shown = [of[int(stride)] for of in ends]
    networks = (network, other)
    maps = [inference.activation_maps(one, chosen, layer.number) for one, layer in zip(networks, shown, strict=True)]
    statistics = [channel_statistics(one) for one in maps]
    orders = [channel_order(of, grid.order).tolist() for of in statistics]
    page = views.pick_page(max(map(len, orders)), grid)
    for column, one, layer, of, numbers, order in zip(
        views.panes(2), networks, shown, maps, statistics, orders, strict=True
    ):
        channels = order[page]
        with column:
            st.markdown(f"**{one.spec.name}**, layer {layer.number}: {plain(layer.name)}")
            if not channels:
                st.caption(f"It has {len(order)} channels: none on this page.")
                continue
            low, high = scale = views.layer_scale(numbers)
            chart = views.grid_chart(of, numbers, channels, grid, scale, clickable=False)
            views.draw_grid(chart, channels, f"grid-{one.spec.name}-{layer.number}-{channels[0]}", clickable=False)
            black_white = "" if grid.own_scale else f" Black {low:.3g}, white {high:.3g}."
            st.caption(f"{views.channels_text(channels, len(order), grid)}. {views.dead_text(numbers)}{black_white}")
    st.caption(
        "Channels of different networks have nothing to do with each other beyond their resolution: channel 1 here is "
        "not channel 1 there. "
        + (
            "Each channel goes from its own smallest value (black) to its largest (white)."
            if grid.own_scale
            else "Each network has a scale of its own, from the smallest value of its layer to the largest."
        )
    )


def _pick_other(network: ChosenNetwork, trained: dict[str, list[Card]]) -> ChosenNetwork | None:
    """The network beside the one on the page; first of all the one with the same backbone."""
    twin = zoo.partner(network.spec).name
    names = [name for name in (trained if network.card else zoo.ALL) if name != network.spec.name]
    if not names:
        st.info(
            f"No other network is trained here. Train one, for example {twin}, with train_all.py.",
            icon=":material/info:",
        )
        return None
    names.sort(key=lambda name: name != twin)
    name = choose(st.selectbox, "Second network", names, "second_network")
    card = same_fold(network.card, trained[name]) if network.card else None
    return ChosenNetwork(zoo.get(name), card)


def _last_by_stride(layers: Sequence[LayerInfo]) -> dict[int, LayerInfo]:
    """Stride -> the last end of a block with it."""
    return {
        layer.field.rows.stride: layer
        for layer in layers
        if layer.ends_block and layer.field is not None and layer.field.rows.stride == layer.field.columns.stride
    }
