"""Work that a page waits for while its widgets stay usable; imports no deep-learning library."""

from __future__ import annotations

import gc
import importlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from types import ModuleType
from typing import Generic, TypeVar

import streamlit as st

POLL_SECONDS = 0.1
QUIET_SECONDS = 0.4  # work that is done by then is not announced: a line that flashes up is no news

T = TypeVar("T")


class Job(Generic[T]):
    """One piece of work in a thread of its own, begun when its turn comes.

    The thread is new for each job: Keras numbers the layers that nobody named by what its thread built before, and the
    names of a network must not depend on its predecessors.

    Args:
        title: What is being done, for people.
        work: Does it; runs without Streamlit's session.
        turn: Held while it runs. Jobs that share it run one after the other.
    """

    def __init__(self, title: str, work: Callable[[], T], turn: threading.Lock):
        self.title = title
        self._work = work
        self._turn = turn
        self._state = threading.Lock()
        self._waiting = 0
        self._abandoned = False
        self._running = False
        pool = ThreadPoolExecutor(1, thread_name_prefix="background")
        self._future: Future[T] = pool.submit(self._run)
        pool.shutdown(wait=False)

    @property
    def state(self) -> str:
        """``"queued"``, ``"running"`` or ``"done"``, however it ended."""
        if self._future.done():
            return "done"
        return "running" if self._running else "queued"

    @property
    def failed(self) -> bool:
        """Whether it ended without a result: the work raised, or its turn came when nobody waited any more."""
        return self._future.done() and self._future.exception() is not None

    def result(self) -> T:
        """What the work gave, once it is done; raises what it raised.

        Raises:
            CancelledError: Its turn came when nobody waited for it any more.
        """
        return self._future.result()

    def wait(self, seconds: float) -> bool:
        """Wait a while; True if the job is done."""
        return bool(wait([self._future], seconds).done)

    def __enter__(self) -> Job[T]:
        """Say that somebody waits; a job that was waited for, and is not any more, is not begun."""
        with self._state:
            self._waiting += 1
            self._abandoned = False
        return self

    def __exit__(self, *_: object) -> None:
        with self._state:
            self._waiting -= 1
            self._abandoned = self._waiting == 0

    def _run(self) -> T:
        with self._turn:
            with self._state:
                if self._abandoned:
                    raise CancelledError
                self._running = True
            return self._work()


def start_tensorflow() -> None:
    """Load TensorFlow, which takes seconds on a fresh server; the page shows that it is being done."""
    watch(_tensorflow())


def watch(job: Job[T]) -> T:
    """The job's result; until it is there, a line on the page says what is being done and for how long.

    Each update of the line is a point where Streamlit turns to a click of the reader's: the run ends there, and the
    next one begins with the new choice.

    Args:
        job: The work.

    Raises:
        CancelledError: See ``Job.result``.
    """
    # made even where there is nothing to say: of the page's next run, the line then stands in the same place
    place = st.empty()
    with job:
        if job.wait(QUIET_SECONDS):
            return job.result()
        started = time.monotonic() - QUIET_SECONDS
        line = place.status(_line(job, 0), state="running")
        while not job.wait(POLL_SECONDS):
            line.update(label=_line(job, time.monotonic() - started))
        place.empty()
        return job.result()


def made(job: Callable[[], Job[T]], forget: Callable[[], None]) -> T:
    """What a remembered job gives, as ``watch``. One that failed, or that everyone who waited left, is forgotten.

    Args:
        job: Gives the remembered job, or a new one where none is.
        forget: Lets the next call of ``job`` begin anew.
    """
    while True:
        try:
            return watch(job())
        except CancelledError:  # dropped just before this page came to wait for it
            forget()
        except Exception:  # a file may have been restored, memory been freed, when the reader tries again
            forget()
            raise


@st.cache_resource(show_spinner=False)
def _tensorflow() -> Job[ModuleType]:
    return Job("Starting TensorFlow", _import_tensorflow, threading.Lock())


def _import_tensorflow() -> ModuleType:
    module = importlib.import_module("covid_core.explain.gradcam")
    # Streamlit collects all garbage after each run of a page, which with TensorFlow's half a million objects takes a
    # quarter of a second. What an import made stays for good, and need not be looked through each time.
    gc.freeze()
    return module


def _line(job: Job, seconds: float) -> str:
    waiting = " (waiting for its turn)" if job.state == "queued" else ""
    return f"{job.title}{waiting}, {seconds:.0f} s …"
