"""What every layer of a network makes of a slice."""

import streamlit as st

from covid_core import charts
from covid_core.ui.choices import choose, tick
from covid_core.ui.errors import shown_errors
from covid_core.ui.frame import frame
from covid_core.ui.networks import pick_network, trained_networks
from covid_core.ui.slices import pick_slice

COLUMNS = {"4": 2, "16": 4, "64": 8}
GRID_PIXELS = 960

frame("Activations", "What every layer between input and output makes of a slice, channel by channel.")

slice_column, network_column = st.columns(2, gap="large")
with slice_column:
    chosen = pick_slice()
with network_column, shown_errors():
    network = pick_network(trained_networks())
    if network is None:
        st.stop()
    with st.spinner("Loading the network; the first one of a fresh server takes some seconds …"):
        from covid_core.explain.activations import channel_grid
        from covid_core.ui import inference  # starts TensorFlow

        layers = inference.layers_of(network)

labels = [f"{layer.number} {layer.name}" for layer in layers]
start = next(layer.number for layer in layers if layer.kind == "Conv2D") - 1


def step(by: int) -> None:
    """Move the slider by one layer."""
    position = labels.index(st.session_state["layer_number"]) + by
    st.session_state["layer_number"] = labels[min(max(position, 0), len(labels) - 1)]


with st.container(horizontal=True, vertical_alignment="bottom"):
    label = choose(st.select_slider, "Layer, numbered as in the study", labels, "layer_number", value=labels[start])
    st.button("", key="previous", icon=":material/chevron_left:", on_click=step, args=(-1,), help="Previous layer")
    st.button("", key="next", icon=":material/chevron_right:", on_click=step, args=(1,), help="Next layer")
layer = layers[labels.index(label)]
st.markdown(
    f"**Layer {layer.number} of {len(layers)}: {layer.name}** · {layer.kind} · "
    f"{' × '.join(map(str, layer.shape))} · {layer.parameters:,} weights"
)

with shown_errors(), st.spinner("Computing the maps …"):
    maps = inference.activation_maps(network, chosen, layer.number)

picture_column, maps_column = st.columns([1, 2], gap="large")
picture_column.image(inference.seen_by(network, chosen), caption="The slice as the network sees it", width="stretch")
with maps_column:
    if maps.ndim == 1:
        is_output = layer.number == len(layers)
        units = network.classes if is_output else [str(unit) for unit in range(1, len(maps) + 1)]
        st.altair_chart(
            charts.vector_bars(maps, units, "Probability" if is_output else "Activation"),
            key="vector",
            alt=f"Bars of the {len(maps)} values of layer {layer.name}",
        )
        st.caption("This layer gives one number a unit instead of maps.")
        st.stop()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        shown = choose(st.segmented_control, "Channels at once", list(COLUMNS), "channels", default="4", required=True)
        own_scale = tick("Each channel on its own scale", True, "own_scale")
    channels, count = maps.shape[-1], int(shown)
    pages = -(-channels // count)
    page = 1
    if pages > 1:
        page = st.pagination(pages, key="page", bind="query-params")
    first = (min(page, pages) - 1) * count
    visible = range(first, min(first + count, channels))
    columns = min(COLUMNS[shown], len(visible))
    st.image(
        channel_grid(maps, list(visible), own_scale, columns, tile=GRID_PIXELS // COLUMNS[shown]),
        caption=f"Channels {first + 1} to {visible[-1] + 1} of {channels}, row by row",
        width="stretch" if columns == COLUMNS[shown] else GRID_PIXELS // COLUMNS[shown] * columns,
    )
    st.caption(
        "Black is each channel's smallest value and white its largest."
        if own_scale
        else f"All channels on one scale: black {maps.min():.3g}, white {maps.max():.3g}."
    )
