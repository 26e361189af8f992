"""Threshold and prevalence under the reader's hand: what they make of one network's answers."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from covid_core.charts import network as charts
from covid_core.results.metrics import THRESHOLD
from covid_core.results.network_answers import NetworkMeasures
from covid_core.results.operating import THRESHOLDS, predictive_values
from covid_core.results.published import RT_PCR_SENSITIVITY
from covid_core.ui.choices import slide

PREVALENCE = 0.1
"""Where the slider stands at first: far from the halves of a balanced data set, as an examined population may be."""

OF = 1000
CARD_WIDTH, CHART_WIDTH = 226, 468
"""Pixels; four cards or two charts side by side where there is room, else one under the other."""


@st.fragment
def draw_operating_point(measures: NetworkMeasures, positive: str, prevalence: float) -> None:
    """Draw both sliders, what they decide, and where that stands on the curves; runs by itself as they move.

    Args:
        measures: The network's.
        positive: Name of the positive class.
        prevalence: Share of positive slices among the answers.
    """
    with st.container(horizontal=True, gap="medium"):
        threshold = slide(
            "Threshold", 0.0, 1.0, THRESHOLD, "threshold", step=0.01, format="%.2f", width=420,
            help=f"A slice is called {positive} from this probability on",
        )  # fmt: skip
        chosen = slide(
            "Prevalence", 0.005, 0.995, PREVALENCE, "prevalence", step=0.005, format="percent", width=420,
            help=f"Share of {positive} among those who are examined; {percent(prevalence)} of these slices",
        )  # fmt: skip
    meanings = {
        "sensitivity": f"Share of the {positive} slices that are found at this threshold; Wilson interval over the "
        "effective number of slices",
        "specificity": f"Share of the slices without {positive} that are called so at this threshold; Wilson interval "
        "over the effective number of slices",
        "ppv": f"Of the slices that are called {positive}, the share that is, at the chosen prevalence",
        "npv": f"Of the slices that are not called {positive}, the share that is not, at the chosen prevalence",
    }
    points = measures.points.join(predictive_values(measures.points, chosen))
    row = points.iloc[int(abs(THRESHOLDS - threshold).argmin())]

    with st.container(horizontal=True):
        for name, (title, _) in charts.MEASURES.items():
            interval_metric(title, *(row[f"{name}{end}"] for end in ("", "_low", "_high")), meanings[name])
    st.markdown(frequencies(row, chosen, positive))

    precision = row["tp"] / (row["tp"] + row["fp"]) if row["tp"] + row["fp"] else float("nan")
    on_roc = pd.DataFrame({"threshold": [threshold], "x": [1 - row["specificity"]], "y": [row["sensitivity"]]})
    on_recall = pd.DataFrame({"threshold": [threshold], "x": [row["sensitivity"]], "y": [precision]})
    with st.container(horizontal=True):
        with st.container(width=CHART_WIDTH):
            st.markdown("**ROC**")
            st.altair_chart(
                charts.roc(measures.curves.roc, on_roc),
                key="roc",
                alt="ROC curve with its 95 % band, and where the threshold stands",
            )
        with st.container(width=CHART_WIDTH):
            st.markdown("**Precision and recall**")
            st.altair_chart(
                charts.precision_recall(measures.curves.precision_recall, prevalence, on_recall),
                key="precision_recall",
                alt="Precision-recall curve with its 95 % band, and where the threshold stands",
            )
    st.markdown(f"**Every threshold, at a prevalence of {percent(chosen)}**")
    st.altair_chart(
        charts.by_threshold(points, threshold),
        key="by_threshold",
        alt="Sensitivity, specificity and predictive values over the threshold, with 95 % intervals",
    )
    st.caption(
        f"Orange dots and the dashed line on this chart: the threshold of {threshold:.2f}, all folds pooled. Dashed on "
        "the curves: what guessing gives. Precision is the predictive value at the prevalence of these slices, "
        f"{percent(prevalence)}; the prevalence above replaces it by Bayes' theorem. It changes what a call is worth "
        "and leaves sensitivity and specificity alone, which is true only if the slices of both classes stay of the "
        "same kind. For comparison, RT-PCR's sensitivity for patients, as the study quotes it: "
        f"{RT_PCR_SENSITIVITY:.2f}."
    )


def interval_metric(title: str, value: float, low: float, high: float, meaning: str) -> None:
    """Draw a number on a card with its interval under it.

    Args:
        title: What it is.
        value: In 0-1, or NaN.
        low: Lower bound, or NaN for none.
        high: Upper bound.
        meaning: Help.
    """
    note = "not defined" if pd.isna(value) else "no interval" if pd.isna(low) else f"{low:.3f} to {high:.3f}"
    number_card(title, "–" if pd.isna(value) else f"{value:.3f}", note, meaning)


def number_card(title: str, value: str, note: str, meaning: str) -> None:
    """Draw a number on a card of fixed width, which keeps its words whole in a narrow window."""
    st.metric(title, value, note, delta_color="off", delta_arrow="off", help=meaning, border=True, width=CARD_WIDTH)


def percent(share: float) -> str:
    """``50.5 %``, ``10 %``."""
    return f"{round(100 * share, 1):g} %"


def frequencies(row: pd.Series, prevalence: float, positive: str) -> str:
    """What the shares come to in a thousand slices, in words; Markdown.

    Args:
        row: Of ``points``, with the predictive values at ``prevalence``.
        prevalence: Share of positive slices.
        positive: Name of the positive class.
    """
    ill = round(OF * prevalence)
    if pd.isna(row["sensitivity"]) or pd.isna(row["specificity"]):
        return "These slices are of one class only: what a call is worth cannot be told."
    found, alarms = round(ill * row["sensitivity"]), round((OF - ill) * (1 - row["specificity"]))
    text = (
        f"Of {OF:,} slices like these, **{ill}** would show {positive}: {found} found, {ill - found} missed. Of the "
        f"{OF - ill} others {alarms} would be called {positive} too. "
    )
    if found + alarms == 0:
        return text + "Nothing is called, so there is no predictive value of a call."
    return text + f"So {found} of {found + alarms} calls would be right."
