"""The study's printed numbers: where they contradict each other."""

import pandas as pd
import streamlit as st

from covid_core.results.contradictions import above_one, contradictions, implied_accuracy
from covid_core.results.half_widths import JUDGED
from covid_core.results.published import STUDY, published_rows
from covid_core.ui.files import csv_button
from covid_core.ui.frame import frame
from covid_core.ui.published import above_one_rows, accuracy_rows, statement_rows

FEW = 5

frame(
    "Published numbers",
    "Where the study contradicts itself. These pages always show the value of the tables; what the tables give is "
    "computed here from their 40 rows.",
)

published = published_rows()
found = contradictions(published)
contradicted = [one for one in found if one.contradicted]
above, accuracy = above_one(published), implied_accuracy(published)

st.subheader(f"{len(contradicted)} statements that the tables do not bear out", anchor=False)
st.table(statement_rows(contradicted), border="horizontal", hide_index=True)
csv_button("Download these statements as CSV", pd.DataFrame(contradicted), "contradictions")

st.subheader("Intervals that reach above 1", anchor=False)
st.dataframe(above_one_rows(above), key="above_one", hide_index=True, width="content")
st.caption(
    "No share of slices can be above 1: a mean ± the same on both sides is a poor interval for a score that close to "
    "it. In charts such intervals end at 1; in tables they stay as printed. What the ± can mean at all stands on the "
    "page Comparison."
)

st.subheader("Accuracy against sensitivity and specificity", anchor=False)
st.dataframe(accuracy_rows(accuracy.head(FEW)), key="accuracy", hide_index=True, width="content")
st.caption(
    f"The {FEW} largest differences of {len(accuracy)}. With {JUDGED['sensitivity']} COVID slices and "
    f"{JUDGED['specificity']} others, spread evenly over the folds, accuracy is their weighted mean. Rounding explains "
    "0.0001, and classes that are not spread evenly a few ten-thousandths; not more."
)
st.caption(f"Published: {STUDY.citation}")
