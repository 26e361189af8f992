"""Work in the background: one at a time, seen by everyone who waits, dropped when nobody does."""

from __future__ import annotations

import gc
import threading
import time
from concurrent.futures import CancelledError

import pytest
from streamlit.testing.v1 import AppTest

from covid_core.ui.background import Job, made

SECONDS = 10  # far more than any of this takes


@pytest.fixture
def turn():
    return threading.Lock()


def test_jobs_that_share_a_turn_run_one_after_the_other(turn):
    running, most = 0, 0

    def work():
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.02)
        running -= 1

    jobs = [Job("work", work, turn) for _ in range(5)]
    assert all(job.wait(SECONDS) for job in jobs)
    assert most == 1


def test_everyone_who_waits_gets_the_one_result(turn):
    job = Job("work", object, turn)
    got = []
    threads = [threading.Thread(target=lambda: job.wait(SECONDS) and got.append(job.result())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 4
    assert len(set(map(id, got))) == 1


def test_a_job_says_how_far_it_is(turn):
    begun, go = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go.wait(SECONDS)

    with turn:
        job = Job("work", work, turn)
        assert job.state == "queued"
        assert not job.wait(0.05)
    assert begun.wait(SECONDS)
    assert job.state == "running"
    go.set()
    assert job.wait(SECONDS)
    assert job.state == "done"


def test_a_job_that_everybody_left_before_its_turn_is_not_begun(turn):
    begun = []
    with turn:
        job = Job("work", lambda: begun.append(1), turn)
        with job, job:  # two pages wait, and both are left
            pass
    assert job.wait(SECONDS)
    with pytest.raises(CancelledError):
        job.result()
    assert not begun


def test_a_job_that_somebody_still_waits_for_is_done(turn):
    with turn:
        job = Job("work", lambda: "made", turn)
        job.__enter__()
        with job:
            pass
    assert job.wait(SECONDS)
    assert job.result() == "made"


def test_a_job_that_was_left_and_is_waited_for_again_is_done(turn):
    with turn:
        job = Job("work", lambda: "made", turn)
        with job:
            pass
        job.__enter__()
    assert job.wait(SECONDS)
    assert job.result() == "made"


def test_a_job_has_failed_when_it_ended_without_a_result(turn):
    with turn:
        left, good, bad = (Job("work", work, turn) for work in (object, lambda: None, lambda: 1 / 0))
        with left:
            pass
        assert not any(job.failed for job in (left, good, bad))
    assert all(job.wait(SECONDS) for job in (left, good, bad))
    assert [job.failed for job in (left, good, bad)] == [True, False, True]


def test_what_the_work_raises_reaches_who_waits(turn):
    def work():
        raise ValueError("no such thing")

    job = Job("work", work, turn)
    assert job.wait(SECONDS)
    for _ in range(2):
        with pytest.raises(ValueError, match="no such thing"):
            job.result()
    assert Job("next", lambda: 1, turn).wait(SECONDS), "a failure must not keep the turn"


def test_names_of_layers_do_not_depend_on_what_was_built_before(turn):
    import keras

    names = []
    for _ in range(2):
        job = Job("build", lambda: keras.layers.Dense(1).name, turn)
        assert job.wait(SECONDS)
        names.append(job.result())
    assert names[0] == names[1]


def test_a_page_waits_and_leaves_no_trace_of_it():
    def page() -> None:
        import threading
        import time

        import streamlit as st

        from covid_core.ui.background import Job, watch

        st.write(watch(Job("Loading", lambda: time.sleep(1) or "loaded", threading.Lock())))

    app = AppTest.from_function(page, default_timeout=SECONDS).run()
    assert not app.exception
    assert [text.value for text in app.markdown] == ["loaded"]
    assert not app.status


def test_a_network_dropped_by_the_page_before_is_loaded_after_all():
    """The job that a page finds in the cache was dropped a moment ago: a new one takes its place."""
    turn, forgotten = threading.Lock(), []
    with turn:
        dropped = Job("work", lambda: "made", turn)
        with dropped:
            pass
    assert dropped.wait(SECONDS)
    jobs = iter([dropped, Job("work", lambda: "made", turn)])
    assert made(lambda: next(jobs), lambda: forgotten.append(1)) == "made"
    assert forgotten == [1]


def test_a_job_that_failed_is_begun_anew_the_next_time():
    def fail():
        raise MemoryError

    forgotten = []
    with pytest.raises(MemoryError):
        made(lambda: Job("work", fail, threading.Lock()), lambda: forgotten.append(1))
    assert forgotten == [1]


def test_what_tensorflow_made_when_it_was_loaded_is_not_looked_through_after_each_run():
    """Streamlit collects all garbage then."""

    def page() -> None:
        from covid_core.ui.background import start_tensorflow

        start_tensorflow()

    AppTest.from_function(page, default_timeout=120).run()
    assert gc.get_freeze_count() > 100_000
