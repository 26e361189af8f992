"""Published and own networks side by side."""

import pandas as pd
import streamlit as st

from covid_core.models.zoo import FAMILIES, VARIANTS
from covid_core.results.intervals import MEANINGS, METHODS
from covid_core.results.metrics import METRIC_LABELS, METRICS
from covid_core.results.published import STUDY, XDNN_F1
from covid_core.ui.choices import choose
from covid_core.ui.computed import choose_computed, computed_rows, draw_remarks
from covid_core.ui.errors import shown_errors
from covid_core.ui.frame import frame
from covid_core.ui.results import leaderboard_rows, score_chart, split_rows
from covid_core.ui.tables import in_zoo_order, leaderboard_table, row_labels, split_table

METHOD_OF = {label: name for name, label in METHODS.items()}
METRIC_OF = {label: name for name, label in METRIC_LABELS.items()}


def _side(gap: float) -> str:
    return "higher" if gap >= 0 else "lower"


frame(
    "Leaderboard",
    f"The study's {STUDY.rounds} × {STUDY.folds}-fold results for 40 networks, and the networks measured with this "
    "software. COVID is the positive class; sensitivity, the share of COVID slices that are found, matters most.",
)

with st.container(horizontal=True, gap="medium"):
    metric_label = choose(
        st.selectbox, "Metric", list(METRIC_OF), "metric", index=METRICS.index("sensitivity"), width=150
    )
    source = choose(st.selectbox, "Source", ["All", "Published", "Measured"], "source", width=150)
    variant = choose(st.selectbox, "Variant", ["All", *(name.capitalize() for name in VARIANTS)], "variant", width=150)
    families = choose(st.pills, "Families", FAMILIES, "family", selection_mode="multi", default=list(FAMILIES))
second_line = st.container(horizontal=True, gap="medium", vertical_alignment="bottom")
with second_line:
    method_name = choose(
        st.segmented_control,
        "95 % interval of measured rows",
        list(METHOD_OF),
        "interval",
        default=next(iter(METHOD_OF)),
        required=True,
    )
metric, method = METRIC_OF[metric_label], METHOD_OF[method_name]
with shown_errors():
    rows = leaderboard_rows(method)
    gaps = split_rows(method)
networks = rows.loc[rows["source"] == "measured", "model"]
computed = None
if len(networks):
    with second_line:
        asked = choose_computed(in_zoo_order(networks))
    if asked:
        with shown_errors():
            computed = computed_rows(method, asked)
        rows = pd.concat([rows, computed.rows], ignore_index=True)
drawn = rows["drawn"].dropna().unique().tolist()
st.caption(
    MEANINGS[method]
    + (f" Drawn here: {' or '.join(sorted(drawn))}." if drawn else "")
    + " Published intervals stay as printed; what they can mean stands on the page Comparison."
)
if computed is not None:
    draw_remarks(asked, computed)

measured = len(networks)
if source != "All":
    rows = rows[rows["source"] == source.lower()]
if variant != "All":
    rows = rows[rows["variant"] == variant.lower()]
# networks from elsewhere and ensembles of several families belong to none: they stand with the full list
rows = rows[rows["family"].isin(families) | (~rows["family"].isin(FAMILIES) & (len(families) == len(FAMILIES)))]
rows = rows.sort_values(metric, ascending=False, kind="stable", ignore_index=True)
hidden = (
    0 if computed is None else len(computed.rows) - int((rows["ensemble"].ne("") | rows["level"].ne("slice")).sum())
)

if not measured:
    st.info(
        "Nothing has been measured with this software yet. `python train_all.py --preset quick` trains two small "
        "networks on generated slices within minutes; their rows then stand here.",
        icon=":material/info:",
    )
if rows.empty:
    st.info("No row fits these filters. Choose another source, variant or family.", icon=":material/filter_alt_off:")
    st.stop()

rows = rows.assign(label=row_labels(rows))
count = f"{len(rows)} row{'s' if len(rows) > 1 else ''}"
metric_name = metric_label if metric == "f1" else metric_label.lower()
st.subheader(f"{count} by {metric_name}", anchor=False)
leaderboard_table(rows, metric)
hint = " Choose the source Measured to see those of this software alone." if measured and source == "All" else ""
single = " A row of a single fold has no interval: one fold does not show how far folds differ."
st.caption(
    "Further to the right: data set, split, size, rounds, epochs, family and variant."
    + hint
    + (single if (rows["folds"].eq(1) & rows[f"{metric}_low"].isna()).any() else "")
    + (f" Computed rows hidden by the filters: {hidden}." if hidden else "")
)
st.download_button(
    "Download these rows as CSV",
    rows.drop(columns="label").to_csv(index=False).encode(),
    file_name="leaderboard.csv",
    mime="text/csv",
    key="download",
    icon=":material/download:",
    on_click="ignore",
)

intervals = " with 95 % intervals" if rows[f"{metric}_low"].notna().any() else ""
st.subheader(f"{metric_label}{intervals}", anchor=False)
reference = (XDNN_F1, "xDNN, the data set's own baseline,") if metric == "f1" else None
shown = ["label", "family", "source", metric, f"{metric}_low", f"{metric}_high"]
st.vega_lite_chart(
    score_chart(rows[shown], metric, metric_label, reference),
    key="score_bars",
    alt=f"Bars of {metric_label} with 95 % intervals, best first",
)
st.caption(
    "The axis does not start at zero: the scores lie close together, and bars show the order, not proportions. "
    "Pale bars are published, full bars measured. Intervals that reach above 1 in print end at 1 in the chart. "
    f"Published: {STUDY.citation}"
)

both = gaps[gaps["experiment_group"].isin(rows["experiment"]) & gaps["model"].isin(rows["model"])]
if len(both):
    st.subheader("By slice and by group", anchor=False)
    split_table(both, metric)
    mean, networks = both[f"{metric}_gap"].mean(), both["model"].nunique()
    accuracy = both["accuracy_gap"].mean()
    also = "" if metric == "accuracy" else f", accuracy {abs(accuracy):.4f} {_side(accuracy)}"
    known = both[[f"{metric}_pm_slice", f"{metric}_pm_group"]].notna().all(axis=None)
    st.caption(
        "The gap is the mean by slice minus the mean by group, all else alike; on average over "
        f"{networks} network{'s' if networks > 1 else ''} {metric_name} is {abs(mean):.4f} {_side(mean)}{also} by "
        "slice. By slice, a network can know a test slice by its neighbours of the same patient; by group it cannot, "
        "as far as the groups are right: look-alike groups are a guess. The two splits test other folds"
        + (
            ", so their intervals say how far a gap can be trusted."
            if known
            else "; where either has a single fold, how far the gap can be trusted is not known."
        )
    )
