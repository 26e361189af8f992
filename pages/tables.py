"""The study's tables and figures, from its own rows or from measured ones."""

import streamlit as st

from covid_core.results.intervals import METHODS
from covid_core.results.metrics import METRIC_LABELS, METRICS
from covid_core.results.published import STUDY
from covid_core.ui.choices import choose
from covid_core.ui.comparison import PUBLISHED, experiments_by_folds
from covid_core.ui.effects import draw_effects
from covid_core.ui.errors import shown_errors
from covid_core.ui.frame import frame
from covid_core.ui.paper import draw_confusion, draw_family_figures, draw_histograms, draw_network_tables, draw_pairs
from covid_core.ui.results import leaderboard_rows

NETWORKS, PAIRS, FIGURES = "Tables 1 and 2", "Table 3", "Figures 2 and 3"
HISTOGRAMS, CONFUSION, EFFECTS = "Histograms", "Confusion matrices", "Families and traits"
METRIC_OF = {label: name for name, label in METRIC_LABELS.items()}
METHOD_OF = {label: name for name, label in METHODS.items()}

frame(
    "Tables and figures",
    "The tables and figures of the study, from its published rows or from the same columns of measured and imported "
    "results.",
)

with shown_errors():
    experiments, all_folds = experiments_by_folds()

with st.container(horizontal=True, gap="medium"):
    results = choose(st.selectbox, "Results", [PUBLISHED, *experiments], "rows", width=420)
    metric_label = choose(
        st.selectbox, "Metric", list(METRIC_OF), "metric", index=METRICS.index("sensitivity"), width=150
    )
    if results != PUBLISHED:
        method_name = choose(st.selectbox, "95 % interval of a network", list(METHOD_OF), "interval", width=250)
view = choose(
    st.segmented_control,
    "Show",
    [NETWORKS, PAIRS, FIGURES, HISTOGRAMS, CONFUSION, EFFECTS],
    "view",
    default=NETWORKS,
    required=True,
)
metric = METRIC_OF[metric_label]
experiment = "published" if results == PUBLISHED else experiments[results]
with shown_errors():
    rows = leaderboard_rows("corrected" if results == PUBLISHED else METHOD_OF[method_name])
rows = rows[rows["experiment"] == experiment]
folds = all_folds[all_folds["experiment"] == experiment]

if view == NETWORKS:
    draw_network_tables(rows, metric, experiment)
elif view == PAIRS:
    draw_pairs(rows, metric, experiment)
elif view == FIGURES:
    draw_family_figures(rows, metric, experiment)
elif view == HISTOGRAMS:
    draw_histograms(rows, folds, metric, experiment)
elif view == CONFUSION:
    draw_confusion(folds, experiment)
else:
    draw_effects(rows, metric, experiment)

st.caption(
    f"Published: {STUDY.citation} Where its text and its tables differ stands on the page Published numbers."
    if results == PUBLISHED
    else "Networks that are not trained yet are missing; `python train_all.py --help` says how to add them."
)
