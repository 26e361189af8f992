"""A campaign as its experiment in the store shows it: which folds are done, failed and left, and on what they ran."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pandas as pd

from covid_core.models import zoo

_PARTS = {"test": "test_", "training": ""}


@dataclass(frozen=True, eq=False)
class CampaignState:
    """What the store knows about one experiment.

    The store does not know how many networks and rounds somebody asked for. What is left is counted within what has
    begun: every network seen, in every round seen, has all folds of the protocol to do.

    Args:
        networks: One row a network in the zoo's order: ``network``, ``done``, ``failed``, ``left`` (nullable),
            ``seconds`` (mean of a fold), ``images_per_second`` (mean).
        done: Finished folds.
        failed: Failed folds; they count as left too.
        left: Folds that have not been finished, or None where the protocol does not say how many folds a round has.
        rounds: Rounds seen.
        failures: One row a kind of failure: ``error`` (last line), ``folds`` (texts), ``traceback`` (of the first).
        hardware: One row a combination: ``device``, ``backend``, ``precision``, ``versions``, ``folds``.
    """

    networks: pd.DataFrame
    done: int
    failed: int
    left: int | None
    rounds: int
    failures: pd.DataFrame
    hardware: pd.DataFrame


def campaign_state(folds: pd.DataFrame, protocol: dict[str, Any]) -> CampaignState:
    """Count one experiment's folds.

    Args:
        folds: ``ResultsStore.folds(experiment, status=None)``, at least one row.
        protocol: The experiment's protocol; ``folds`` is the number of folds a round.
    """
    is_done, is_failed = folds["status"] == "done", folds["status"] == "failed"
    rounds = int(folds["round"].nunique())
    per_round = protocol.get("folds")
    expected = rounds * per_round if isinstance(per_round, int) else None
    order = {name: position for position, name in enumerate(zoo.ALL)}
    rows = []
    for network in sorted(folds["model"].unique(), key=lambda name: order.get(name, len(order))):
        of_network = folds["model"] == network
        finished = folds[of_network & is_done]
        rows.append(
            {
                "network": network,
                "done": len(finished),
                "failed": int((of_network & is_failed).sum()),
                "left": pd.NA if expected is None else max(0, expected - len(finished)),
                "seconds": finished["seconds"].mean(),
                "images_per_second": finished["images_per_second"].mean(),
            }
        )
    networks = pd.DataFrame(rows).astype({"left": "Int64"})
    return CampaignState(
        networks=networks,
        done=int(is_done.sum()),
        failed=int(is_failed.sum()),
        left=None if expected is None else int(networks["left"].sum()),
        rounds=rounds,
        failures=_failures(folds[is_failed]),
        hardware=_hardware(folds[is_done]),
    )


def curve_points(history: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Learning curves of one quantity as ``charts.learning_curves`` takes them.

    Args:
        history: ``ResultsStore.history`` of one network.
        quantity: Name of the curve on training slices; the one on test slices has ``test_`` in front.
    """
    parts = [history[history["metric"] == f"{prefix}{quantity}"].assign(part=part) for part, prefix in _PARTS.items()]
    points = pd.concat(parts, ignore_index=True)
    points["curve"] = fold_names(points)
    return points[["curve", "part", "epoch", "value"]]


def fold_names(folds: pd.DataFrame) -> pd.Series:
    """``Round 1, fold 3`` for each row."""
    return "Round " + folds["round"].astype(str) + ", fold " + folds["fold"].astype(str)


def quantities(history: pd.DataFrame) -> list[str]:
    """Names of the curves on training slices, in the order in which they were recorded."""
    return [name for name in history["metric"].unique() if not name.startswith(_PARTS["test"])]


def _failures(failed: pd.DataFrame) -> pd.DataFrame:
    rows = []
    last_lines = failed["error"].fillna("").map(lambda text: (text.strip().splitlines() or ["unknown error"])[-1])
    for error, group in failed.groupby(last_lines, sort=False):
        names = (group["model"] + ", " + fold_names(group).str.lower()).tolist()
        rows.append({"error": error, "folds": names, "traceback": group["error"].iloc[0] or ""})
    return pd.DataFrame(rows, columns=["error", "folds", "traceback"])


def _hardware(done: pd.DataFrame) -> pd.DataFrame:
    names = ["device", "backend", "precision", "versions"]
    facts = pd.DataFrame([json.loads(text) for text in done["facts"]], columns=names).fillna("")
    return facts.value_counts(names, sort=False).rename("folds").reset_index()
