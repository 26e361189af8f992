"""Where in a slice a network finds what speaks for a class."""

import numpy as np
import streamlit as st

from covid_core import charts
from covid_core.charts.maps import readable_map
from covid_core.explain.heatmap import colour, normalise, overlay, resize_heat
from covid_core.ui.admission import admit
from covid_core.ui.background import start_tensorflow
from covid_core.ui.choices import choose, slide
from covid_core.ui.errors import shown_errors
from covid_core.ui.evidence import evidence_card
from covid_core.ui.frame import frame
from covid_core.ui.networks import card_details, pick_network, trained_networks
from covid_core.ui.slices import pick_slice
from covid_core.ui.tables import probability_text
from covid_core.ui.track_record import draw_track_record
from covid_core.ui.windows import draw_slice

frame("Grad-CAM", "Which regions of a slice speak for a class, in the eyes of one network.")

slice_column, network_column = st.columns(2, gap="large")
with slice_column:
    chosen = pick_slice()
with network_column, shown_errors():
    trained = trained_networks()
    # What is being loaded has a place of its own: pickers differ in their number of widgets, and a state that moved
    # would stand beside the one before it.
    picker, preparation = st.container(), st.container()
    with picker:
        network = pick_network(trained)
    if network is None:
        st.stop()
    # side by side where there is room, else one under the other
    targets = st.container(horizontal=True, gap="medium")
    with targets:
        class_name = choose(
            st.segmented_control, "Class", list(network.classes), "class", default=network.classes[-1], required=True
        )
    with preparation:
        start_tensorflow()
        from covid_core.ui import beside, downloads, fold_spread, inference, pair

        layers = inference.cam_layers(inference.layers_of(network))
    with targets:
        layer = choose(
            st.selectbox,
            "Layer",
            layers,
            "layer",
            index=layers.index(network.spec.cam_layer),
            width=230,
            help="Grad-CAM's usual layer is the one that enters the global pooling; earlier layers are finer and less "
            "tied to the class.",
        )

with shown_errors():
    admit(network, chosen)
# one place for everything that follows from the slice: while the next map is computed, nothing of the last one stands
place = st.empty()
with shown_errors(), place.container():
    class_index = network.classes.index(class_name)
    inference.warm_up(network, layer)
    with st.spinner("Computing the map …"):
        result = inference.explain(network, chosen, layer, class_index)
heat = resize_heat(normalise(result.maps[0]), chosen.pixels.shape)

with place.container():
    columns = st.columns(len(network.classes))
    for column, name, probability in zip(columns, network.classes, result.probabilities[0], strict=True):
        column.metric(f"Probability of {name}", probability_text(probability), border=True)
    st.caption(
        "The softmax output of random weights, which says nothing."
        if network.card is None
        else "The network's softmax output for this single slice. A value near 1 can still be wrong, above all for "
        "slices from another hospital, scanner or window than the network was trained on. "
        + (
            "Whether an uploaded slice, or a neighbour from the same scan, was among the training slices cannot be "
            "known here; if it was, the probability says little."
            if chosen.uploaded
            else "The slice is generated; a network trained on real slices has never seen its like."
        )
    )

    # filled at the end: a new store is read for it, and the map need not wait
    record = st.container(key="track_record")

    with shown_errors():
        fold_spread.draw_fold_spread(network, trained.get(network.spec.name, []), chosen, layer, class_index)

    st.subheader(f"Map for {class_name} at {layer}", anchor=False)
    st.caption("Heat is not lesion: it shows where evidence for a class enters the network's maps at this layer.")
    slice_column, heat_column, overlay_column = st.columns(3)
    with slice_column:
        draw_slice(chosen)
    height, width = result.maps[0].shape
    heat_column.image(colour(heat), caption=f"Heat map, {height} × {width} before resizing", width="stretch")
    overlay_picture = overlay_column.container()
    if heat.any():
        heat_column.altair_chart(
            charts.colour_bar(colour(np.linspace(0, 1, 33)[None])[0], "Share of the map's maximum"), key="colour_bar"
        )
    else:
        heat_column.info(
            f"The map is empty: at this layer the evidence for {class_name} nowhere outweighs that against it.",
            icon=":material/info:",
        )
    with overlay_column:
        opacity = slide("Opacity of the heat map", 0.0, 1.0, 0.4, "opacity", step=0.05)
    picture = overlay(chosen.pixels, heat, opacity)
    overlay_picture.image(picture, caption="Overlay", width="stretch")
    downloads.draw_downloads(network, chosen, result, heat, picture, opacity)
    with st.expander("Read grey value and heat under the pointer", key="reading"):
        st.caption("Point at a place: the means over the cell under the pointer appear, at the slice's own resolution.")
        st.altair_chart(readable_map(picture, chosen.pixels, heat), width="content", key="readable_map")

    evidence_card(network, chosen, layer, class_index, result.maps[0])

    with shown_errors():
        beside.draw_beside(network, chosen, layer, class_index, opacity)

    with shown_errors():
        pair.draw_pair(network, trained, chosen, layer, class_index, opacity)

    if network.card:
        with record, shown_errors():
            draw_track_record(network.card, float(result.probabilities[0, -1]))
        with st.expander(f"About these weights of {network.spec.name}", key="card"):
            card_details(network.card)
