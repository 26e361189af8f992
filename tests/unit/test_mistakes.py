"""Mistakes: which slices, in which order, by whose answer."""

from __future__ import annotations

import pandas as pd
import pytest

from covid_core.results.mistakes import ALARMS, COLUMNS, MISSED, worst_mistakes


def answers(*rows) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["round", "fold", "slice", "label", "probability"])
    return frame.astype({"slice": "category"})


def test_the_surest_mistakes_stand_first_and_right_calls_nowhere():
    rows = answers(
        *[(1, 1, "a", 1, 0.4), (1, 1, "b", 1, 0.01), (1, 1, "c", 1, 0.5), (1, 2, "d", 0, 0.5), (1, 2, "e", 0, 0.99)],
        (1, 2, "f", 0, 0.49),
    )
    assert worst_mistakes(rows, MISSED)["slice"].tolist() == ["b", "a"]
    assert worst_mistakes(rows, ALARMS)["slice"].tolist() == ["e", "d"]
    assert worst_mistakes(rows, ALARMS)["fold"].tolist() == [2, 2]


def test_a_slice_of_several_rounds_stands_once_with_its_worst_answer():
    rows = answers((1, 1, "a", 1, 0.3), (2, 4, "a", 1, 0.1), (3, 2, "a", 1, 0.9), (1, 1, "b", 1, 0.2))
    table = worst_mistakes(rows, MISSED)
    assert table["slice"].tolist() == ["a", "b"]
    assert table.loc[0, ["probability", "round", "fold", "wrong", "asked"]].tolist() == [0.1, 2, 4, 2, 3]
    assert table.loc[1, ["wrong", "asked"]].tolist() == [1, 1]


def test_equal_mistakes_stand_by_name_and_none_is_an_empty_table():
    rows = answers((1, 1, "z", 0, 0.9), (1, 1, "y", 0, 0.9))
    assert worst_mistakes(rows, ALARMS)["slice"].tolist() == ["y", "z"]
    empty = worst_mistakes(rows, MISSED)
    assert empty.empty
    assert empty.columns.tolist() == COLUMNS


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="missed"):
        worst_mistakes(answers(), "odd")
