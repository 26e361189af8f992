"""What every layer of a network makes of a slice."""

import streamlit as st

from covid_core.ui.background import start_tensorflow
from covid_core.ui.choices import choose
from covid_core.ui.errors import shown_errors
from covid_core.ui.frame import frame
from covid_core.ui.networks import pick_network, trained_networks
from covid_core.ui.slices import pick_slice

frame("Activations", "What every layer between input and output makes of a slice, channel by channel.")

slice_column, network_column = st.columns(2, gap="large")
with slice_column:
    chosen = pick_slice()
with network_column, shown_errors():
    picker, preparation = st.container(), st.container()  # the second holds what is being loaded, as on Grad-CAM's page
    with picker:
        network = pick_network(trained_networks())
    if network is None:
        st.stop()
    with preparation:
        start_tensorflow()
        from covid_core.ui import activation_views, inference

        layers = inference.layers_of(network)

labels = [f"{layer.number} {layer.name}" for layer in layers]
first_convolution = next(label for label, layer in zip(labels, layers, strict=True) if layer.kind == "Conv2D")


def step(by: int) -> None:
    """Move the slider by one layer."""
    position = labels.index(st.session_state["layer_number"]) + by
    st.session_state["layer_number"] = labels[min(max(position, 0), len(labels) - 1)]


with st.container(horizontal=True, vertical_alignment="bottom"):
    label = choose(st.select_slider, "Layer, numbered as in the study", labels, "layer_number", value=first_convolution)
    st.button("Previous", key="previous", icon=":material/chevron_left:", on_click=step, args=(-1,))
    st.button("Next", key="next", icon=":material/chevron_right:", icon_position="right", on_click=step, args=(1,))
layer = layers[labels.index(label)]
st.markdown(
    f"**Layer {layer.number} of {len(layers)}: {layer.name}** · {layer.kind} · "
    f"{' × '.join(map(str, layer.shape))} · {layer.parameters:,} weights"
)

place = st.empty()  # while the next maps are computed, nothing of the last ones stands
with shown_errors(), place, st.spinner("Computing the maps …"):
    maps = inference.activation_maps(network, chosen, layer.number)

with place.container():
    picture_column, maps_column = st.columns([1, 2], gap="large")
    picture = inference.seen_by(network, chosen)
    picture_column.image(picture, caption="The slice as the network sees it", width="stretch")
    with maps_column:
        if maps.ndim == 3:
            activation_views.draw_maps(maps)
        else:
            activation_views.draw_vector(maps, layer, network.classes if layer is layers[-1] else None)
