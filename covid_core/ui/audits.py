"""Audits that the pages show: those that were stored, and those that this session made of folders on this machine."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from pathlib import Path

import streamlit as st

from covid_core.data.audit.record import Audit, from_json
from covid_core.data.audit.run import STAGES, audit
from covid_core.data.dataset import load_dataset
from covid_core.errors import CovidCoreError, DatasetError
from covid_core.settings import Settings
from covid_core.ui.background import Job
from covid_core.ui.errors import error_box

FILE = "audit.json"
POLL_SECONDS = 1.0

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_OWN = "own_audits"
_RUN = "audit_run"

logger = logging.getLogger(__name__)


class AuditRun:
    """One audit in the background.

    Args:
        folder: Of the data set, or a table.
        positive: Name of the positive class.
        patients: Table with patients, or None.
        turn: Held while it runs.
    """

    def __init__(self, folder: Path, positive: str, patients: Path | None, turn: threading.Lock):
        self.stage, self.share = "Listing files", 0.0
        self._folder, self._positive, self._patients = folder, positive, patients
        self.job: Job[Audit] = Job(f"Auditing {folder.name}", self._run, turn)

    def _run(self) -> Audit:
        dataset = load_dataset(self._folder, self._positive, self._patients)
        return audit(dataset, datetime.now(UTC).isoformat(timespec="seconds"), observe=self._note)

    def _note(self, stage: str, done: int, total: int) -> None:
        self.stage, self.share = stage, (STAGES.index(stage) + done / total) / len(STAGES)


def audits() -> dict[str, Audit]:
    """Audits by a name for people: this session's first, the last one before the others.

    Raises:
        DatasetError: A stored file is no audit.
    """
    own: list[Audit] = st.session_state.get(_OWN, [])
    stored = [
        _read(str(file), file.stat().st_mtime_ns)
        for file in sorted(Settings.from_environment().results_folder.rglob(FILE))
    ]
    return {_label(one): one for one in [*reversed(own), *stored]}


def has_own() -> bool:
    """Whether this session made an audit; what it audited does not go into the address."""
    return bool(st.session_state.get(_OWN))


def may_name_folders() -> bool:
    """Whether nobody but users of the machine that serves the page can reach it.

    What is in its folders is nobody else's business: where the dashboard listens to a network, or stands behind a
    proxy, the page shows the command instead.
    """
    forwarded = any(st.context.headers.get(name) for name in ("X-Forwarded-For", "X-Real-Ip", "Forwarded", "Via"))
    return st.get_option("server.address") in _LOOPBACK and not forwarded


def draw_runner() -> None:
    """Draw the form that audits a folder, then how far that is; the page stays usable meanwhile."""
    run: AuditRun | None = st.session_state.get(_RUN)
    if run is None:
        _form()
        return
    polled = run.job.state != "done"
    st.fragment(_draw, run_every=POLL_SECONDS if polled else None)(run, polled)


def _form() -> None:
    with st.form("audit_form", width=760):
        folder = st.text_input(
            "Folder on this machine",
            key="audit_folder",
            placeholder="/path/to/sars-cov-2-ct",
            help="With one folder of slices for each class, or a CSV file with the columns path, label and patient",
        )
        with st.container(horizontal=True):
            positive = st.text_input("Positive class", "COVID", key="audit_positive")
            patients = st.text_input(
                "Table of patients, if there is one",
                key="audit_patients",
                placeholder="/path/to/patients.csv",
                help="A CSV file with the columns path and patient; patients are guessed without it",
            )
        if not st.form_submit_button("Audit", key="audit_start", icon=":material/fact_check:", type="primary"):
            return
    if not folder.strip():
        error_box(DatasetError("Expected the path of a folder. Received: nothing. Write it into the first field."))
        return
    table = Path(patients.strip()).expanduser() if patients.strip() else None
    st.session_state[_RUN] = AuditRun(Path(folder.strip()).expanduser(), positive.strip(), table, _turn())
    st.rerun()


def _draw(run: AuditRun, polled: bool) -> None:
    if run.job.state != "done":
        waiting = run.job.state == "queued"
        st.progress(run.share, text=f"{'Waiting for another audit' if waiting else run.stage} …")
        return
    st.session_state.pop(_RUN, None)
    try:
        made = run.job.result()
    except CovidCoreError as error:
        error_box(error)
        _form()
        return
    except Exception:  # memory, a disk that went away: the page around it stays usable
        logger.exception("An audit failed")
        st.error("The audit failed; the server's log says why.", icon=":material/error:")
        _form()
        return
    st.session_state.setdefault(_OWN, []).append(made)
    st.session_state["audit_or_own"] = _label(made)
    st.rerun()


def _label(one: Audit) -> str:
    return f"{one.name} · {one.slices} slices · {one.provenance.get('measured', '')[:16].replace('T', ' ')}"


@st.cache_data(max_entries=32, show_spinner=False)
def _read(file: str, modified: int) -> Audit:
    path = Path(file)
    try:
        return from_json(path.read_text(encoding="utf-8"), f"{path.parent.name}/{path.name}")
    except OSError as error:
        raise DatasetError(f"Expected a readable file. Received: {path.parent.name}/{path.name}: {error}") from error


@st.cache_resource(show_spinner=False)
def _turn() -> threading.Lock:
    """One audit at a time on this server."""
    return threading.Lock()
