"""What is left of a score on slices from elsewhere."""

import streamlit as st

from covid_core.charts.external import falls, probability_histogram
from covid_core.results.metrics import METRIC_LABELS, METRICS
from covid_core.ui.choices import choose
from covid_core.ui.errors import plain, shown_errors
from covid_core.ui.external import answers_of, score_rows, sentence, tests_by_data
from covid_core.ui.frame import frame

COMMAND = "python -m covid_core.results.external --dataset FOLDER --patients patients.csv"
METRIC_OF = {label: name for name, label in METRIC_LABELS.items()}

frame(
    "External test",
    "What is left of a score when the slices come from elsewhere: other hospitals, other scanners, other windows.",
)

with shown_errors():
    tests = tests_by_data()

if not tests:
    st.info(
        "No network has been tested on slices from elsewhere yet. One command asks all trained networks about a folder "
        "with the same classes:",
        icon=":material/info:",
    )
    st.code(COMMAND, language="bash")
    st.stop()

with st.container(horizontal=True, gap="medium"):
    label = choose(st.selectbox, "Slices from", list(tests), "data", width=420)
    metric_label = choose(st.selectbox, "Metric", list(METRIC_OF), "metric", index=METRICS.index("accuracy"), width=150)
table, metric = tests[label], METRIC_OF[metric_label]
first = table.iloc[0]

known = not table["patients"].isna().any()
for column, (name, value, meaning) in zip(
    st.columns(4),
    [
        ("Slices", first["slices"], "All were asked of every network"),
        ("Patients", first["patients"] if known else "not known", "Intervals draw patients again where they are known"),
        ("Prevalence of COVID", f"{first['prevalence']:.3f}", "Share of slices of the positive class"),
        ("Larger class", f"{first['majority']:.3f}", "Accuracy of always naming it, without a look at the slice"),
    ],
    strict=True,
):
    column.metric(name, value, help=meaning, border=True)

for row in table.to_dict("records"):
    better = row["accuracy_low"] > row["majority"]
    (st.info if better else st.error)(
        sentence(row), icon=":material/trending_down:" if row["accuracy_change"] < 0 else None
    )

st.subheader(f"{metric_label} on the own fold and elsewhere", anchor=False)
drawn = table[["label"]].assign(
    own=table[f"{metric}_own"],
    own_low=table[f"{metric}_own_low"],
    own_high=table[f"{metric}_own_high"],
    there=table[metric],
    low=table[f"{metric}_low"],
    high=table[f"{metric}_high"],
)
st.altair_chart(
    falls(drawn, metric_label, float(first["majority"]) if metric == "accuracy" else None),
    key="falls",
    alt=f"{metric_label} of each network on its own held-out fold and elsewhere, with 95 % intervals",
)
whose = "of other patients" if known else "other slices, as if each were of another patient"
st.caption(
    ("Dashed: always naming the larger class. " if metric == "accuracy" else "")
    + "Slices count as COVID from a probability of 0.5, as in cross-validation. Intervals (95 %, bootstrap) say how "
    f"far slices {whose} from the same source could move the score of these weights; the own fold's draw single "
    "slices and are too narrow where it holds several of one patient. A third source can give anything."
)
st.dataframe(score_rows(table), key="scores", hide_index=True, height="content")

st.subheader("What the network says", anchor=False)
chosen = choose(st.segmented_control, "Network", table["label"].tolist(), "of", default=first["label"], required=True)
row = table[table["label"] == chosen].iloc[0]
with shown_errors():
    answers = answers_of(row["study"])
st.altair_chart(
    probability_histogram(answers, "COVID"),
    key="probabilities",
    alt=f"Histogram of the probabilities that {chosen} gives, by class",
)
area = row["auc"]
st.caption(
    f"Where the two classes lie over each other, no threshold tells them apart: the area under the ROC curve is "
    f"{area:.3f} here and {row['auc_own']:.3f} on the own fold; 0.5 is chance."
)
st.download_button(
    "Download these scores as CSV",
    table.drop(columns="label").to_csv(index=False).encode(),
    file_name="external-test.csv",
    mime="text/csv",
    key="download",
    icon=":material/download:",
    on_click="ignore",
)
st.caption(
    plain(
        f"The networks were trained on {row['own_dataset']}, split by {row['split'] or 'an unknown rule'}. A fall has "
        "many causes, which this test does not tell apart: scanners, windows and crops, another mix of disease, labels "
        "made otherwise, and scores at home that were too good because neighbouring slices of one patient stood on "
        "both sides of the fold."
    )
)
