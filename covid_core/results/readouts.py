"""What linear read-outs of a network's layers said, as one tidy table; reads the store, imports no Keras.

A study of ``KIND`` holds, for one network, a set of numbers for each layer and kind of weights. In the store's terms
its *subject* is the network, its *method* the weights (``WEIGHTS``), its *slice* the layer (``layer_key``). The *label*
is 1 throughout: the numbers are of the read-out of the positive class, over many slices at once.
"""

from __future__ import annotations

import json
import re

import pandas as pd

from covid_core.errors import StoreError
from covid_core.results.intervals import share_interval
from covid_core.results.metrics import scores
from covid_core.results.store import ResultsStore

KIND = "linear-readout"

TRAINED, RANDOM = "trained", "random"
WEIGHTS = (TRAINED, RANDOM)

LABEL = 1
"""What stands in the store's column for the class of a slice."""

MEASURES = ("tp", "fp", "tn", "fn", "auc", "channels", "layers", "converged")
"""Of each layer: counts on the held-out slices at probability 0.5, area under the ROC curve, number of features, number
of layers of the network, and whether the fit converged (1) or not (0)."""


def layer_key(number: int, name: str) -> str:
    """What stands for a layer in the store: ``layer 017 conv2_block1_out``.

    The number tells a layer: the names that Keras makes up itself (``conv2d_12``) depend, elsewhere, on what a process
    has built before.
    """
    return f"layer {number:03d} {name}"


def layer_of(key: str) -> tuple[int, str]:
    """Number and name behind a ``layer_key``.

    Raises:
        StoreError: It is none.
    """
    found = re.fullmatch(r"layer (\d+) (.+)", key)
    if found is None:
        raise StoreError(f"Expected a layer such as 'layer 017 conv2_block1_out' in a read-out. Received: {key!r}.")
    return int(found[1]), found[2]


def measured_layers(store: ResultsStore, study_id: str, network: str, weights: str) -> set[int]:
    """Numbers of the layers that need not be read out again."""
    return {layer_of(key)[0] for key in store.measured_slices(study_id, network, weights)}


def readout_studies(store: ResultsStore) -> pd.DataFrame:
    """The studies of read-outs that hold something, one row each, the one that was finished last at the end.

    Returns:
        ``network``, ``sha256`` (of its weights), ``round``, ``fold``, ``size`` (pixels), ``fit`` and ``held_out``
        (numbers of slices; nullable), ``split`` (``"slice"``, ``"group"`` or None where not known), and all of
        ``ResultsStore.studies``.
    """
    studies = store.studies(KIND)
    studies = studies[studies["measured"] > 0].sort_values(["finished", "measured"], na_position="first", kind="stable")
    facts = []
    for row in studies.itertuples():
        ((network, weights),) = json.loads(row.networks).items()
        settings = json.loads(row.settings)
        facts.append(
            {
                "network": network,
                **{name: weights.get(name) for name in ("sha256", "round", "fold")},
                "size": json.loads(row.transform).get("size"),
                **{name: settings.get(name) for name in ("fit", "held_out", "split")},
            }
        )
    columns = ["network", "sha256", "round", "fold", "size", "fit", "held_out", "split"]
    whole = dict.fromkeys(("round", "fold", "size", "fit", "held_out"), "Int64")
    return pd.DataFrame(facts, columns=columns).astype(whole).join(studies.reset_index(drop=True))


def readout_table(store: ResultsStore, study_id: str) -> pd.DataFrame:
    """The curve over depth: one row a layer and kind of weights, sorted by weights (trained first) and number.

    Args:
        store: Where the study is.
        study_id: Of a study of ``KIND``.

    Returns:
        ``network``, ``weights`` (of ``WEIGHTS``), ``number`` (from 1, as ``ActivationProbe`` counts), ``layer`` (name),
        ``depth`` (number over number of layers, in 0-1), ``channels``, ``slices`` (held out), ``accuracy`` with ``low``
        and ``high`` (Wilson, 95 %, as if slices were independent), ``sensitivity``, ``specificity``, ``auc`` (NaN where
        one class is absent), ``majority`` (share of the larger class: the accuracy of naming it always) and
        ``converged`` (bool). Empty for a study that holds nothing.

    Raises:
        StoreError: The study holds something else.
    """
    rows = store.measures(study_id)
    keys = ["subject", "method", "slice"]
    wide = rows.pivot(index=keys, columns="measure", values="value").reindex(columns=MEASURES).reset_index()
    tp, fp, tn, fn = (wide[name].fillna(0) for name in MEASURES[:4])
    slices, right = tp + fp + tn + fn, tp + tn
    measured = scores(tp, fp, tn, fn)
    number, layer = zip(*map(layer_of, wide["slice"]), strict=True) if len(wide) else ((), ())
    intervals = {pair: share_interval(*pair) for pair in set(zip(right.astype(int), slices.astype(int), strict=True))}
    bounds = [intervals[pair] for pair in zip(right.astype(int), slices.astype(int), strict=True)]
    table = pd.DataFrame(
        {
            "network": wide["subject"],
            "weights": wide["method"],
            "number": pd.Series(number, dtype="int64"),
            "layer": pd.Series(layer, dtype="str"),
            "depth": pd.Series(number, dtype="int64") / wide["layers"],
            "channels": wide["channels"].astype("Int64"),
            "slices": slices.astype("int64"),
            "accuracy": measured["accuracy"],
            "low": pd.Series([one.low for one in bounds], dtype="float64"),
            "high": pd.Series([one.high for one in bounds], dtype="float64"),
            "sensitivity": measured["sensitivity"],
            "specificity": measured["specificity"],
            "auc": wide["auc"],
            "majority": pd.concat([tp + fn, fp + tn], axis=1).max(axis=1) / slices,
            "converged": wide["converged"] == 1,
        }
    )
    order = {weights: position for position, weights in enumerate(WEIGHTS)}
    return table.sort_values(
        ["weights", "number"], key=lambda column: column.map(order) if column.name == "weights" else column
    ).reset_index(drop=True)


def parts_from(table: pd.DataFrame) -> int | None:
    """Where the trained network leaves its random twin behind for good.

    Args:
        table: As ``readout_table`` gives it.

    Returns:
        Number of the first layer from which on, to the last layer, the interval of the trained network's accuracy lies
        above that of random weights; None if the last layer's does not, or either curve is missing.
    """
    bounds = table.pivot(index="number", columns="weights", values=["low", "high"])
    if not {("low", TRAINED), ("high", RANDOM)} <= set(bounds.columns):
        return None
    above = (bounds["low", TRAINED] > bounds["high", RANDOM]).sort_index()  # False where one is missing
    below = above.index[~above]
    later = above.index if below.empty else above.index[above.index > below[-1]]
    return int(later[0]) if len(later) else None
