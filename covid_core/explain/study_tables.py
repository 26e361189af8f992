"""What a study of heat maps says, printed."""

from __future__ import annotations

import json

import pandas as pd
from rich.console import Console
from rich.table import Table

from covid_core.results.intervals import interval_text
from covid_core.results.map_studies import (
    KIND,
    SPREADS,
    agreement_table,
    intensity_table,
    spread_table,
)

AGREEMENT_NAMES = {
    "mask_iou": "IoU of the masks",
    "chance_iou": "  of masks thrown at random",
    "other_slice_iou": "  with another slice of the class",
    "rank_correlation": "Rank correlation",
    "other_slice_rank_correlation": "  with another slice of the class",
}


def print_tables(console: Console, group: pd.DataFrame, measures: pd.DataFrame) -> None:
    """Print every table of one group of studies.

    Args:
        console: Where to.
        group: As ``map_studies.study_groups`` gives it.
        measures: As ``map_studies.wide_measures`` gives them.
    """
    settings = json.loads(group["settings"].iloc[0])
    if group["kind"].iloc[0] != KIND:
        console.print("[bold yellow]Random weights:[/] nothing was learned; these numbers say nothing about CT.")
    console.print(
        f"{group['dataset'].iloc[0]}, {settings['slices']} slices, maps of their {settings['target']} class, mask on "
        f"{settings['threshold_on']}. Slices of one patient are not independent: intervals and p-values are too small.",
        highlight=False,
    )
    for mask, value in (("base", "intensity"), ("base", "heat"), ("modified", "intensity"), ("union", "intensity")):
        console.print(_intensities(intensity_table(measures, mask, value), mask, value))
    console.print(_spreads(spread_table(measures)))
    console.print(_agreements(agreement_table(measures)))


def p_text(p_value: float) -> str:
    """``0.0123``; ``< 0.0001`` below that, and a dash where there is no test."""
    if pd.isna(p_value):
        return "–"
    return f"{p_value:.4f}" if p_value >= 0.0001 else "< 0.0001"


def _intensities(table: pd.DataFrame, mask: str, value: str) -> Table:
    digits = 2 if value == "intensity" else 4
    printed = table["published_base"].notna().any()
    shown = Table(title=f"Mean {value} inside the mask from {mask}", box=None, title_justify="left")
    columns = [
        "backbone",
        "slices",
        "no mask",
        "base",
        "modified",
        "base - modified (95 %)",
        "t, Holm",
        "Wilcoxon, Holm",
    ]
    for name in [*columns, "published"] if printed else columns:
        shown.add_column(name, justify="left" if name == "backbone" else "right")
    for row in table.itertuples():
        cells = [
            row.backbone,
            str(row.slices),
            str(row.without_mask),
            f"{row.base:.{digits}f}",
            f"{row.modified:.{digits}f}",
            interval_text(row.difference, row.low, row.high, digits),
            p_text(row.p_t_holm),
            p_text(row.p_wilcoxon_holm),
        ]
        if printed:
            cells.append(f"{row.published_base:.2f} / {row.published_modified:.2f}" if row.published_base > 0 else "–")
        shown.add_row(*cells)
    return shown


def _spreads(table: pd.DataFrame) -> Table:
    shown = Table(title="Spread of the maps: positive slices against the others", box=None, title_justify="left")
    for name in ("network", "measure", "positive", "others", "difference (95 %)", "Welch, Holm", "Mann-Whitney, Holm"):
        shown.add_column(name, justify="left" if name in ("network", "measure") else "right")
    for row in table.itertuples():
        shown.add_row(
            row.network,
            SPREADS[row.measure].lower(),
            f"{row.positive:.4f}",
            f"{row.negative:.4f}",
            interval_text(row.difference, row.low, row.high, 4),
            p_text(row.p_t_holm),
            p_text(row.p_mann_whitney_holm),
        )
    return shown


def _agreements(table: pd.DataFrame) -> Table:
    shown = Table(title="Agreement of base and modified", box=None, title_justify="left")
    for name in ("backbone", "measure", "slices", "mean (95 %)"):
        shown.add_column(name, justify="left" if name in ("backbone", "measure") else "right")
    for row in table.itertuples():
        cells = (AGREEMENT_NAMES[row.measure], str(row.slices), interval_text(row.mean, row.low, row.high, 4))
        shown.add_row(row.backbone, *cells)
    return shown
