"""Where in a slice a network finds what speaks for a class."""

import numpy as np
import streamlit as st

from covid_core import charts
from covid_core.explain.heatmap import colour, normalise, overlay, resize_heat
from covid_core.ui.choices import choose, slide
from covid_core.ui.errors import shown_errors
from covid_core.ui.frame import frame
from covid_core.ui.networks import card_details, pick_network, trained_networks
from covid_core.ui.slices import pick_slice

frame("Grad-CAM", "Which regions of a slice speak for a class, in the eyes of one network.")

slice_column, network_column = st.columns(2, gap="large")
with slice_column:
    chosen = pick_slice()
with network_column, shown_errors():
    trained = trained_networks()
    network = pick_network(trained)
    if network is None:
        st.stop()
    class_name = choose(
        st.segmented_control, "Class", list(network.classes), "class", default=network.classes[-1], required=True
    )
    with st.spinner("Loading the network; the first one of a fresh server takes some seconds …"):
        from covid_core.ui import inference, pair  # starts TensorFlow

        layers = inference.cam_layers(inference.layers_of(network))
    layer = choose(
        st.selectbox,
        "Layer",
        layers,
        "layer",
        index=layers.index(network.spec.cam_layer),
        help="Grad-CAM's usual layer is the one that enters the global pooling; earlier layers are finer and less "
        "tied to the class.",
    )

class_index = network.classes.index(class_name)
with shown_errors(), st.spinner("Computing the map …"):
    result = inference.explain(network, chosen, layer, class_index)
probabilities = result.probabilities[0]
heat = resize_heat(normalise(result.maps[0]), chosen.pixels.shape)

st.subheader("Probabilities", anchor=False)
for column, name, probability in zip(st.columns(len(network.classes)), network.classes, probabilities, strict=True):
    column.metric(f"Probability of {name}", f"{probability:.4f}", border=True)
st.caption(
    "The network's softmax output for this single slice. "
    + (
        "Whether an uploaded slice, or a neighbour from the same scan, was among the training slices cannot be known "
        "here; if it was, the probability says little."
        if chosen.uploaded
        else "The slice is generated; a network trained on real slices has never seen its like."
    )
)

st.subheader(f"Map for {class_name} at {layer}", anchor=False)
opacity = slide("Opacity of the overlay", 0.0, 1.0, 0.4, "opacity", step=0.05, width=320)
original_column, heat_column, overlay_column = st.columns(3)
grey = np.clip(np.rint(chosen.pixels), 0, 255).astype(np.uint8)
original_column.image(grey, caption="Slice", width="stretch")
heat_column.image(
    colour(heat), caption=f"Heat map, {' × '.join(map(str, result.maps.shape[1:]))} before resizing", width="stretch"
)
overlay_column.image(overlay(chosen.pixels, heat, opacity), caption="Overlay", width="stretch")
if heat.any():
    for column, key in ((heat_column, "heat_bar"), (overlay_column, "overlay_bar")):
        column.altair_chart(
            charts.colour_bar(colour(np.linspace(0, 1, 64)[None])[0], "Share of the map's maximum", "0", "1"), key=key
        )
else:
    st.info(f"The map is empty: at this layer no channel speaks for {class_name}.", icon=":material/info:")

st.subheader("Base against modified: the mask statistic", anchor=False)
with shown_errors():
    pair.draw_pair(network, trained, chosen, layer, class_index, opacity)

if network.card:
    with st.expander(f"About these weights of {network.spec.name}", key="card"):
        card_details(network.card)
