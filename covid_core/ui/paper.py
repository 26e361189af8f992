"""The study's tables and figures as a page draws them; imports no deep-learning library."""

from __future__ import annotations

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler

from covid_core.charts.paper import confusion_matrix, family_figure, family_histograms, fold_matrices
from covid_core.models.zoo import VARIANTS
from covid_core.results.metrics import METRIC_LABELS, METRICS
from covid_core.results.paper_tables import (
    BASE,
    OTHER,
    confusion_cells,
    family_best,
    histograms,
    network_table,
    pair_table,
    pooled_cells,
    wins,
)
from covid_core.ui.choices import choose
from covid_core.ui.files import csv_button, draw_chart
from covid_core.ui.tables import in_zoo_order, score_text

TABLES = {"base": "Table 1: base networks", "modified": "Table 2: modified networks", "residual": "Residual networks"}
FIGURES = {
    "base": "Figure 2: best base network of each family",
    "modified": "Figure 3: best modified network of each family",
    "residual": "Best residual network of each family",
}
POSITIVE = "COVID"
_MARK = "background-color: #d7eaee; font-weight: 700"
_NETWORKS, _FOLDS = "Networks", "Folds"


def draw_network_tables(rows: pd.DataFrame, metric: str, name: str) -> None:
    """Draw tables 1 and 2, and one of the residual networks where there are any.

    Args:
        rows: Of one experiment or of the study, as ``leaderboard.leaderboard`` gives them.
        metric: By which they stand in order.
        name: Of the rows, for the names of files.
    """
    for variant in VARIANTS:
        table = network_table(rows, variant, metric)
        if table.empty:
            continue
        st.subheader(TABLES[variant], anchor=False)
        scores = _metrics_from(metric)
        texts = pd.DataFrame(
            {
                "Network": table["model"],
                **{METRIC_LABELS[one]: _scores(table, one) for one in scores},
                "Parameters": table["parameters_millions"],
            }
        )
        marks = {METRIC_LABELS[one]: table[f"{one}_best"] for one in scores}
        number, text = st.column_config.NumberColumn, st.column_config.TextColumn
        st.dataframe(
            _marked(texts, marks),
            key=f"networks_{variant}",
            hide_index=True,
            height="content",
            column_config={
                "Network": text(pinned=True, width=210),
                "Parameters": number(format="%.1f M", help="Millions of weights, as published"),
            },
        )
        csv_button("Download this table as CSV", table, f"{name}-{variant}")
    st.caption(
        "Mean over the folds ± half of its 95 % interval. Marked: the best value of each column in its table. Best "
        "values are the luckiest of many: the differences to the next rows are often smaller than the intervals."
    )


def draw_pairs(rows: pd.DataFrame, metric: str, name: str) -> None:
    """Draw table 3: base against modified, the better one marked, and how often each wins by every metric.

    Arguments as for ``draw_network_tables``.
    """
    variants = [variant for variant in VARIANTS[1:] if len(pair_table(rows, variant))]
    if not variants:
        st.info(
            "These results hold no backbone with a base and another network. Choose other results, or train what is "
            "missing: `python train_all.py --networks NAME NAME --dataset FOLDER`.",
            icon=":material/info:",
        )
        return
    for variant in variants:
        pairs = pair_table(rows, variant)
        numbered = "Table 3: base" if variant == "modified" else "Base"
        count = f"{len(pairs)} pair{'s' if len(pairs) > 1 else ''}"
        st.subheader(f"{numbered} against {variant}, {count}", anchor=False)
        sides = {BASE: "base", OTHER: variant}
        texts = {("", "Backbone"): pairs["backbone"]}
        marks = {}
        for one in _metrics_from(metric):
            for side, title in sides.items():
                column = (METRIC_LABELS[one], title)
                texts[column] = pairs[f"{one}_{side}"].map("{:.4f}".format, na_action="ignore").fillna("")
                marks[column] = pairs[f"{one}_better"] == side
        st.dataframe(
            _marked(pd.DataFrame(texts), marks),
            key=f"pairs_{variant}",
            hide_index=True,
            height="content",
            column_config={"Backbone": st.column_config.TextColumn(pinned=True, width=160)},
        )
        csv_button("Download this table as CSV", pairs, f"{name}-base-against-{variant}")
        counts = wins(pairs).set_index("metric").loc[_metrics_from(metric)].reset_index()
        st.markdown(f"**How often each is the better one** of {count}:")
        st.dataframe(
            pd.DataFrame(
                {
                    "Metric": counts["metric"].map(METRIC_LABELS),
                    "Base": counts[BASE],
                    variant.capitalize(): counts[OTHER],
                    "Equal": counts["equal"],
                }
            ),
            key=f"wins_{variant}",
            hide_index=True,
            width="content",
        )
        csv_button("Download these counts as CSV", counts.rename(columns=sides), f"{name}-wins-{variant}")
    st.caption(
        "Means over the folds; the half-widths are in the file. Marked: the higher one of each pair, however small the "
        "difference. Whether a difference is more than chance stands on the page Comparison; pairs share slices and "
        "folds, so counting them is no test."
    )


def draw_family_figures(rows: pd.DataFrame, metric: str, name: str) -> None:
    """Draw figures 2 and 3: the best network of each family with intervals.

    Arguments as for ``draw_network_tables``.
    """
    label = _in_sentence(metric)
    for variant in VARIANTS:
        best = family_best(rows, variant, metric)
        if best.empty:
            continue
        st.subheader(FIGURES[variant], anchor=False)
        draw_chart(
            family_figure(best, metric),
            f"{name}-families-{variant}",
            f"Best {variant} network of each family by {label}, lowest first, with 95 % intervals of all metrics",
            best,
        )
    st.caption(
        f"The network with the highest {label} of each family, by increasing {label}, with 95 % intervals. The axes do "
        "not start at zero, and every figure has its own. The best of eight EfficientNets has had more chances than "
        "the best of two VGGs."
    )


def draw_histograms(rows: pd.DataFrame, folds: pd.DataFrame, metric: str, name: str) -> None:
    """Draw how the scores of each family are distributed, over networks or over folds.

    Args:
        rows: As for ``draw_network_tables``.
        folds: Finished folds of the same networks, as ``ResultsStore.folds`` gives them; none of the study's.
        metric: Whose scores.
        name: As for ``draw_network_tables``.
    """
    unit = _NETWORKS
    if len(folds):
        unit = choose(st.segmented_control, "Count", [_NETWORKS, _FOLDS], "count", default=_NETWORKS, required=True)
    traits = rows.set_index("model")[["family", "variant"]]
    scores = folds.join(traits, on="model") if unit == _FOLDS else rows
    counts = histograms(scores, metric)
    if counts.empty:
        st.info(f"No network has a {_in_sentence(metric)}.", icon=":material/info:")
        return
    st.subheader(f"{unit} by {_in_sentence(metric)}", anchor=False)
    draw_chart(
        family_histograms(counts, METRIC_LABELS[metric], unit),
        f"{name}-histograms",
        f"Histograms of {_in_sentence(metric)} over {unit.lower()}, one a family",
        counts,
    )
    st.caption(
        f"{unit} by their {_in_sentence(metric)}, one panel a family, all on the same axes. "
        + (
            "Folds of one network test different slices; folds of two networks with the same number test the same ones."
            if unit == _FOLDS
            else "A family of two or three backbones shows its members, not a distribution."
        )
    )


def draw_confusion(folds: pd.DataFrame, name: str) -> None:
    """Draw the confusion matrices of a network, pooled and fold by fold.

    Args:
        folds: Finished folds of one experiment, as ``ResultsStore.folds`` gives them; none for the study.
        name: As for ``draw_network_tables``.
    """
    if folds.empty:
        st.info(
            "The study prints means of scores and no counts, so there is no confusion matrix to show. Choose measured "
            "results above.",
            icon=":material/info:",
        )
        return
    network = choose(st.selectbox, "Network", in_zoo_order(folds["model"]), "network", width=260)
    of_network = folds[folds["model"] == network]
    rounds, count = of_network["round"].nunique(), len(of_network)
    several = f"{count} folds of {rounds} round{'s' if rounds > 1 else ''}" if count > 1 else "one fold"
    st.subheader(f"{network}, {several} pooled" if count > 1 else f"{network}, {several}", anchor=False)
    pooled = pooled_cells(of_network)
    chart, _ = st.columns([2, 1])
    with chart:
        draw_chart(confusion_matrix(pooled, POSITIVE), f"{name}-confusion", f"Confusion matrix of {network}, {several}")
    st.caption(
        "Slices, and in brackets their share of the class: on the diagonal stand sensitivity and specificity of the "
        f"pooled folds. A slice counts as {POSITIVE} from a probability of 0.5."
        + (" Every round tests all slices once more." if rounds > 1 else "")
    )
    if count > 1:
        st.subheader("Fold by fold", anchor=False)
        draw_chart(
            fold_matrices(confusion_cells(of_network), POSITIVE),
            f"{name}-confusion-folds",
            f"Confusion matrices of {network}, one block a fold",
        )
        st.caption(
            f"Each block is one fold: above the slices with {POSITIVE}, below those without; on the left those that "
            f"the network calls {POSITIVE}. Right answers lie on the diagonal from top left."
        )
    columns = ["model", "round", "fold", "tp", "fp", "tn", "fn", *METRICS]
    csv_button("Download these folds as CSV", of_network[columns], f"{name}-confusion")


def _metrics_from(metric: str) -> list[str]:
    return [metric, *(name for name in METRICS if name != metric)]


def _in_sentence(metric: str) -> str:
    return METRIC_LABELS[metric] if metric == "f1" else METRIC_LABELS[metric].lower()


def _scores(table: pd.DataFrame, metric: str) -> list[str]:
    return [score_text(*pair) for pair in zip(table[metric], table[f"{metric}_pm"], strict=True)]


def _marked(texts: pd.DataFrame, marks: dict[str, pd.Series]) -> Styler:
    """``texts`` with the cells of ``marks`` in bold on a ground of their own."""
    styles = pd.DataFrame("", index=texts.index, columns=texts.columns)
    for column, marked in marks.items():
        styles[column] = marked.map({True: _MARK, False: ""}).to_numpy()
    return texts.style.apply(lambda _: styles, axis=None)
