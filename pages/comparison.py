"""Pairs of networks on identical folds: how large a difference is, how sure, and whether it matters."""

import pandas as pd
import streamlit as st

from covid_core.charts.comparison import differences_beside_region, outcome_bars
from covid_core.charts.studies import differences
from covid_core.results.comparison import REGION
from covid_core.results.metrics import METRIC_LABELS, METRICS
from covid_core.results.pairs import CLASSES, variant_pairs
from covid_core.results.published import STUDY, published_rows
from covid_core.ui.choices import choose, slide
from covid_core.ui.comparison import PUBLISHED, comparisons, experiments_by_folds
from covid_core.ui.comparison_evidence import draw_false_positives, draw_printed_intervals
from covid_core.ui.comparison_tables import capital, fold_rows, outcomes_sentence, printed_rows, slice_rows
from covid_core.ui.errors import shown_errors
from covid_core.ui.frame import frame
from covid_core.ui.tables import in_zoo_order

VARIANT_OF = {"Base against modified": "modified", "Base against residual": "residual"}
TWO, ONE_TO_ALL = "Two networks", "One against all others"
FEW = 10
METRIC_OF = {label: name for name, label in METRIC_LABELS.items()}
ASKED = {"sensitivity": "the COVID slices", "specificity": "the slices of other classes"}

frame(
    "Comparison",
    "Two networks on identical folds: how large the difference is, how sure, and whether it matters in practice. The "
    "difference with its interval comes first, the p-value second.",
)

with shown_errors():
    experiments, folds = experiments_by_folds()

with st.container(horizontal=True, gap="medium"):
    results = choose(st.selectbox, "Results", [*experiments, PUBLISHED], "results", width=420)
    metric_label = choose(
        st.selectbox, "Metric", list(METRIC_OF), "metric", index=METRICS.index("sensitivity"), width=150
    )
metric = METRIC_OF[metric_label]
published = published_rows() if results == PUBLISHED else None
if published is None:
    of_experiment = folds[folds["experiment"] == experiments[results]]
    models = in_zoo_order(of_experiment["model"])
else:
    models = published["model"].tolist()

with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
    what = choose(
        st.segmented_control,
        "Compare",
        [*VARIANT_OF, TWO, ONE_TO_ALL],
        "pairs",
        default=next(iter(VARIANT_OF)),
        required=True,
    )
    if what in (TWO, ONE_TO_ALL):
        first = choose(st.selectbox, "First", models, "first", width=240)
    if what == TWO and len(models) > 1:
        second = choose(st.selectbox, "Second", [name for name in models if name != first], "second", width=240)
    if published is None:
        region = slide(
            "Region of practical equivalence", 0.0, 0.05, REGION, "region", step=0.005, format="± %.3f", width=240
        )

if what in VARIANT_OF:
    pairs, names = variant_pairs(models, VARIANT_OF[what]), ("base", VARIANT_OF[what])
elif what == ONE_TO_ALL:
    pairs, names = [(first, name) for name in models if name != first], (first, "other")
elif len(models) > 1:
    pairs, names = [(first, second)], (first, second)
else:
    pairs = []
if not pairs:
    missing = f"a base and a {VARIANT_OF[what]} network of one backbone" if what in VARIANT_OF else "two networks"
    st.info(
        f"These results do not hold {missing}. Choose other results or another comparison, or train what is missing: "
        "`python train_all.py --networks NAME NAME --dataset FOLDER`.",
        icon=":material/info:",
    )
    st.stop()

labels = [f"{one} − {other}" if what == TWO else other for one, other in pairs]
if what in VARIANT_OF:
    labels = [one for one, _ in pairs]  # a base network has its backbone's name
listed = pd.DataFrame(pairs, columns=["first", "second"]).assign(label=labels)
title = f"{capital(names[0])} − {names[1]}, {metric_label}"

if published is not None:
    st.info(
        f"The study prints means and half-widths only. {STUDY.rounds} rounds of {STUDY.folds} folds lie behind them, "
        "but without the folds no paired test is possible: how far the difference of two networks scatters cannot be "
        "told from how far each of them does. The differences below therefore have no interval and no p-value.",
        icon=":material/info:",
    )
    st.dataframe(printed_rows(published, listed, metric, names), key="printed", hide_index=True)
    for side in ("first", "second"):
        printed = published.set_index("model").loc[listed[side], [metric, f"{metric}_pm"]]
        listed[[f"{side}_mean", f"{side}_half_width"]] = printed.to_numpy()
    listed["difference"] = listed["first_mean"] - listed["second_mean"]
    higher = int((listed["difference"] > 0).sum())
    lower = int((listed["difference"] < 0).sum())
    st.markdown(
        f"**{capital(names[0])} printed higher** in {higher}, **{names[1]}** in {lower} of {len(listed)} pairs. Pairs "
        "share data and folds, so even this count is no test."
    )
    rows = listed.assign(source="published", low=float("nan"), high=float("nan"))
    st.altair_chart(differences(rows, title), key="differences", alt="Printed differences, one row a pair")
    table = listed
else:
    with shown_errors():
        by_folds, by_slices = comparisons(experiments[results], pairs, metric, region)
    by_folds = by_folds.merge(listed, on=["first", "second"])
    by_slices = by_slices.merge(listed, on=["first", "second"])

    st.subheader(f"{metric_label} over the folds", anchor=False)
    tested = by_folds[by_folds["better"].notna()]
    if tested.empty:
        st.info(
            "No pair has two finished folds in common. A single fold does not show how far folds differ: there is no "
            "interval and no test over folds. What the networks make of the same slices stands below.",
            icon=":material/info:",
        )
    else:
        chart_column, bars_column = st.columns(2, gap="large")
        with chart_column:
            st.altair_chart(
                differences_beside_region(tested.assign(source="measured"), title, region),
                key="differences",
                alt=f"{title} with 95 % intervals, one row a pair",
            )
        with bars_column:
            outcomes = (f"{capital(names[0])} better", "Equivalent", f"{capital(names[1])} better")
            st.altair_chart(
                outcome_bars(tested, outcomes),
                key="outcomes",
                alt="Probabilities of the three outcomes, one row a pair",
            )
        st.markdown(outcomes_sentence(by_folds, names, region))
    st.dataframe(fold_rows(by_folds, names), key="over_folds", hide_index=True)
    st.caption(
        "Means, interval and tests run over the folds that both networks have. Interval and p-value are those of the "
        "corrected resampled t-test (Nadeau & Bengio 2003), which allows for training slices that folds share; p is "
        f"corrected after Holm for the number of rows. Differences up to ± {region:g} count as none in practice. "
        "Better and equivalent are the probabilities of the Bayesian correlated t-test (Corani & Benavoli 2015): how "
        "much of what the folds leave possible lies beyond that region, grey in the chart, or inside; they are not "
        "corrected for the number of rows."
    )

    st.subheader("On the same slices of one round", anchor=False)
    if by_slices.empty:
        st.info("The store has no predictions of these networks on a common fold.", icon=":material/info:")
    else:
        st.dataframe(slice_rows(by_slices, names), key="same_slices", hide_index=True)
        drawn = by_slices["drawn"].iloc[0]
        few = (by_slices["only_first"] + by_slices["only_second"]).between(1, FEW).any()
        wrong = "" if metric in CLASSES or metric == "accuracy" else f", which tests accuracy and not {metric_label}"
        st.caption(
            f"McNemar's test (mid-p, corrected after Holm) looks at {ASKED.get(metric, 'all slices')} that only one of "
            f"the two networks gets right{wrong}. Its round is the first in which most folds have both. The interval "
            f"of the difference draws {drawn} again, with the networks as they are: it leaves out that training again "
            "would give other networks."
            + (
                " Patients are not known; slices of one patient are alike, so interval and p-value are too small."
                if drawn == "slices"
                else " The test takes slices as independent, which those of one patient are not: p is too small."
            )
            + (
                f" Where networks differ on {FEW} slices or fewer, trust the test: the interval is too narrow."
                if few
                else ""
            )
        )
    table = by_folds.merge(by_slices, on=["first", "second", "label"], how="left", suffixes=("", "_one_round"))

st.download_button(
    "Download these comparisons as CSV",
    table.to_csv(index=False).encode(),
    file_name="comparison.csv",
    mime="text/csv",
    key="download",
    icon=":material/download:",
    on_click="ignore",
)

draw_false_positives()
draw_printed_intervals()
