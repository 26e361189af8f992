"""The tests on a null made by real resampling, in short; benchmarks/false_positives.py measures it at length."""

from __future__ import annotations

import json
from types import MappingProxyType

import numpy as np
import pytest

from benchmarks.false_positives import LEARNERS, Design, data_set, outcome, rates_of
from covid_core.errors import StoreError
from covid_core.results.false_positives import FILE, INTERVALS, TESTS, Measured, Rate, read_rates, write_rates
from covid_core.settings import REPOSITORY

SHIPPED = REPOSITORY / "results" / "measured"
DESIGN = Design(rounds=3, draws=300)


@pytest.fixture(scope="module")
def rates() -> dict[tuple[str, str, int], Rate]:
    """Naive Bayes on 100 data sets, three rounds of five folds: some seconds."""
    found = rates_of("naive Bayes", (outcome("naive Bayes", DESIGN, seed) for seed in range(100)))
    return {(rate.kind, rate.what, rate.rounds): rate for rate in found if rate.metric == "accuracy"}


def test_the_plain_test_errs_far_too_often_and_the_corrected_one_does_not(rates):
    """Bounds that chance alone breaks in fewer than one of a thousand cases at rates of 5 % and 30 %."""
    plain, corrected, mcnemar = (rates["test", *key] for key in (("uncorrected", 3), ("corrected", 3), ("mcnemar", 1)))
    assert plain.share > 0.17
    assert corrected.share < 0.12
    assert mcnemar.share < 0.12
    assert corrected.share < plain.share / 2


def test_the_bayesian_test_without_doubt_is_rarely_wrong(rates):
    assert rates["test", "bayesian", 3].share < 0.14


def test_plain_intervals_miss_what_corrected_ones_hold(rates):
    assert rates["interval", "corrected", 3].share > 0.9
    assert rates["interval", "t", 3].share < 0.88
    assert rates["interval", "rounds", 3].share < rates["interval", "t", 3].share
    assert rates["interval", "groups", 3].share > 0.88


def test_both_learners_are_equally_good_by_construction():
    """Either block tells the same about the label, and neither is the other."""
    blocks = [data_set(DESIGN, seed) for seed in range(60)]
    gaps = np.array([[of[labels == 1].mean(0) - of[labels == 0].mean(0) for of in [x]] for x, labels in blocks])
    means = gaps.mean(axis=(0, 1))  # (block, feature)
    assert means == pytest.approx(np.full(means.shape, means.mean()), abs=0.06)
    assert not np.allclose(blocks[0][0][:, 0], blocks[0][0][:, 1])


def test_a_data_set_repeats_and_each_seed_is_another():
    assert (data_set(DESIGN, 3)[0] == data_set(DESIGN, 3)[0]).all()
    assert (data_set(DESIGN, 3)[0] != data_set(DESIGN, 4)[0]).any()
    assert outcome("decision tree", Design(rounds=2), 5) == outcome("decision tree", Design(rounds=2), 5)


class TestFile:
    RATES = (Rate("test", "corrected", "naive Bayes", "accuracy", 10, 50, 1000),)
    FACTS = MappingProxyType({"command": "python -m x", "slices": 300})

    def test_it_comes_back_as_it_was(self, tmp_path):
        write_rates(tmp_path / FILE, Measured(self.RATES, dict(self.FACTS)))
        found = read_rates(tmp_path)
        assert found == Measured(self.RATES, dict(self.FACTS))
        assert found.rates[0].share == 0.05
        assert found.rates[0].error == pytest.approx(0.0069, abs=1e-4)
        assert [path.name for path in tmp_path.iterdir()] == [FILE]

    def test_where_nothing_was_measured_there_is_none(self, tmp_path):
        assert read_rates(tmp_path / "absent") is None

    @pytest.mark.parametrize(
        "change", [{"hits": 1001}, {"hits": -1}, {"datasets": 0}, {"hits": "many"}, {"hits": None}]
    )
    def test_impossible_rates_are_refused(self, tmp_path, change):
        write_rates(tmp_path / FILE, Measured(self.RATES, dict(self.FACTS)))
        content = json.loads((tmp_path / FILE).read_text())
        content["rates"][0] |= change
        (tmp_path / FILE).write_text(json.dumps(content))
        with pytest.raises(StoreError, match=r"benchmarks\.false_positives"):
            read_rates(tmp_path)

    @pytest.mark.parametrize("text", ["", "[]", '{"rates": []}', '{"rates": [], "provenance": {}}', '{"rates": [{}]}'])
    def test_another_file_is_refused(self, tmp_path, text):
        (tmp_path / FILE).write_text(text)
        with pytest.raises(StoreError, match="cannot be read"):
            read_rates(tmp_path)


def test_the_shipped_rates_are_whole_and_say_what_the_short_run_says():
    shipped = read_rates(SHIPPED)
    assert {rate.what for rate in shipped.rates if rate.kind == "test"} == set(TESTS)
    assert {rate.what for rate in shipped.rates if rate.kind == "interval"} == set(INTERVALS)
    assert {rate.learner for rate in shipped.rates} == set(LEARNERS)
    assert {"command", "finished", "versions", "slices", "folds"} <= set(shipped.provenance)
    for rate in shipped.rates:
        assert rate.datasets >= 1000
        if (rate.kind, rate.rounds) == ("test", 10):
            assert rate.share > 0.2 if rate.what == "uncorrected" else rate.share < 0.1
