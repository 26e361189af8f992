"""One network's answers in the store, and everything that is measured of them for the page about it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from covid_core.results import calibration, external_tests
from covid_core.results.bootstrap import groups_of
from covid_core.results.curves import Curves, curves
from covid_core.results.intervals import Interval
from covid_core.results.leaderboard import folds_a_round
from covid_core.results.operating import operating_points
from covid_core.results.store import ResultsStore


@dataclass(frozen=True, eq=False)
class NetworkAnswers:
    """What one network said of test slices.

    Args:
        rows: ``round``, ``fold``, ``slice``, ``label`` (0 or 1), ``probability`` and ``group`` (int64 from 0; what
            is drawn again: the patient where known, else the slice); empty where the store has no predictions.
        patients: Whether groups are patients.
        test_share: Share of the slices in a test fold.
        dataset: Name of the data set that the slices are of.
        dataset_digest: Its SHA-256, hex.
    """

    rows: pd.DataFrame
    patients: bool
    test_share: float
    dataset: str
    dataset_digest: str

    @property
    def folds(self) -> int:
        """Number of test folds, over all rounds."""
        return self.rows.groupby(["round", "fold"]).ngroups


@dataclass(frozen=True, eq=False)
class NetworkMeasures:
    """What the page draws, for one way to an interval.

    Args:
        curves: ROC and precision-recall.
        brier: Brier score, mean over the folds.
        constant_brier: Of giving every slice the share of positive ones.
        reliability: As ``calibration.reliability`` gives it.
        calibration_error: Of this table.
        chance_error: What it is on average for probabilities that are right.
        points: As ``operating.operating_points`` gives them.
    """

    curves: Curves
    brier: Interval
    constant_brier: float
    reliability: pd.DataFrame
    calibration_error: float
    chance_error: float
    points: pd.DataFrame


def fold_answers(
    store: ResultsStore, experiment: str, model: str, patients: Mapping[str, Mapping[str, str]] | None = None
) -> NetworkAnswers:
    """A network's predictions in all finished folds of an experiment.

    Args:
        store: Where they are.
        experiment: Id.
        model: Name.
        patients: Digest of a data set -> path of a slice -> its patient.

    Raises:
        StoreError: The store cannot be read, or a slice has no patient.
    """
    identity = store.experiments().set_index("id").loc[experiment]
    of_slice = (patients or {}).get(identity["dataset_digest"])
    rows = store.predictions(experiment, model)
    return NetworkAnswers(
        rows=rows.drop(columns=["experiment", "model"]).assign(group=groups_of(rows["slice"], of_slice)),
        patients=of_slice is not None,
        test_share=1 / folds_a_round(json.loads(identity["protocol"])),
        dataset=identity["dataset"],
        dataset_digest=identity["dataset_digest"],
    )


def external_answers(store: ResultsStore, study: str) -> NetworkAnswers:
    """A network's answers in an external test; round and fold are those that its weights come from.

    Args:
        store: Where they are.
        study: Id.

    Raises:
        StoreError: The store cannot be read.
    """
    identity = store.studies(external_tests.KIND).set_index("id").loc[study]
    (weights,) = json.loads(identity["networks"]).values()
    patients = bool(json.loads(identity["settings"]).get("patients"))
    told = external_tests.answers(store, study)
    whose = told[external_tests.PATIENT] if patients else told["slice"]
    rows = told.assign(round=weights.get("round", 1), fold=weights.get("fold", 1), group=pd.factorize(whose)[0])
    return NetworkAnswers(
        rows=rows[["round", "fold", "slice", "label", "probability", "group"]],
        patients=patients,
        test_share=0.2,  # never asked for: there is one fold
        dataset=identity["dataset"],
        dataset_digest=identity["dataset_digest"],
    )


def measured(answers: NetworkAnswers, method: str) -> NetworkMeasures:
    """Everything that is drawn of a network's answers, of which there is at least one.

    Args:
        answers: The answers.
        method: One of ``resampling.METHODS``.
    """
    rows = answers.rows
    labels, probabilities = rows["label"].to_numpy(), rows["probability"].to_numpy(np.float64)
    table = calibration.reliability(rows)
    return NetworkMeasures(
        curves=curves(rows, method, answers.test_share),
        brier=calibration.brier(rows, method, answers.test_share),
        constant_brier=calibration.brier_of_prevalence(labels),
        reliability=table,
        calibration_error=calibration.calibration_error(table),
        chance_error=calibration.chance_error(probabilities),
        points=operating_points(labels, probabilities, rows["group"].to_numpy()),
    )
