"""Four methods, one slice: whether they agree about what one network looks at."""

import numpy as np
import streamlit as st

from covid_core.charts import colour_bar
from covid_core.explain.heatmap import colour, normalise, overlay, resize_heat
from covid_core.explain.method_names import METHODS, SCORECAM_CHANNELS
from covid_core.ui.admission import admit
from covid_core.ui.background import made, start_tensorflow
from covid_core.ui.choices import choose, slide
from covid_core.ui.errors import shown_errors
from covid_core.ui.frame import frame
from covid_core.ui.networks import pick_network, trained_networks
from covid_core.ui.slices import pick_slice

MEANINGS = {
    "gradcam": "Last maps, weighted by the mean gradient of the class.",
    "gradcam++": "Last maps, weighted by the positive gradient at each place.",
    "scorecam": "Last maps, weighted by the probability of what each lets through; "
    f"{SCORECAM_CHANNELS} strongest channels.",
    "saliency": "Size of the gradient at the slice's own pixels, mean over noisy copies.",
}

frame("Methods", "The same network, the same slice, four ways to ask where it looks.")

slice_column, network_column = st.columns(2, gap="large")
with slice_column:
    chosen = pick_slice()
with network_column, shown_errors():
    network = pick_network(trained_networks())
    if network is None:
        st.stop()
    if network.card is None:
        st.info("Random weights have nothing to explain: choose a trained network.", icon=":material/info:")
        st.stop()
    class_name = choose(
        st.segmented_control, "Class", list(network.classes), "class", default=network.classes[-1], required=True
    )
    opacity = slide("Opacity of the heat maps", 0.0, 1.0, 0.6, "method_opacity", step=0.05)

with shown_errors():
    start_tensorflow()
    from covid_core.ui import method_maps

    admit(network, chosen)
place = st.empty()
with shown_errors(), place.container():
    class_index = network.classes.index(class_name)
    raw = made(lambda: method_maps.job(network, chosen, class_index), method_maps.forget)

with place.container():
    columns = st.columns(len(METHODS))
    for column, (name, title) in zip(columns, METHODS.items(), strict=True):
        heat = resize_heat(normalise(raw[name]), chosen.pixels.shape)
        height, width = raw[name].shape
        column.markdown(f"**{title}**")
        column.image(overlay(chosen.pixels, heat, opacity), width="stretch", caption=f"{height} × {width} places")
        column.caption(MEANINGS[name])
        if not heat.any():
            column.info(f"The map is empty: nothing speaks for {class_name}.", icon=":material/info:")
    bar, words = st.columns([1, 2], vertical_alignment="center")
    bar.altair_chart(
        colour_bar(colour(np.linspace(0, 1, 33)[None])[0], "Share of each map's maximum"), key="colour_bar"
    )
    words.caption(
        "One scale for all: each map from zero to its own maximum, for the log-odds of the class (Score-CAM: its "
        "probability). Agreement is no proof, since the first three share the same last maps; the page *Can the maps "
        "be trusted?* shows what was measured of them."
    )
    st.markdown("**Rank correlation of the maps**")
    st.table(method_maps.agreement(raw))
    st.caption("Spearman's, at the places of Grad-CAM's map: 1 is the same order of places, 0 none in common.")
