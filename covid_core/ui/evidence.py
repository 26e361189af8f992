"""A card beside a live map: is it any good? Computed in the background; the page stays usable meanwhile."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import numpy as np
import streamlit as st

from covid_core.errors import CovidCoreError
from covid_core.explain.evaluation import MEASURES
from covid_core.explain.live import DRAWS, SHOWN, LiveEvidence
from covid_core.ui.background import Job
from covid_core.ui.chosen import ChosenSlice
from covid_core.ui.errors import error_box, plain
from covid_core.ui.networks import ChosenNetwork

POLL_SECONDS = 1.0
PATIENCE_SECONDS = 150.0  # browsers let a page in a hidden tab ask no more than once a minute
KEPT = 4
_JOBS = "evidence_jobs"

logger = logging.getLogger(__name__)


class Reader:
    """Whether somebody still waits for the figures of a map: their page asks for them again and again while they do."""

    def __init__(self):
        self._gone = False
        self.ask()

    def ask(self) -> None:
        """Say that the reader is there."""
        self._asked = time.monotonic()

    def leave(self) -> None:
        """Say that the reader looks at another map."""
        self._gone = True

    def left(self) -> bool:
        """True once the reader looks at another map, or has not asked for ``PATIENCE_SECONDS``."""
        return self._gone or time.monotonic() - self._asked > PATIENCE_SECONDS


def evidence_card(network: ChosenNetwork, chosen: ChosenSlice, layer: str, class_index: int, raw: np.ndarray) -> None:
    """Draw the card for one Grad-CAM map.

    What is computed stays in this session: nothing of a slice goes to where sessions share. When the reader moves on to
    another slice, network, layer or class, or leaves, work that they no longer wait for is given up.

    Args:
        network: The network.
        chosen: The slice.
        layer: Grad-CAM's layer.
        class_index: The class that the map explains.
        raw: The map, float ``(h, w)``, >= 0.
    """
    with st.container(border=True, key="evidence_card"):
        st.markdown("**Can this map be trusted?**")
        if network.card is None:
            st.caption("Random weights: their map is what a trained network's map is compared with.")
            return
        if not np.any(raw):
            st.caption("The map is empty: there is nothing to measure.")
            return
        job, reader = _job(network, chosen, layer, class_index, raw)
        polled = job.state != "done"
        st.fragment(_draw, run_every=POLL_SECONDS if polled else None)(job, reader, polled)


def _job(
    network: ChosenNetwork, chosen: ChosenSlice, layer: str, class_index: int, raw: np.ndarray
) -> tuple[Job[LiveEvidence | None], Reader]:
    """This session's work on this map, begun at the first call, or anew where it was given up."""
    from covid_core.ui.inference import model_of  # starts TensorFlow
    from covid_core.ui.workbench import shelf, turn

    jobs: OrderedDict[tuple, tuple[Job[LiveEvidence | None], Reader]]
    jobs = st.session_state.setdefault(_JOBS, OrderedDict())
    key = (network.key, chosen.digest, layer, class_index)
    if key in jobs and _given_up(jobs[key][0]):
        del jobs[key]
    if key not in jobs:
        for other, (job, reader) in list(jobs.items()):
            if job.state != "done":
                reader.leave()
                del jobs[other]
        reader = Reader()
        work = partial(_judge, shelf(), model_of(network), network, chosen, raw, layer, class_index, reader.left)
        jobs[key] = (Job("Measuring the map", work, turn()), reader)
        if len(jobs) > KEPT:
            jobs.popitem(last=False)
    jobs.move_to_end(key)
    return jobs[key]


def _given_up(job: Job[LiveEvidence | None]) -> bool:
    return job.state == "done" and not job.failed and job.result() is None


def _judge(shelf, model, network, chosen, raw, layer, class_index, left: Callable[[], bool]) -> LiveEvidence | None:
    if left():
        return None
    return shelf.get(network, model).judge(chosen, raw, layer, class_index, left)


def _draw(job: Job[LiveEvidence | None], reader: Reader, polled: bool) -> None:
    reader.ask()
    if job.state != "done":
        waiting = " (waiting for other work to end)" if job.state == "queued" else ""
        st.caption(f"{job.title} against {DRAWS} random maps, a Gaussian in the middle and random weights{waiting} …")
        return
    if polled:
        st.rerun()  # once, of the whole page: it then draws the card without asking again
    try:
        found = job.result()
    except CovidCoreError as error:
        _forget(job)
        error_box(error)
    except Exception:  # memory, TensorFlow: the page beside the card stays usable
        _forget(job)
        logger.exception("A map could not be measured")
        st.error(
            "The map could not be measured; the server's log says why. The next change on this page tries again.",
            icon=":material/error:",
        )
    else:
        if found is not None:
            _figures(found)


def _forget(job: Job[LiveEvidence | None]) -> None:
    """Let the page's next run begin anew: only now has the reader seen why this one failed."""
    jobs = st.session_state[_JOBS]
    for key in [key for key, (known, _) in jobs.items() if known is job]:
        del jobs[key]


def _figures(found: LiveEvidence) -> None:
    rows = {}
    for name in SHOWN:
        measure, value, random = MEASURES[name], found.of_map[name], found.of_random[name]
        if np.isnan(value):
            continue
        beaten = sum(measure.better * (value - one) > 0 for one in random)
        centred = found.of_centred[name]
        beats_centred = measure.better * (value - centred) > 0
        rows[f"{measure.label} {'↑' if measure.better > 0 else '↓'}"] = {
            "This map": f"{value:.3f}",
            "Random maps": f"{min(random):.3f} to {max(random):.3f}",
            "Gaussian in the middle": f"{centred:.3f}",
            "Better than": f"{beaten} of {len(random)} random maps, {'' if beats_centred else 'not '}the Gaussian",
        }
    columns = ["This map", "Random maps", "Gaussian in the middle", "Better than"]
    st.table({column: {label: row[column] for label, row in rows.items()} for column in columns})
    st.markdown("\n".join(f"- {line}" for line in sentences(found)))
    st.caption(
        "Deletion: area under the probability while the hottest pixels give way to a blurred slice, lower is better. "
        "Insertion: the way back, higher is better. One slice proves little: the page *Can the maps be trusted?* has "
        "whole data sets, with intervals."
    )


def sentences(found: LiveEvidence) -> list[str]:
    """What has to be said about the figures, in words; Markdown.

    Args:
        found: The figures.
    """
    lines = [
        f"The slice gets a probability of {found.probability:.3f}, and {found.blurred_probability:.3f} when it is "
        "blurred: the closer the two are, the less deletion and insertion can tell maps apart."
    ]
    if np.isnan(found.lung_share):
        lines.append(f"No lungs found: {plain(found.lungs_reason)}")
    else:
        share = found.of_map["lungs"]
        lines.append(
            f"{share:.0%} of the heat lies inside the lungs, which are {found.lung_share:.0%} of the slice"
            + (": no more than by chance." if share <= found.lung_share else ".")
        )
    if np.isnan(found.random_rank):
        lines.append("The same network with random weights gives an empty map: no comparison.")
    else:
        lines.append(
            f"Sanity check: rank correlation {found.random_rank:+.2f} (SSIM {found.random_ssim:.2f}) with the map of "
            "the same network with random weights. A map of what the network learned should be unlike it."
        )
    return lines
