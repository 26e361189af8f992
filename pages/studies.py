"""Heat maps of base and modified networks, measured over a whole data set."""

import json

import streamlit as st

from covid_core.charts.studies import agreements, differences, intensity_dumbbells, spread_boxes
from covid_core.explain.study_tables import AGREEMENT_NAMES
from covid_core.results.map_studies import (
    KIND,
    SPREADS,
    agreement_table,
    intensity_table,
    overlap_beyond_control,
    spread_table,
)
from covid_core.results.published import STUDY
from covid_core.ui.choices import choose
from covid_core.ui.errors import shown_errors
from covid_core.ui.frame import frame
from covid_core.ui.map_studies import (
    count_by_sign,
    group_labels,
    groups_of_studies,
    intensity_rows,
    quantiles,
    slices_of,
    spread_rows,
    with_published,
)

MASKS = {"Base, as published": "base", "Modified": "modified", "Both": "union"}
VALUES = {"Intensity": "intensity", "Heat": "heat"}
CLASSES = {"All": (0, 1), "COVID": (1,), "Others": (0,)}
SPREAD_OF = {label: name for name, label in SPREADS.items()}
COMMAND = "python -m covid_core.explain.study --dataset FOLDER"

frame(
    "Map studies",
    "What the study says about heat maps, put to the test slice by slice: base against modified networks, COVID "
    "against other slices, and whether the two networks of a pair look at the same places.",
)

with shown_errors():
    groups = groups_of_studies()

if not groups:
    st.info(
        "No heat maps have been measured into this store yet. With trained pairs and the data set that they were "
        "trained on, one command measures the slices that were held out; it goes on where it was stopped:",
        icon=":material/info:",
    )
    st.code(COMMAND, language="bash")
    st.caption(
        "A pair is a base and a modified network of one backbone, trained on the same fold. `--random-weights` "
        "measures pairs that are not trained, to see the table; their numbers say nothing about CT."
    )
    st.stop()

labels = group_labels(groups)
label = choose(st.selectbox, "Study", list(labels), "study")
group = labels[label]
with shown_errors():
    measures = slices_of(group)
settings = json.loads(group["settings"].iloc[0])

if group["kind"].iloc[0] != KIND:
    st.warning(
        "Random weights: nothing was learned. These numbers show what the measures give without any training; they "
        "say nothing about CT.",
        icon=":material/shuffle:",
    )
unfinished = group.loc[group["finished"].isna(), "backbone"].tolist()
if unfinished:
    st.info(f"Still being measured, in random order: {', '.join(unfinished)}. The command goes on: `{COMMAND}`")

positive = int((measures.drop_duplicates("slice")["label"] == 1).sum())
count = measures["slice"].nunique()
for column, (name, value, meaning) in zip(
    st.columns(4),
    [
        ("Pairs", group["backbone"].nunique(), "Base and modified network of one backbone"),
        ("Slices", count, "Distinct ones over all pairs"),
        ("Of these COVID", positive, "The positive class"),
        (
            "Seen in training",
            "some" if settings.get("slices") == "all" and group["kind"].iloc[0] == KIND else "none",
            "Held-out slices are the test slices of the fold that a pair was trained on",
        ),
    ],
    strict=True,
):
    column.metric(name, value, help=meaning, border=True)
st.caption(
    "Intervals and p-values treat slices as independent. Slices of one patient are not, and the measures do not know "
    "patients: intervals are too narrow and p-values too small, by an unknown amount. p-values are corrected after "
    "Holm for the number of rows in their table."
)

st.subheader("Base against modified, inside the mask", anchor=False)
with st.container(horizontal=True, gap="medium"):
    mask_name = choose(
        st.segmented_control, "Mask taken from", list(MASKS), "mask", default=next(iter(MASKS)), required=True
    )
    value_name = choose(
        st.segmented_control, "Mean of", list(VALUES), "value", default=next(iter(VALUES)), required=True
    )
    class_name = choose(
        st.segmented_control, "Slices", list(CLASSES), "slices", default=next(iter(CLASSES)), required=True
    )
mask, value = MASKS[mask_name], VALUES[value_name]
as_published = (mask, value, class_name) == ("base", "intensity", "All")
table = intensity_table(measures[measures["label"].isin(CLASSES[class_name])], mask, value)
title = "Mean intensity, 0–255" if value == "intensity" else "Mean heat, 0–1"
rows = with_published(table) if as_published else table.assign(source="measured", label=table["backbone"])
means_column, differences_column = st.columns(2, gap="large")
with means_column:
    st.altair_chart(
        intensity_dumbbells(rows, title), key="means", alt=f"{title} of base and modified networks, one row a pair"
    )
with differences_column:
    st.altair_chart(
        differences(rows, "Base − modified, with 95 % interval"),
        key="differences",
        alt="Difference of the means with its interval, one row a pair",
    )
st.dataframe(intensity_rows(table, 2 if value == "intensity" else 4, as_published), key="intensities", hide_index=True)
above, below, across = count_by_sign(table)
st.markdown(
    f"**The study's claim:** base above modified in all five printed pairs, each p < 0.01. **Here:** above in {above}, "
    f"below in {below}, undecided in {across} of {len(table)} measured."
    + (
        ""
        if as_published
        else " The printed means are of the intensity inside the base network's mask, over all slices."
    )
)
without = int(table["without_mask"].sum())
st.caption(
    "The mask holds the pixels where a map lies more than a standard deviation above its mean. Intensity is the mean "
    "of red, green and blue of the jet-coloured map; jet is dark at both ends, so a higher intensity need not mean a "
    "hotter map. Each network looks hot inside a mask of its own; the mask from both favours neither. "
    + (f"{without} maps have no such pixel and are left out. " if without else "")
    + (f"Hollow points are published, over slices that are not stated: {STUDY.citation}" if as_published else "")
)

st.subheader("Localised or diffuse", anchor=False)
spread_name = choose(
    st.segmented_control, "Measure of spread", list(SPREAD_OF), "spread", default=next(iter(SPREAD_OF)), required=True
)
spreads = spread_table(measures)
spreads = spreads[spreads["measure"] == SPREAD_OF[spread_name]]
boxes_column, spread_column = st.columns(2, gap="large")
with boxes_column:
    st.altair_chart(
        spread_boxes(quantiles(measures, SPREAD_OF[spread_name]), spread_name, "COVID"),
        key="boxes",
        alt=f"{spread_name} of the maps of COVID slices and of others, by network",
    )
with spread_column:
    st.altair_chart(
        differences(spreads.assign(label=spreads["network"], source="measured"), "COVID − others, with 95 % interval"),
        key="spread_differences",
        alt="Difference of the means with its interval, one row a network",
    )
st.dataframe(spread_rows(spreads), key="spreads", hide_index=True)
above, below, across = count_by_sign(spreads)
st.markdown(
    f"**The study's claim:** maps of COVID slices are localised, those of others diffuse. **Here:** COVID maps spread "
    f"less in {below}, more in {above}, undecided in {across} of {len(spreads)} networks."
)
st.caption(
    (
        "Area over half maximum is the share of the slice where a map exceeds half of its own maximum. "
        if SPREAD_OF[spread_name] == "area_over_half"
        else "Entropy is that of the heat as a distribution over the slice: 0 for one hot pixel, 1 for a constant map. "
    )
    + "Boxes hold the middle half of the slices and their line 5 to 95 %. In brackets: slices whose map is not empty. "
    + (
        "Maps of the positive class are often empty on slices that a network takes for negative; what is compared are "
        "the maps that are left."
        if settings.get("target") == "positive"
        else "Each map explains the class that its slice is labelled with."
    )
)

st.subheader("The same places?", anchor=False)
agreement = agreement_table(measures)
agreement["what"] = agreement["measure"].map(AGREEMENT_NAMES).str.strip().str.capitalize()
agreement["what"] = agreement["what"].str.replace("Iou", "IoU")
overlap_column, rank_column = st.columns(2, gap="large")
is_rank = agreement["measure"].str.contains("rank")
for column, part, name, key in (
    (overlap_column, agreement[~is_rank], "Intersection over union", "overlap"),
    (rank_column, agreement[is_rank], "Spearman's rank correlation", "ranks"),
):
    with column:
        st.altair_chart(agreements(part, name), key=key, alt=f"{name} of the two maps of a pair beside its controls")
above, _, _ = count_by_sign(overlap_beyond_control(measures))
st.markdown(
    f"**The study's claim:** the two networks of a pair look at about the same places, except VGG16's. **Here:** in "
    f"{above} of {len(table)} pairs the masks overlap more than masks of two different slices of one class do."
)
st.caption(
    "The masks are one from each network's map. Two networks that both look at the middle of every slice agree without "
    "having found anything in one; the controls show how much of the agreement that is: masks of the same size thrown "
    "at random, and the base network's map of one slice against the modified network's map of another slice of the "
    "same class. Most maps are a 32nd of the slice's side before they are resized, and neighbouring pixels far from "
    "independent."
)

st.download_button(
    "Download the measures of every slice as CSV",
    measures.to_csv(index=False).encode(),
    file_name="map-study.csv",
    mime="text/csv",
    key="download",
    icon=":material/download:",
    on_click="ignore",
)
with st.expander("Networks and settings", key="identity"):
    for study in group.itertuples():
        st.markdown(
            f"**{study.backbone}**, finished {study.finished if isinstance(study.finished, str) else 'not yet'}"
        )
        st.json({"networks": json.loads(study.networks), "settings": json.loads(study.settings)}, expanded=2)
