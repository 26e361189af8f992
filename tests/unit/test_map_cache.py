"""The cache of activation maps: bounded in bytes, made once, the least used goes first."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from covid_core.ui.map_cache import MapCache


def array(value, size=100):
    return np.full(size, value, np.uint8)


@pytest.fixture
def cache():
    return MapCache(300, threading.RLock())


def test_what_was_made_is_not_made_again(cache):
    made = []
    for _ in range(3):
        found = cache.get("a", lambda: made.append(1) or array(1))
    assert len(made) == 1
    assert found[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 2


def test_the_least_used_goes_first_and_bytes_stay_bounded(cache):
    for value in range(3):
        cache.get(value, lambda value=value: array(value))
    cache.get(0, lambda: pytest.fail("still kept"))
    cache.get(3, lambda: array(3))
    assert cache.bytes == 300
    cache.get(0, lambda: pytest.fail("used last but one"))
    made = []
    cache.get(1, lambda: made.append(1) or array(1))
    assert made == [1]


def test_a_larger_array_is_handed_on_and_pushes_nothing_out(cache):
    cache.get("small", lambda: array(1))
    assert len(cache.get("large", lambda: array(2, 301))) == 301
    assert cache.bytes == 100


class Watched:
    """A lock that counts who comes to it."""

    def __init__(self):
        self._lock, self.come = threading.RLock(), threading.Semaphore(0)

    def __enter__(self):
        self.come.release()
        self._lock.acquire()

    def __exit__(self, *_):
        self._lock.release()


def test_of_many_threads_one_makes_it():
    lock, made = Watched(), []
    cache = MapCache(300, lock)

    def make():
        made.append(1)
        for _ in range(8):  # until all others, and this thread, have found nothing and want to make it too
            assert lock.come.acquire(timeout=10)
        return array(1)

    threads = [threading.Thread(target=cache.get, args=("a", make)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


def test_a_failure_is_not_kept(cache):
    with pytest.raises(MemoryError):
        cache.get("a", lambda: (_ for _ in ()).throw(MemoryError()))
    assert cache.get("a", lambda: array(1))[0] == 1
