"""Server time of the leaderboard page at the sizes that the study fills it to.

    python -m benchmarks.dashboard                 # 2,000 folds, and 1,000,000 predictions

Two stores are written: 40 networks, 10 rounds of 5 folds without predictions, and the same with 500 predictions a fold.
Each view is the page's whole script, from the choices to the messages that would be sent, run without a browser by
Streamlit's testing client (``AppTest``), whose own work around the script is left out. Cold is the first run after
everything that the server keeps has been dropped, the open store included; warm the run after it. Modules are imported
before. Goals are seconds on an idle machine, where a run takes the time that the processor works for it; on a busy one
it also waits, so both are shown, and the goal is held against the work. For machines of other speed each is also given
as a multiple of the plainest read of the same store with pandas, measured in turn with it. Medians.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import streamlit as st
from rich.console import Console
from rich.table import Table
from streamlit.testing.v1 import AppTest

from covid_core.models import zoo
from covid_core.results.exchange import export_results
from covid_core.results.metrics import auc, counts
from covid_core.results.records import Experiment, FoldResult, Predictions
from covid_core.results.store import ResultsStore

ROUNDS, FOLDS, SLICES, EACH = 10, 5, 500, 20
EXPERIMENT = Experiment(
    "made-up slices", "ab" * 32, {"size": 380, "interpolation": "area"}, {"epochs": 25, "folds": FOLDS, "seed": 0}
)
VIEWS = {
    "as it opens": {},
    "round means": {"interval": "Round means"},
    "bootstrap": {"interval": "Bootstrap"},
    "pairs averaged": {"pair": "Averaged"},
    "pairs stacked": {"pair": "Stacked"},
    "by patient": {"patient": "true"},
}
FOLD_VIEWS = ("as it opens", "round means")
"""Views that need no predictions."""


class Seconds(NamedTuple):
    """What one run took: work of the processor in its thread, and time on the clock."""

    work: float
    wall: float


@dataclass(frozen=True)
class Size:
    """A store to measure on.

    Args:
        name: For the table.
        goal: Seconds that a run may take.
        predictions: Whether folds have them.
        views: Names in ``VIEWS``.
        baseline: What pandas reads in comparison.
    """

    name: str
    goal: float
    predictions: bool
    views: tuple[str, ...]
    baseline: str


SIZES = (
    Size(f"{len(zoo.MODELS) * ROUNDS * FOLDS:,} folds", 0.2, False, FOLD_VIEWS, "SELECT * FROM folds"),
    Size(
        f"{len(zoo.MODELS) * ROUNDS * FOLDS * SLICES:,} predictions",
        1.0,
        True,
        tuple(VIEWS),
        "SELECT * FROM folds JOIN predictions ON folds.id = fold_id",
    ),
)


def main() -> None:
    """Measures and prints."""
    flags = argparse.ArgumentParser(description="Server time of the leaderboard page.")
    flags.add_argument("--runs", type=int, default=5, help="of each view, cold and warm")
    options = flags.parse_args()
    console = Console(soft_wrap=True, width=160)
    console.print(f"{os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}")
    columns = (
        "store",
        "view",
        "cold",
        "warm",
        "goal",
        "reached",
        "cold / read",
        "warm / read",
        "cold wall",
        "warm wall",
    )
    table = Table(*columns, box=None)
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder, console.status(f"writing {size.name}"):
            file = _installed(Path(folder), size)
            for view in size.views:
                runs = _measured(file, size.baseline, VIEWS[view], options.runs)
                plain, cold, warm = (_median(runs[kind]) for kind in ("plain", "cold", "warm"))
                reached = "yes" if cold.work <= size.goal else "warm" if warm.work <= size.goal else "no"
                table.add_row(
                    *(size.name, view, _text(cold.work), _text(warm.work), _text(size.goal), reached),
                    *(f"{seconds.work / plain.work:.1f}" for seconds in (cold, warm)),
                    *(_text(seconds.wall) for seconds in (cold, warm)),
                )
    console.print(table)


def _installed(folder: Path, size: Size) -> Path:
    """An installation of its own in ``folder``; gives the store's file."""
    file = folder / "store.sqlite"
    os.environ |= {"COVID_STORE": f"sqlite:///{file}", "COVID_RESULTS": str(folder / "results")}
    store = ResultsStore(os.environ["COVID_STORE"])
    store.add_experiment(EXPERIMENT)
    export_results(store, folder / "results" / "made-up")  # an export of nothing, for the patients beside it
    patients = pd.DataFrame({"path": [_path(number) for number in range(FOLDS * SLICES)]})
    patients["patient"] = [f"P{number // EACH}" for number in range(FOLDS * SLICES)]
    patients.to_csv(folder / "results" / "made-up" / "patients.csv", index=False)
    store.add_folds(_folds(size.predictions))
    return file


def _folds(with_predictions: bool) -> Iterator[FoldResult]:
    """Networks that differ in how sure they are, on folds that they share."""
    for round_ in range(1, ROUNDS + 1):
        order = np.random.default_rng(round_).permutation(FOLDS * SLICES)
        for fold, numbers in enumerate(np.split(order, FOLDS), start=1):
            labels = (numbers // EACH % 2).astype(np.int8)
            paths = tuple(map(_path, numbers.tolist()))
            for position, model in enumerate(zoo.MODELS):
                noise = np.random.default_rng([round_, fold, position]).normal(size=SLICES)
                log_odds = (1.5 + position / 40) * (2 * labels - 1) + noise
                probabilities = (1 / (1 + np.exp(-log_odds))).astype(np.float32)
                yield FoldResult(
                    experiment=EXPERIMENT.id,
                    model=model,
                    round=round_,
                    fold=fold,
                    status="done",
                    seed=position,
                    finished="2026-01-01T00:00:00+00:00",
                    counts=counts(labels, probabilities),
                    auc=auc(labels, probabilities),
                    predictions=Predictions(paths, labels, probabilities) if with_predictions else None,
                    seconds=1000.0,
                    images_per_second=50.0,
                    facts={
                        "backend": "tensorflow",
                        "device": "GPU",
                        "precision": "mixed_bfloat16",
                        "versions": "keras",
                    },
                )


def _path(number: int) -> str:
    return f"{'COVID' if number // EACH % 2 else 'non-COVID'}/slice {number:04d}.png"


def _measured(file: Path, baseline: str, view: dict[str, str], runs: int) -> dict[str, list[Seconds]]:
    """Each kind of run, taken in turn so that all see the same load."""
    _visit(view)  # imports what the view needs
    seconds: dict[str, list[Seconds]] = {"plain": [], "cold": [], "warm": []}
    for _ in range(runs):
        with closing(sqlite3.connect(file)) as connection:
            seconds["plain"].append(timed(lambda connection=connection: pd.read_sql(baseline, connection)))
        _forget()
        for kind in ("cold", "warm"):
            seconds[kind].append(_visit(view))
    return seconds


def _visit(view: dict[str, str]) -> Seconds:
    """One run of the page in a session that has accepted the disclaimer."""
    app = AppTest.from_function(_script, default_timeout=600)
    app.session_state["disclaimer_accepted"] = True
    app.query_params.update(view)
    gc.collect()  # what earlier runs left behind is not this run's work
    app.run()
    if app.exception or app.error or len(app.dataframe) != 1:
        raise SystemExit(f"The page did not draw the view {view}: {[*app.exception, *app.error]}")
    return app.session_state["seconds"]


def _script() -> None:
    """What ``app.py`` does, on the clock; Streamlit runs the text of this function, so it imports for itself."""
    import streamlit

    from benchmarks.dashboard import timed
    from covid_core.ui.frame import navigation

    streamlit.session_state["seconds"] = timed(lambda: navigation().run())


def _forget() -> None:
    st.cache_data.clear()
    st.cache_resource.clear()


def timed(run: Callable[[], object]) -> Seconds:
    """Runs it in this thread."""
    work, wall = time.thread_time(), time.perf_counter()
    run()
    return Seconds(time.thread_time() - work, time.perf_counter() - wall)


def _median(runs: Sequence[Seconds]) -> Seconds:
    return Seconds(*(statistics.median(values) for values in zip(*runs, strict=True)))


def _text(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


if __name__ == "__main__":
    main()
