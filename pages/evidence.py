"""Heat maps measured over whole data sets, beside maps that know nothing."""

import json

import streamlit as st

from covid_core.charts.evidence import gains
from covid_core.explain import verdict
from covid_core.explain.evaluation import MEASURES
from covid_core.explain.method_names import METHODS
from covid_core.ui.choices import choose
from covid_core.ui.errors import plain, shown_errors
from covid_core.ui.frame import frame
from covid_core.ui.map_evidence import (
    evaluations,
    gain_rows,
    measures_of,
    null_rows,
    numbers,
    overview,
    sanity_rows,
    summaries,
    trained_on,
)

COMMAND = "python -m covid_core.explain.evaluate --dataset phantom"
MEASURE_OF = {one.label: name for name, one in MEASURES.items()}

frame(
    "Can the maps be trusted?",
    "A heat map always looks like something. Here each map has to beat maps that know nothing: random ones, and a spot "
    "in the middle of the slice.",
)

with shown_errors():
    groups = evaluations()

if not groups:
    st.info(
        "No maps have been measured into this store yet. One command measures those of the trained networks; it goes "
        "on where it was stopped:",
        icon=":material/info:",
    )
    st.code(COMMAND, language="bash")
    st.caption(
        "The generated slices come with their lungs and lesions. For real ones: `--dataset FOLDER`, with "
        "`--lesions FOLDER` where lesions are drawn; lungs are found where nobody drew them."
    )
    st.stop()

with st.container(horizontal=True, gap="medium"):
    label = choose(st.selectbox, "Data set", list(groups), "data", width=420)
    studies = groups[label]
    networks = choose(
        st.pills, "Networks", list(studies["network"]), "networks", selection_mode="multi",
        default=list(studies["network"]),
    )  # fmt: skip
    with shown_errors():
        measures = measures_of(studies)
        rows, nulls = summaries(studies)
    measured = [title for method, title in METHODS.items() if method in set(rows["method"])]
    methods = choose(st.pills, "Methods", measured, "methods", selection_mode="multi", default=measured)

settings = json.loads(studies["settings"].iloc[0])
groups_are = settings["groups"]
shown = rows[rows["subject"].isin(networks) & rows["method"].map(METHODS).isin(methods)]
if uneven := verdict.unevenly_measured(measures):
    st.warning(
        f"Not every map of {' and '.join(map(plain, uneven))} was measured on the same slices: a command was stopped, "
        "or asked for fewer. It goes on where it stopped; until then each map is compared with its controls on the "
        "slices that both have.",
        icon=":material/hourglass:",
    )
if shown.empty:
    st.info(
        "Nothing is measured for these choices. Choose another network or method.", icon=":material/filter_alt_off:"
    )
    st.stop()

st.subheader("Which controls a map beats", anchor=False)
st.dataframe(overview(shown), key="overview", hide_index=True)
st.markdown(
    "\n".join(
        f"- **{plain(subject)}, {METHODS[method]}**: {verdict.verdict(of)}"
        for (subject, method), of in shown.groupby(["subject", "method"], sort=False)
    )
)
st.caption(
    plain(
        " ".join(
            verdict.caveats(trained_on(studies), studies["dataset"].iloc[0], groups_are, bool(measures["label"].all()))
        )
    )
    + f" Lungs: {settings['lungs']}."
)

for note in verdict.curve_notes(verdict.sanity(measures[measures["subject"].isin(networks)])):
    st.warning(plain(note), icon=":material/blur_on:")

st.subheader("One measure", anchor=False)
present = [text for text, name in MEASURE_OF.items() if name in set(shown["measure"])]
measure_label = choose(st.segmented_control, "Measure", present, "measure", default=present[0], required=True)
name = MEASURE_OF[measure_label]
st.caption(MEASURES[name].meaning)
st.altair_chart(
    gains(gain_rows(shown, name), f"How much better by {measure_label.lower()}"),
    key="gains",
    alt=f"Gain of each map on its controls by {measure_label}, with 95 % intervals",
)
st.dataframe(
    numbers(shown, name),
    key="numbers",
    hide_index=True,
    column_config={
        "Map": st.column_config.TextColumn(help="Mean with its 95 % interval"),
        "Counted": st.column_config.NumberColumn(
            help=f"Numbers that an interval is made of: one for every {groups_are}"
        ),
    },
)

st.subheader("Maps that should not win", anchor=False)
nulls = nulls[nulls["subject"].isin(networks)]
null = null_rows(nulls)
if null.empty:
    st.info("Neither shuffled maps nor random weights were measured; `--seeds 5` adds them.")
else:
    st.markdown(
        "Grad-CAM with its places shuffled, and Grad-CAM of the same architecture with random weights. "
        + plain(verdict.null_verdict(nulls))
    )
    st.dataframe(null, key="nulls", hide_index=True)
sanity = sanity_rows(measures[measures["subject"].isin(networks)])
if len(sanity):
    st.dataframe(sanity, key="sanity", hide_index=True)
    st.caption(
        "Means over all slices. Likeness to the map of random weights should be low: a map that stays the same when "
        "the network forgets what it learned does not show what it learned. A blurred slice that gets the probability "
        "of the slice leaves nothing for deletion and insertion to show."
    )
st.download_button(
    "Download these numbers as CSV",
    shown.to_csv(index=False).encode(),
    file_name="evidence.csv",
    mime="text/csv",
    key="download",
    icon=":material/download:",
    on_click="ignore",
)
