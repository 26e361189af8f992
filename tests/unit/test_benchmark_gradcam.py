"""What the speed table of Grad-CAM says about timings that are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks.gradcam import NETWORKS, reached, summarise, verdicts
from covid_core.models import zoo

SECONDS = {"forward": 1.0, "map": 1.1, "upload": 1.5, "tf-keras-vis": 8.8, "pytorch-grad-cam": 2.2}


def timings(name="A", drift=(1, 5, 2), **changes):
    seconds = SECONDS | changes
    return pd.DataFrame(
        [(name, number, way, slow * took) for number, slow in enumerate(drift) for way, took in seconds.items()],
        columns=["network", "round", "way", "seconds"],
    )


def test_a_machine_that_drifts_between_rounds_does_not_move_the_ratios():
    steady, drifting = (summarise(timings(drift=drift)).loc["A"] for drift in ((1, 1, 1), (1, 50, 7)))
    for ratio, value in (
        ("map / forward", 1.1),
        ("tf-keras-vis / map", 8.0),
        ("pytorch-grad-cam / map", 2.0),
        ("upload / forward", 1.5),
    ):
        assert steady[ratio] == pytest.approx(value)
        assert drifting[ratio] == pytest.approx(value)
    assert drifting["map"] == pytest.approx(7 * 1.1)
    assert drifting["rounds"] == 3


def test_one_disturbed_round_is_outvoted():
    times = timings()
    times.loc[(times["way"] == "map") & (times["round"] == 1), "seconds"] *= 100
    assert summarise(times).loc["A", "map / forward"] == pytest.approx(1.1)


@pytest.mark.parametrize(
    ("ratio", "just", "missed"),
    [
        ("map / forward", 1.15, 1.16),
        ("tf-keras-vis / map", 4.0, 3.99),
        ("pytorch-grad-cam / map", 1.0, 0.99),
        ("upload / forward", 2.0, 2.01),
    ],
)
def test_goals_are_those_of_the_project(ratio, just, missed):
    assert reached(ratio, just)
    assert not reached(ratio, missed)


def test_a_network_that_misses_a_goal_is_named():
    summary = summarise(pd.concat([timings("A"), timings("B", map=1.5)]))
    assert list(summary.index) == ["A", "B"]
    lines = verdicts(summary)
    assert lines[0].startswith("map / forward: 1 of 2 reach <= 1.15")
    assert lines[0].endswith("missed by B")
    assert "missed" not in lines[1]
    assert lines[1].endswith(">= 6 is reached")
    slow = verdicts(summarise(timings("A", **{"tf-keras-vis": 5.5})))
    assert "1 of 1 reach >= 4" in slow[1]
    assert slow[1].endswith(">= 6 is missed")


def test_a_way_that_was_not_timed_is_left_open():
    times = timings()
    summary = summarise(times[times["way"] != "pytorch-grad-cam"])
    assert np.isnan(summary.loc["A", "pytorch-grad-cam / map"])
    assert "pytorch-grad-cam / map: not measured" in verdicts(summary)


def test_the_five_networks_are_in_the_zoo():
    assert set(NETWORKS) <= set(zoo.MODELS)
