"""The study's two result tables, as rows like ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from covid_core.results.metrics import METRICS

TABLE = Path(__file__).with_name("published.csv")


@dataclass(frozen=True)
class Study:
    """What stands behind every published row.

    Args:
        citation: Where the rows were printed.
        dataset: Name of its data set.
        size: Side of its square inputs in pixels.
        split: What was kept apart between training and test: ``"slice"``.
        rounds: Rounds of cross-validation.
        folds: Folds a round.
        epochs: Epochs a fold.
    """

    citation: str
    dataset: str
    size: int
    split: str
    rounds: int
    folds: int
    epochs: int


STUDY = Study(
    citation=(
        "Garg, Salehi, La Rocca, Garner, Duncan: Efficient and Visualizable Convolutional Neural Networks for "
        "COVID-19 Classification Using Chest CT. arXiv:2012.11860v1, December 2020."
    ),
    dataset="SARS-COV-2 Ct-Scan Dataset",
    size=380,
    split="slice",
    rounds=10,
    folds=5,
    epochs=25,
)

MEAN_INTENSITIES = MappingProxyType(
    {
        "EfficientNetB5": (106.2554, 104.8093),
        "Xception": (112.2687, 109.8970),
        "DenseNet201": (127.3185, 114.0104),
        "ResNet50": (118.5625, 112.8382),
        "VGG16": (123.1306, 78.5967),
    }
)
"""Backbone -> the study's mean intensities inside the mask over many slices, base and modified; each pair p < 0.01."""

XDNN_F1 = 0.9731
"""F1 of xDNN on the same data set, one 80/20 split: the baseline that came with the data."""

RT_PCR_SENSITIVITY = 0.71
"""The study's clinical reference: sensitivity of RT-PCR, the usual test for the infection."""

XDNN_CITATION = (
    "Soares, Angelov, Biaso, Froes, Abe: SARS-CoV-2 CT-scan dataset: A large dataset of real patients CT scans for "
    "SARS-CoV-2 identification. medRxiv 2020.04.24.20078584, 2020."
)


def published_rows() -> pd.DataFrame:
    """The 40 published rows, in the order of the tables: 20 base networks, then 20 modified ones.

    Returns:
        Columns ``model``, ``backbone``, ``variant`` (``"base"`` or ``"modified"``), ``family``,
        ``parameters_millions``, then for each of ``METRICS`` the printed mean and, as ``<metric>_pm``, the printed
        half-width of its 95 % interval. Half-widths are as printed: some reach above 1.
    """
    rows = pd.read_csv(TABLE).rename(columns={"params_millions": "parameters_millions"})
    values = [column for metric in METRICS for column in (metric, f"{metric}_pm")]
    return rows[["model", "backbone", "variant", "family", "parameters_millions", *values]]
