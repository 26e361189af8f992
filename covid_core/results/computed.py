"""Rows of the leaderboard that no network was trained for, computed from stored probabilities.

Ensembles, and networks and ensembles judged by patient in place of slices.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from covid_core.errors import StoreError
from covid_core.results.ensembles import Ensemble, ensemble_predictions
from covid_core.results.fold_scores import fold_scores, union_frames
from covid_core.results.intervals import METHODS
from covid_core.results.leaderboard import COLUMNS, TRAITS, Patients, by_network, folds_a_round, measured_rows, trait_of
from covid_core.results.pairs import variant_pairs
from covid_core.results.patient_level import patient_predictions
from covid_core.results.patients import FILE, GROUPS_FILE, Grouping
from covid_core.results.store import ResultsStore

MIXED = "mixed"
"""What stands for a trait that an ensemble's members do not share."""

_OF_EXPERIMENT = ["experiment", "dataset", "dataset_digest", "size", "protocol", "split"]

_POOLED_METHODS = {"corrected": None, "t": "t", "rounds": "t", "groups": "groups"}
"""A pooled round has one score: Student's t over rounds is what is left of the first three."""


@dataclass(frozen=True)
class Request:
    """What to compute.

    Args:
        pairs: Ways of ``ensembles.WAYS`` to join base and modified network of every backbone.
        ensembles: Others, made in every experiment that has all their members.
        by_patient: Judge networks and ensembles by patient as well.
    """

    pairs: tuple[str, ...] = ()
    ensembles: tuple[Ensemble, ...] = ()
    by_patient: bool = False


@dataclass(frozen=True)
class Computed:
    """What came of a request.

    Args:
        rows: As ``leaderboard.leaderboard`` gives them. ``level`` is ``"slice"``, ``"patient"``, or ``"group"`` where
            patients are guessed, ``cases`` counts these, ``drawn`` names them; ``ensemble`` is a way of
            ``ensembles.WAYS`` with all ``members``. Traits are those that all members share, else ``"mixed"``;
            parameters add up. Images a second are NaN.
        refused: Why something is not among them, for people, each reason once.
        remarks: What to know about the rows, for people.
    """

    rows: pd.DataFrame
    refused: tuple[str, ...]
    remarks: tuple[str, ...]


def computed_rows(
    store: ResultsStore, request: Request, method: str = "corrected", groupings: Mapping[str, Grouping] | None = None
) -> Computed:
    """Compute what ``request`` asks for, in every experiment that has the predictions.

    Args:
        store: Where the results are.
        request: What to compute.
        method: One of ``intervals.METHODS``. Where rounds are pooled (``patient_level.patient_predictions``) there is
            no interval corrected for folds, and Student's t runs over the rounds.
        groupings: Digest of a data set -> its patients or groups.

    Raises:
        StoreError: The store cannot be read, or a slice has no patient.
        ValueError: Unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"Expected a method out of {', '.join(METHODS)}. Received: {method!r}.")
    published, folds = store.published(), store.folds()
    rows, refused, remarks = [], [], []
    made_of: set[Ensemble] = set()
    for experiment, of_experiment in folds.groupby("experiment", sort=False):
        facts = of_experiment.iloc[0][_OF_EXPERIMENT]
        networks = of_experiment["model"].unique().tolist()
        ensembles = _ensembles(request, networks)
        made_of |= set(ensembles)
        if not request.by_patient:
            networks = list(dict.fromkeys(member for ensemble in ensembles for member in ensemble.members))
        if not networks:
            continue
        predictions = by_network(store.predictions(str(experiment), networks))
        grouping = (groupings or {}).get(facts["dataset_digest"])
        # folds that do not keep patients together would leave a stacker nothing that the fold under test does not touch
        apart = grouping.of_slice if grouping and facts["split"] == "group" else None
        joined = {}
        for ensemble in ensembles:
            try:
                joined[ensemble] = ensemble_predictions(predictions, ensemble, apart)
            except StoreError as error:
                refused.append(str(error))
        if joined:
            rows.append(_rows(joined, facts, published, method, grouping))
        if request.by_patient and grouping is None:
            refused.append(
                f"Patients of {facts['dataset']} are not known. A {FILE} (columns path and patient) beside the "
                f"experiments.csv of an export below COVID_RESULTS names them; a {GROUPS_FILE} there, as python -m "
                "covid_core.data.grouping writes it, stands in for them."
            )
        elif request.by_patient:
            if predictions:
                table, known = _rows_by_patient(predictions, joined, facts, published, method, grouping)
                rows.append(table)
                remarks += known
            if without := [name for name in networks if name not in predictions]:
                refused.append(f"The store has no predictions of {', '.join(without)} on {facts['dataset']}.")
    for ensemble in request.ensembles:
        if ensemble not in made_of:
            refused.append(f"{ensemble.name}: no experiment has folds of all of {', '.join(ensemble.members)}.")
    table = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=COLUMNS)
    return Computed(table, tuple(dict.fromkeys(refused)), tuple(dict.fromkeys(remarks)))


def _ensembles(request: Request, networks: Sequence[str]) -> list[Ensemble]:
    """Those of the request whose members are all among ``networks``, each once."""
    pairs = [Ensemble(pair, way) for way in request.pairs for pair in variant_pairs(networks)]
    others = [ensemble for ensemble in request.ensembles if set(ensemble.members).issubset(networks)]
    return list(dict.fromkeys([*pairs, *others]))


def _rows(
    cases: Mapping[Ensemble | str, pd.DataFrame],
    facts: pd.Series,
    published: pd.DataFrame,
    method: str | None,
    grouping: Grouping | None,
) -> pd.DataFrame:
    """Rows of predictions by slice, each under its ensemble."""
    known = {facts["dataset_digest"]: grouping.of_slice} if grouping and grouping.level == "patient" else {}
    of_name = {ensemble.name: part for ensemble, part in cases.items()}
    return _described(_scored(of_name, facts, published, method, known), cases, published)


def _rows_by_patient(
    predictions: Mapping[str, pd.DataFrame],
    joined: Mapping[Ensemble, pd.DataFrame],
    facts: pd.Series,
    published: pd.DataFrame,
    method: str,
    grouping: Grouping,
) -> tuple[pd.DataFrame, list[str]]:
    """Rows of networks and ensembles by patient, and what to know about them."""
    every = union_frames([*predictions.values(), *joined.values()])
    cases = patient_predictions(every, grouping.of_slice, folds_a_round(json.loads(facts["protocol"])))
    pooled = bool(cases["fold"].eq(0).any())
    of_name = by_network(cases)
    table = _scored(of_name, facts, published, _POOLED_METHODS[method] if pooled else method, {})
    behind = cases.drop_duplicates(["model", "round", "fold"]).groupby("model", observed=True)["folds"].sum()
    table["folds"] = table["model"].map(behind.to_dict()).astype("Int64")
    table["level"] = grouping.level
    table["drawn"] = table["drawn"].where(table["drawn"].isna(), f"{grouping.level}s")
    return _described(table, joined, published), _remarks(cases, pooled, facts, grouping)


def _scored(
    cases: Mapping[str, pd.DataFrame],
    facts: pd.Series,
    published: pd.DataFrame,
    method: str | None,
    patients: Patients,
) -> pd.DataFrame:
    """Rows of the leaderboard from predictions, as if networks with these names had been stored."""
    folds = fold_scores(union_frames(list(cases.values())))
    folds = folds.assign(**facts.drop("experiment"), images_per_second=float("nan"))
    return measured_rows(folds, published, method, lambda _, name: cases[name], patients)


def _described(rows: pd.DataFrame, ensembles: Iterable[Ensemble], published: pd.DataFrame) -> pd.DataFrame:
    """``rows`` with what can be said of ensembles among them."""
    of_name = {ensemble.name: ensemble for ensemble in ensembles}
    millions = published.set_index("model")["parameters_millions"]
    joined = rows["model"].isin(of_name)
    found = [of_name[name] for name in rows.loc[joined, "model"]]
    columns = {
        "ensemble": [ensemble.way for ensemble in found],
        "members": [" + ".join(ensemble.members) for ensemble in found],
        "parameters_millions": [millions.reindex(ensemble.members).sum(skipna=False) for ensemble in found],
        **{trait: [_shared(ensemble, trait) for ensemble in found] for trait in TRAITS},
    }
    for name, values in columns.items():
        rows.loc[joined, name] = values
    return rows


def _shared(ensemble: Ensemble, trait: str) -> str:
    traits = {trait_of(member, trait) for member in ensemble.members}
    return traits.pop() if len(traits) == 1 else MIXED


def _remarks(cases: pd.DataFrame, pooled: bool, facts: pd.Series, grouping: Grouping) -> list[str]:
    """What to know about the scores by patient on one data set."""
    whose, remarks = f"{grouping.level}s", []
    if grouping.level == "group":
        remarks.append(f"Groups stand in for the patients of {facts['dataset']}, which are not known.")
    mixed = cases.loc[cases["mixed"], "slice"].nunique()
    if mixed:
        remarks.append(f"{mixed} of the {whose} of {facts['dataset']} have slices of both labels.")
    several = len(set(grouping.of_slice.values())) < len(grouping.of_slice)
    if pooled or (facts["split"] == "slice" and several):
        remarks.append(
            f"Split by {facts['split']}, folds of {facts['dataset']} do not keep these {whose} together: networks have "
            f"seen other slices of the {whose} that they judge, and the scores are too good."
        )
    if pooled:
        remarks.append(
            f"Slices of one {grouping.level} lie in several folds there, so whole rounds are pooled: such rows have no "
            "interval corrected for shared slices, and Student t runs over the rounds."
        )
    return remarks
