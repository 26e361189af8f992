"""One network in depth: how well it ranks, whether its probabilities mean what they say, and where it is wrong."""

import streamlit as st

from covid_core.charts.external import probability_histogram
from covid_core.charts.network import HEIGHT, reliability_diagram
from covid_core.results.intervals import METHODS
from covid_core.results.published import published_rows
from covid_core.results.resampling import METHODS as WAYS
from covid_core.ui.choices import choose
from covid_core.ui.errors import plain, shown_errors
from covid_core.ui.frame import frame
from covid_core.ui.mistakes import draw_mistakes
from covid_core.ui.networks import trained_networks
from covid_core.ui.one_network import answers_of, measures_of, sources
from covid_core.ui.operating_point import CHART_WIDTH, draw_operating_point, interval_metric, number_card, percent

PUBLISHED = "Published, the study"
COMMAND = "python train_all.py --preset quick"

frame(
    "One network",
    "How well a network ranks slices, what a threshold makes of that, whether its probabilities mean what they say, "
    "and which slices it is surest and wrong about.",
)

with shown_errors():
    known = sources()

with st.container(horizontal=True, gap="medium"):
    results = choose(st.selectbox, "Results", [*known, PUBLISHED], "results", width=520)
    networks = known.get(results) or dict.fromkeys(published_rows()["model"])
    network = choose(st.selectbox, "Network", list(networks), "network", width=300)
asked = networks[network]

if asked is None:
    st.info(
        "The study prints scores of whole folds and no answers to single slices: there is no curve, no threshold to "
        "move and no mistake to look at. "
        + (
            "Choose measured results above."
            if known
            else "Networks trained with this software have them. Two small ones on generated slices take minutes:"
        ),
        icon=":material/info:",
    )
    if not known:
        st.code(COMMAND, language="bash")
    st.stop()

with shown_errors():
    answers = answers_of(asked)
    cards = trained_networks().get(asked.model, [])
if answers.rows.empty:
    st.info(
        f"The store has scores of {plain(network)} here and no answers to single slices. An export without "
        "`predictions.csv` leaves them out: import the whole folder (`python -m covid_core.results FOLDER`).",
        icon=":material/info:",
    )
    st.stop()

positive = cards[0].classes[-1] if cards else "COVID"
rows = answers.rows
prevalence = float(rows["label"].mean())
drawn = "patients" if answers.patients else "slices"
ways = {METHODS[way]: way for way in WAYS if answers.folds > 1 or way == "groups"}
way = next(iter(ways.values()))
if len(ways) > 1:
    way = ways[choose(st.segmented_control, "95 % bands", list(ways), "band", default=next(iter(ways)), required=True)]
measures = measures_of(asked, answers, way)

with st.container(horizontal=True):
    interval_metric("Area under the ROC curve", *measures.curves.auc, "0.5 is chance, 1 a perfect ranking")
    interval_metric(
        "Average precision",
        *measures.curves.average_precision,
        f"Area under the precision-recall curve; {prevalence:.3f} is chance on these slices",
    )
    interval_metric(
        "Brier score",
        *measures.brier,
        "Mean squared distance of probability and label: 0 is perfect, "
        f"{measures.constant_brier:.3f} is had by giving every slice the share of {positive}",
    )
    number_card(
        "Calibration error",
        f"{measures.calibration_error:.3f}",
        f"{measures.chance_error:.3f} by chance alone",
        "Mean distance of probability and share of positive slices over bins of equal count (expected calibration "
        "error), and what right probabilities would have, because slices are few",
    )
st.caption(
    plain(
        f"{rows['slice'].nunique()} slices of {answers.dataset}"
        + (f", {rows['group'].nunique()} patients" if answers.patients else "")
        + f", {percent(prevalence)} {positive}; {answers.folds} test fold{'s' if answers.folds > 1 else ''}. "
    )
    + (
        "Each fold has its own curve; drawn is their mean, and the band says how far the expected curve of this way of "
        "training may lie from it, judged by how far folds differ and widened because they share training slices."
        if way == "corrected"
        else f"Bands and intervals hold the middle 95 % when {drawn} are drawn again a thousand times, the network as "
        "it is: training again would give another."
        + ("" if answers.patients else " Slices of one patient are alike, so they are too narrow.")
    )
)

st.subheader("At a threshold", anchor=False)
draw_operating_point(measures, positive, prevalence)

st.subheader("Do the probabilities mean what they say?", anchor=False)
with st.container(horizontal=True):
    st.altair_chart(
        reliability_diagram(measures.reliability, positive),
        key="reliability",
        width=CHART_WIDTH,
        alt=f"Share of {positive} slices over the mean probability, in bins, with 95 % intervals",
    )
    st.altair_chart(
        probability_histogram(rows, positive, HEIGHT),
        key="probabilities",
        width=CHART_WIDTH,
        alt=f"Histogram of the probabilities that {network} gives, by class",
    )
st.caption(
    f"The diagram has {len(measures.reliability)} bins of about as many answers each, all folds pooled. On the "
    "diagonal, of the slices with a probability of 0.8 eight in ten are positive; below it "
    f"{positive} is claimed too readily. Bins where the network is sure lie upon each other at both ends; the "
    "histogram shows how often it says what. Probabilities that are right at one prevalence are too high or too low at "
    "another, even where the diagram is straight."
)

st.subheader("Surest mistakes", anchor=False)
with shown_errors():
    draw_mistakes(asked, answers, cards, positive)

with st.container(horizontal=True):
    for title, name, table in (
        ("Every threshold as CSV", "thresholds", measures.points),
        ("Every answer as CSV", "answers", rows),
    ):
        st.download_button(
            title,
            lambda table=table: table.to_csv(index=False).encode(),
            f"{name}-{asked.model}.csv",
            "text/csv",
            key=f"download_{name}",
            icon=":material/download:",
            on_click="ignore",
        )
