"""State of the training campaigns, and how the networks learned."""

import json

import streamlit as st

from covid_core import charts
from covid_core.results.leaderboard import groups_origin
from covid_core.ui.campaigns import campaign_state, curve_points, fold_names, quantities
from covid_core.ui.choices import choose
from covid_core.ui.errors import shown_errors
from covid_core.ui.frame import frame
from covid_core.ui.results import results_store
from covid_core.ui.tables import campaign_table, experiment_labels, hardware_table, split_text

SHOWN_FOLDS = 5

frame(
    "Training",
    "Every finished fold is written at once; the command that started a campaign goes on where it stopped.",
)

with shown_errors():
    store = results_store()
    experiments = store.experiments()
    all_folds = store.folds(status=None)
experiments = experiments[experiments["id"].isin(all_folds["experiment"])]

if experiments.empty:
    st.info(
        "No network has been trained into this store yet. Start with two small networks on generated slices, which "
        "takes minutes on a CPU, or with your own folder of class folders:",
        icon=":material/info:",
    )
    st.code("python train_all.py --preset quick\npython train_all.py --networks EfficientNetB0 --dataset FOLDER")
    st.stop()

labels = experiment_labels(experiments)
with st.container(horizontal=True, vertical_alignment="bottom"):
    label = choose(st.selectbox, "Experiment", list(labels), "experiment")
    st.button("Refresh", key="refresh", icon=":material/refresh:", help="Read the store again")
experiment = experiments.set_index("id").loc[labels[label]]
protocol = json.loads(experiment["protocol"])
folds = all_folds[all_folds["experiment"] == experiment.name]
state = campaign_state(folds, protocol)

for column, (name, value, meaning) in zip(
    st.columns(4),
    [
        ("Folds done", state.done, "Finished and stored"),
        ("Failed", state.failed, "Tried again by the next run of the same command"),
        ("Left", "unknown" if state.left is None else state.left, "Of the networks and rounds that have begun"),
        ("Networks", len(state.networks), f"In {state.rounds} rounds" if state.rounds > 1 else "In 1 round"),
    ],
    strict=True,
):
    column.metric(name, value, help=meaning, border=True)
if state.left is not None:
    st.progress(state.done / max(1, state.done + state.left), text=f"{state.done} of {state.done + state.left} folds")

st.subheader("Networks", anchor=False)
campaign_table(state.networks)

if len(state.failures):
    st.subheader("Failures", anchor=False)
    for failure in state.failures.itertuples():
        count = len(failure.folds)
        st.error(f"{count} fold{'s' if count > 1 else ''} failed with the same error.", icon=":material/error:")
        st.code(failure.error, language=None, wrap_lines=True)
        with st.expander("Which folds, and the first traceback"):
            st.write(", ".join(failure.folds[:20]) + (f" and {count - 20} more" if count > 20 else ""))
            st.code(failure.traceback, language="pytb")

st.subheader("Learning curves", anchor=False)
with shown_errors():
    trained = state.networks.loc[state.networks["done"] > 0, "network"].tolist()
    if not trained:
        st.info("Curves appear with the first finished fold.", icon=":material/info:")
        st.stop()
    with st.container(horizontal=True, gap="medium"):
        network = choose(st.selectbox, "Network", trained, "network", width=280)
        history = store.history(experiment.name, network)
        names = {name.replace("_", " ").capitalize(): name for name in quantities(history)}
        if not names:
            st.info("No learning curve was recorded for this network.", icon=":material/info:")
            st.stop()
        quantity = choose(
            st.segmented_control, "Quantity", list(names), "quantity", default=next(iter(names)), required=True
        )
    curves = fold_names(history).unique().tolist()
    chosen = choose(
        st.multiselect, "Folds", curves, "folds", default=curves[:SHOWN_FOLDS], placeholder="Choose folds to draw"
    )
if not chosen:
    st.info("Choose one fold or more.", icon=":material/info:")
else:
    points = curve_points(history, names[quantity])
    st.altair_chart(
        charts.learning_curves(points[points["curve"].isin(chosen)], quantity),
        key="learning_curves",
        alt=f"{quantity} of {network} over the epochs, for {', '.join(chosen)}",
    )
    st.caption(
        "Dashed: training slices, with augmentation and dropout as they were met during the epoch. Solid: the "
        "held-out fold, tested every few epochs; nothing is chosen by it."
    )

st.subheader("Hardware and protocol", anchor=False)
hardware_table(state.hardware)
with st.expander("Protocol and data set", key="protocol"):
    st.markdown(
        f"Data set **{experiment['dataset']}**, split {split_text(experiment['split'], groups_origin(protocol))}."
    )
    st.caption(f"SHA-256 of its files and labels: `{experiment['dataset_digest']}`")
    st.json({"transform": json.loads(experiment["transform"]), "protocol": protocol})
