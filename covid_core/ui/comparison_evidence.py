"""What stands behind the intervals and tests of a comparison: how often they err, and what printed ones can mean."""

from __future__ import annotations

import streamlit as st

from covid_core.results.false_positives import read_rates
from covid_core.results.half_widths import EXCLUDED, FITS, fitting_readings, measured_spread
from covid_core.settings import Settings
from covid_core.ui.comparison_tables import rate_rows, rates_sentence, reading_rows
from covid_core.ui.errors import shown_errors
from covid_core.ui.results import results_store

_CORRECTED = "Corrected for shared slices, 50 folds"


def draw_false_positives() -> None:
    """Draw the measured rates of false positives and of intervals that hold the truth, or how to measure them."""
    with shown_errors():
        measured = read_rates(Settings.from_environment().results_folder)
    st.subheader("How often these tests err", anchor=False)
    if measured is None:
        st.info(
            "Not measured on this installation: `python -m benchmarks.false_positives --to "
            "results/measured/false-positives.json` does so.",
            icon=":material/info:",
        )
        return
    facts = measured.provenance
    st.markdown(
        "Two learners that are equally good by construction, really cross-validated on data sets drawn anew. How often "
        "a test calls one of them better at 5 %, ± Monte-Carlo error; 5 % is what it should be:"
    )
    st.dataframe(rate_rows(measured, "test"), key="false_positives", hide_index=True, height="content")
    st.markdown(f"**Where nothing differs, a difference is found:** {rates_sentence(measured)}")
    st.markdown(
        "How often the 95 % interval of one learner's score holds its expected value; 95 % is what it should be:"
    )
    st.dataframe(rate_rows(measured, "interval"), key="coverage", hide_index=True, height="content")
    st.caption(
        f"{measured.rates[0].datasets} data sets of {facts['slices']} cases for each learner, {facts['folds']} folds a "
        "round. The two learners of a comparison see two blocks of features of equal making; the expected value is "
        f"that over all data sets. `{facts['command']}`, {facts['finished'][:10]}, {facts['versions']}."
    )


def draw_printed_intervals() -> None:
    """Draw which readings of the study's ± its own tables leave possible."""
    with shown_errors():
        store = results_store()
        readings = fitting_readings(store.published())
        spread = measured_spread(store.folds(), "sensitivity")["ratio"].dropna()
    st.subheader("What the printed ± of the study can mean", anchor=False)
    st.dataframe(reading_rows(readings), key="readings", hide_index=True)
    verdicts = readings.set_index("reading")["verdict"]
    fitting = " or ".join(f"*{name}*" for name in verdicts.index[verdicts == FITS])
    default = (
        " The correction for shared slices, the default on these pages, does not fit: for the same spread of folds, "
        "measured intervals are wider than printed ones."
        if verdicts[_CORRECTED] == EXCLUDED
        else ""
    )
    st.markdown(
        f"The paper names a 95 % interval and no formula. **Left as possible: {fitting}.** Which of them it is cannot "
        "be decided: the tables do not print how far folds differ." + default
    )
    st.caption(
        "Each reading turns a half-width into the standard deviation that folds need to have, given as a multiple of "
        "the least that chance in drawing the test slices causes (median, least and most of 40 networks). Much below 1 "
        "cannot be: training only adds to the spread. The probability is that of chance alone giving medians as small, "
        "for both classes together and as if all networks shared their luck. A binomial interval would give 1 "
        "throughout; round means have no least spread. "
        + (
            f"Folds of own networks with five folds or more: {spread.median():.2f} times chance for sensitivity, "
            f"median of {len(spread)}."
            if len(spread)
            else "No own network has five folds yet that would show what a real spread is."
        )
    )
