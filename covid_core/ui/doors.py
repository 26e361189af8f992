"""Which sessions may send files, and how much of them may lie in memory: asked before anything is read.

Streamlit's upload endpoint takes any number of files for any session that is connected, whether its page has an
uploader or not. Here a session has a door, which opens when its visitor has passed the gate.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cache

from streamlit import runtime

SESSION_BYTES = 256 * 2**20
"""Most that the files of one session take, as they were sent; 500 slices of a DICOM series."""

SESSION_FILES = 2000
"""Most files of one session: empty ones take memory too."""

ALL_BYTES = 2 * 2**30
"""Most that the files of all sessions take together."""


@dataclass(frozen=True)
class Refusal:
    """Why a file is not let in.

    Args:
        status: HTTP status.
        reason: For the visitor: what was expected, what came, what to do.
    """

    status: int
    reason: str


@dataclass
class _Door:
    files: dict[str, int] = field(default_factory=dict)  # by Streamlit's name for each, in bytes
    coming: dict[str, int] = field(default_factory=dict)  # those whose bytes are on the way

    @property
    def bytes(self) -> int:
        return sum(self.files.values()) + sum(self.coming.values())


class Doors:
    """The doors of all sessions, for several threads.

    Args:
        held: Which of a session's files are still in memory: session, names to ask for -> names.
        session_bytes: Most of one session.
        session_files: Most of one session.
        all_bytes: Most of all sessions together.
    """

    def __init__(
        self,
        held: Callable[[str, Collection[str]], Collection[str]],
        session_bytes: int = SESSION_BYTES,
        session_files: int = SESSION_FILES,
        all_bytes: int = ALL_BYTES,
    ):
        self._held = held
        self.session_bytes = session_bytes
        self.session_files = session_files
        self.all_bytes = all_bytes
        self._lock = threading.Lock()
        self._doors: dict[str, _Door] = {}

    @property
    def sessions(self) -> list[str]:
        """Those with an open door."""
        with self._lock:
            return list(self._doors)

    def open(self, session: str) -> None:
        """Let a session send files from now on."""
        with self._lock:
            self._doors.setdefault(session, _Door())

    def close(self, session: str) -> None:
        """Let it send no more, and forget it."""
        with self._lock:
            self._doors.pop(session, None)

    def enter(self, session: str, name: str, size: int) -> Refusal | None:
        """Ask whether a file may come. Where it may, its bytes count until ``leave`` says what became of it.

        Args:
            session: The session's id.
            name: Streamlit's name of the file.
            size: Bytes of the request.

        Returns:
            None where it may.
        """
        with self._lock:
            door = self._doors.get(session)
            if door is None:  # the same for a session that does not exist: who guesses ids learns nothing
                return Refusal(403, "Expected a session that has passed the gate. Reload the page and start there.")
            if name in door.coming:
                return Refusal(409, "Expected one request a file. Received: a second one. Choose the file again.")
            self._forget_deleted(session, door)
            if len(door.files) + len(door.coming) >= self.session_files:
                return Refusal(
                    413, f"Expected at most {self.session_files} files. Received: one more. Remove some first."
                )
            if door.bytes + size > self.session_bytes:
                return Refusal(
                    413,
                    f"Expected at most {self.session_bytes / 2**20:.4g} MiB in all files together. Received: more. "
                    "Remove some first.",
                )
            if self._all_bytes() + size > self.all_bytes:
                return Refusal(
                    503, "Expected room for one more file. Too many lie here at the moment; try again later."
                )
            door.coming[name] = size
            return None

    def leave(self, session: str, name: str, arrived: bool) -> bool:
        """Note what became of a file that was let in.

        Args:
            session: As in ``enter``.
            name: As in ``enter``.
            arrived: Whether all of it did.

        Returns:
            Whether the session still has a door; if not, nobody is going to remove the file.
        """
        with self._lock:
            door = self._doors.get(session)
            if door is None:
                return False
            size = door.coming.pop(name, 0)
            if arrived:
                door.files[name] = size
            return True

    def _all_bytes(self) -> int:
        if sum(door.bytes for door in self._doors.values()) > self.all_bytes // 2:  # worth looking what is left
            for session, door in self._doors.items():
                self._forget_deleted(session, door)
        return sum(door.bytes for door in self._doors.values())

    def _forget_deleted(self, session: str, door: _Door) -> None:
        held = set(self._held(session, list(door.files)))
        door.files = {name: size for name, size in door.files.items() if name in held}


@cache  # not Streamlit's: whoever empties its caches would shut every door
def doors() -> Doors:
    """The doors of this server's sessions."""
    return Doors(_held_by_streamlit)


def _held_by_streamlit(session: str, names: Collection[str]) -> list[str]:
    if not runtime.exists():  # a page under test
        return []
    manager = runtime.get_instance().uploaded_file_mgr
    return [record.file_id for record in manager.get_files(session, list(names))]
