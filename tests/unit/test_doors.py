from __future__ import annotations

import pytest

from covid_core.ui.doors import Doors

HERE = {"a", "b", "c", "d"}


def all_held(session, names):
    return set(names)


def arrive(doors: Doors, session: str, name: str, size: int) -> int:
    """Status of a file that comes and, where it may, arrives."""
    refusal = doors.enter(session, name, size)
    if refusal:
        return refusal.status
    assert doors.leave(session, name, arrived=True)
    return 204


def test_a_session_sends_files_once_its_door_is_open_and_until_it_is_closed():
    doors = Doors(all_held)
    assert arrive(doors, "one", "a", 1) == 403
    doors.open("one")
    assert arrive(doors, "one", "a", 1) == 204
    assert arrive(doors, "two", "a", 1) == 403
    assert doors.sessions == ["one"]
    doors.close("one")
    assert arrive(doors, "one", "b", 1) == 403
    assert doors.sessions == []


def test_opening_twice_forgets_no_file():
    doors = Doors(all_held, session_bytes=10)
    doors.open("one")
    assert arrive(doors, "one", "a", 8) == 204
    doors.open("one")
    assert arrive(doors, "one", "b", 8) == 413


def test_bytes_and_files_of_a_session_are_limited_and_what_is_removed_leaves_room():
    held = set(HERE)
    doors = Doors(lambda _, names: held & set(names), session_bytes=10, session_files=3)
    doors.open("one")
    assert [arrive(doors, "one", name, 4) for name in "abc"] == [204, 204, 413]
    held.discard("a")
    assert [arrive(doors, "one", name, size) for name, size in (("c", 5), ("d", 0), ("e", 0))] == [204, 204, 413]


def test_what_is_on_the_way_counts_and_what_does_not_arrive_no_longer():
    doors = Doors(all_held, session_bytes=10)
    doors.open("one")
    assert doors.enter("one", "a", 8) is None
    assert doors.enter("one", "a", 1).status == 409
    assert doors.enter("one", "b", 8).status == 413
    assert doors.leave("one", "a", arrived=False)
    assert doors.enter("one", "b", 8) is None


def test_all_sessions_together_are_limited():
    held = set(HERE)
    doors = Doors(lambda _, names: held & set(names), all_bytes=10)
    for session in ("one", "two", "three"):
        doors.open(session)
    assert [arrive(doors, "one", "a", 6), arrive(doors, "two", "b", 4), arrive(doors, "three", "c", 1)] == [
        204,
        204,
        503,
    ]
    held.discard("a")
    assert arrive(doors, "three", "c", 6) == 204
    doors.close("two")
    assert arrive(doors, "three", "d", 4) == 204


def test_a_file_whose_session_ended_on_the_way_is_nobodys():
    doors = Doors(all_held)
    doors.open("one")
    assert doors.enter("one", "a", 1) is None
    doors.close("one")
    assert not doors.leave("one", "a", arrived=True)


@pytest.mark.parametrize("status", [403, 413, 503])
def test_a_refusal_says_what_was_expected(status):
    doors = Doors(all_held, session_bytes=10, all_bytes=10)
    for session in ("full", "other"):
        doors.open(session)
    arrive(doors, "full", "a", 10)
    refused = {403: ("stranger", "a"), 413: ("full", "b"), 503: ("other", "a")}[status]
    refusal = doors.enter(*refused, 5)
    assert refusal.status == status
    assert refusal.reason.startswith("Expected")
