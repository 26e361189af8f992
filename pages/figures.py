"""The study's figures of heat maps, drawn again from this installation's networks and any slices."""

import streamlit as st

from covid_core.charts.figures import SHARPNESS, as_png, draw_figure
from covid_core.models import zoo
from covid_core.ui.choices import choose, tick
from covid_core.ui.errors import shown_errors
from covid_core.ui.figure_choices import network_pairs, pick_two_slices, single_networks
from covid_core.ui.frame import frame
from covid_core.ui.networks import trained_networks

NINE = (
    *("EfficientNetB5", "EfficientNetB4", "ResNet50", "Xception", "InceptionResNetV2"),
    *("DenseNet201", "DenseNet121", "VGG16", "VGG19"),
)
FIVE = ("EfficientNetB5", "ResNet50", "DenseNet201", "Xception", "VGG16")
FIGURES = {"Nine networks (figure 4)": "networks", "Base and modified (figure 5)": "pairs"}
TARGETS = {"Each slice's own class": True, "COVID for both": False}
BACKBONES = list(dict.fromkeys(spec.backbone for spec in zoo.ALL.values()))

frame(
    "Figures",
    "The study's two figures of heat maps with the networks of this installation: many networks, or pairs of base and "
    "modified ones, on a positive and a negative slice of your choice.",
)

figure_name = choose(
    st.segmented_control, "Figure", list(FIGURES), "figure", default=next(iter(FIGURES)), required=True
)
kind = FIGURES[figure_name]
with shown_errors():
    trained = trained_networks()
if kind == "networks":
    names = choose(st.multiselect, "Networks", list(zoo.ALL), "figure_networks", default=list(NINE))
    networks = single_networks(names, trained)
    drawable = [network for network in networks if network.card]
else:
    names = choose(st.multiselect, "Backbones", BACKBONES, "backbones", default=list(FIVE))
    networks = network_pairs(names, trained)
    drawable = [pair for pair in networks if pair[0].card]
target = choose(st.segmented_control, "Maps of", list(TARGETS), "maps_of", default=next(iter(TARGETS)), required=True)
own = TARGETS[target]
positive, negative = pick_two_slices()
if not names:
    st.info("Choose at least one network to draw.", icon=":material/filter_alt_off:")
    st.stop()
missing = len(networks) - len(drawable)
random = False
if missing:
    noun = "networks" if kind == "networks" else "pairs"
    fate = "is not trained here; its place stays" if missing == 1 else "are not trained here; their places stay"
    st.info(
        f"{missing} of these {len(networks)} {noun} {fate} empty. Train with "
        "`python train_all.py --networks NAME --rounds 1 --only-fold 1 --dataset FOLDER`, or choose others.",
        icon=":material/info:",
    )
    random = tick("Draw them with random weights, to look at the layout only", False, "random_weights")
    if random:
        st.warning(
            "Random weights: nothing was learned. Their maps and probabilities say nothing about the slices. Building "
            "a large network takes half a minute.",
            icon=":material/shuffle:",
        )

place = st.empty()
with shown_errors(), place.container(), st.spinner("Loading the networks; the first one takes some seconds …"):
    state = st.empty()
    from covid_core.ui import figure_maps  # starts TensorFlow

    draw = figure_maps.single_block if kind == "networks" else figure_maps.pair_block
    blocks = [
        draw(
            f"{label} slice: {chosen.title if not chosen.uploaded else 'uploaded'}",
            networks,
            chosen,
            label == "Positive" or not own,
            random,
            lambda name: state.caption(f"Computing the map of {name}"),
        )
        for label, chosen in (("Positive", positive), ("Negative", negative))
    ]
caption = [
    f"Grad-CAM of {'the class that each slice stands for' if own else 'the positive class'} at the layer that enters "
    "the global pooling; jet, each map on its own scale.",
    "COVID-19 CT Explorer. Research software, not a medical device.",
]
if kind == "pairs":
    caption.insert(1, "Outline: the base network's mask. Intensity: mean of red, green and blue inside it, 0-255.")
figure = draw_figure(blocks, caption)
png = as_png(figure)
with place.container():
    with st.container(width=figure.width // SHARPNESS):  # narrower where the window is
        st.image(png, width="stretch")
    st.download_button(
        "Download the figure as PNG",
        png,
        file_name=f"{kind}.png",
        mime="image/png",
        key="download",
        icon=":material/download:",
        on_click="ignore",
    )
    st.caption(
        f"{figure.width} × {figure.height} pixels. Heat is not lesion: a map shows where evidence for a class enters a "
        "network's last maps. "
        + "Generated slices are nobody's scan; networks trained on real slices have never seen their like. "
        * (not positive.uploaded or not negative.uploaded)
        + "Networks are those of the first trained fold found; another size or fold gives other maps."
    )
