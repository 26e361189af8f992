"""Finding the slices that stored answers are about: in the folders that this installation, or the reader, named."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import streamlit as st

from covid_core.data.dataset import load_dataset
from covid_core.data.sources import Dataset
from covid_core.errors import DatasetError
from covid_core.results.patients import FILE as PATIENTS
from covid_core.settings import Settings
from covid_core.ui.audits import may_name_folders
from covid_core.ui.background import Job, made
from covid_core.ui.errors import error_box, plain

_NAMED = "folder_of_slices"

logger = logging.getLogger(__name__)


def dataset_of(name: str, digest: str, positive: str) -> Dataset | None:
    """The data set with this digest; where none is found, draw what the reader can do about it.

    The folders of the installation are looked through first, then the one that the reader named in this session. The
    digest covers every file, so whatever is found holds the very slices that were tested. A ``patients.csv`` beside
    the class folders is taken as the data set's table of patients, which the digest covers too.

    Args:
        name: Of the data set, for people.
        digest: SHA-256, hex.
        positive: Name of the positive class.
    """
    for folder in Settings.from_environment().data_folders:
        try:
            found = _with_digest(folder, digest, positive)
        except DatasetError as error:  # nothing that a reader could mend
            logger.warning("a folder of COVID_DATA cannot be read: %s", error)
            continue
        if found:
            return found
    if not may_name_folders():
        st.info(
            f"The slices of {plain(name)} are not on this server, or it was not told where. Start it with the data "
            "set's folder to see them:",
            icon=":material/folder_off:",
        )
        st.code("COVID_DATA=FOLDER streamlit run app.py", language="bash")
        return None
    return _named_by_reader(name, digest, positive)


def _named_by_reader(name: str, digest: str, positive: str) -> Dataset | None:
    place = st.container()
    named: str | None = st.session_state.get(_NAMED)
    refusal = None
    if named:
        try:
            with place:
                found = _with_digest(Path(named).expanduser(), digest, positive)
        except DatasetError as error:
            refusal = error
        else:
            if found:
                return found
            refusal = DatasetError(
                f"Expected {name} with the SHA-256 {digest[:12]}…, whose slices the answers in the store are about. "
                f"Received: {Path(named).name}, with other files, labels or patients. Name the folder that was tested; "
                f"if its patients came from a table, lay it into the folder as {PATIENTS}."
            )
    with place:
        st.info(
            f"To see the slices, name the folder of {plain(name)} on this machine. Its files are compared with what "
            "was tested and stay where they are.",
            icon=":material/folder_open:",
        )
        with st.form("folder_form", width=760):
            folder = st.text_input(
                "Folder on this machine",
                named or "",
                placeholder="/path/to/" + name.replace(" ", "-"),
                help="With one folder of slices for each class; or a table, or a packed file",
            )
            if st.form_submit_button("Show the slices", icon=":material/image_search:", type="primary"):
                st.session_state[_NAMED] = folder.strip() or None
                st.rerun()
        if refusal:
            error_box(refusal)
    return None


def _with_digest(folder: Path, digest: str, positive: str) -> Dataset | None:
    """The data set at ``folder`` if it has this digest; the page shows that its files are being read.

    Raises:
        DatasetError: There is no data set.
    """
    arguments = (str(folder), _state(folder), positive)
    known = made(lambda: _reading(*arguments), lambda: _reading.clear(*arguments))
    return next((one for one in known if one.digest == digest), None)


@st.cache_resource(max_entries=16, show_spinner=False)
def _reading(folder: str, state: tuple[int, ...], positive: str) -> Job[list[Dataset]]:
    root = Path(folder)

    def read() -> list[Dataset]:
        tables = [None, *([root / PATIENTS] if (root / PATIENTS).is_file() else [])]
        return [load_dataset(root, positive, table) for table in tables]

    return Job(f"Comparing the files of {root.name} with what was tested", read, _turn())


def _state(folder: Path) -> tuple[int, ...]:
    """Changes when files come, go or get another name."""
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
        return tuple(path.stat().st_mtime_ns for path in (folder, *inside))
    except OSError:
        return ()  # the reading says what is wrong


@st.cache_resource(show_spinner=False)
def _turn() -> threading.Lock:
    """One data set at a time: two at once would only share the same disk."""
    return threading.Lock()
