"""The study's figures, drawn again from this installation's networks and any slices."""

import streamlit as st

from covid_core.charts.figures import SHARPNESS, as_png, draw_figure
from covid_core.ui.admission import admit
from covid_core.ui.choices import choose
from covid_core.ui.errors import shown_errors
from covid_core.ui.figure_depth import slices_plan, strip_plan
from covid_core.ui.figure_heat import networks_plan, pairs_plan
from covid_core.ui.frame import frame
from covid_core.ui.networks import trained_networks

FIGURES = {
    "Nine networks (figure 4)": networks_plan,
    "Base and modified (figure 5)": pairs_plan,
    "Layers of ResNet101V2 (figure 6)": strip_plan,
    "Two slices through a network (figure 7)": slices_plan,
}

frame(
    "Figures",
    "The study's figures with the networks of this installation, on slices of your choice: heat maps of many networks "
    "or of pairs, and what the layers of one network make of a slice.",
)

figure_name = choose(
    st.segmented_control, "Figure", list(FIGURES), "figure", default=next(iter(FIGURES)), required=True
)
with shown_errors():
    trained = trained_networks()
plan = FIGURES[figure_name](trained)
admit(None, *plan.slices)

place = st.empty()
with shown_errors(), place.container(), st.spinner("Loading the networks; the first one takes some seconds …"):
    state = st.empty()
    blocks, caption = plan.draw(lambda name: state.caption(f"Asking {name}"))
figure = draw_figure(blocks, [*caption, "COVID-19 CT Explorer. Research software, not a medical device."])
png = as_png(figure)
with place.container():
    with st.container(width=figure.width // SHARPNESS):  # narrower where the window is
        st.image(png, width="stretch")
    st.download_button(
        "Download the figure as PNG",
        png,
        file_name=f"{plan.name}.png",
        mime="image/png",
        key="download",
        icon=":material/download:",
        on_click="ignore",
    )
    st.caption(
        f"{figure.width} × {figure.height} pixels. {plan.note} "
        + "Generated slices are nobody's scan; networks trained on real slices have never seen their like. "
        * any(not one.uploaded for one in plan.slices)
        + "Networks are those of the first trained fold found; another size or fold gives other maps."
    )
