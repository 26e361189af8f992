"""The distance to training slices against its definition, what it tells apart, and damaged files."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from covid_core.errors import LibraryError, ModelError
from covid_core.models.familiarity import Familiarity, fit_familiarity
from covid_core.models.familiarity_files import Provenance, load_familiarity, path_of, save_familiarity
from covid_core.models.library import Card

PROVENANCE = Provenance(training=400, held_out=200, percentile=99.0, dataset_digest="d" * 64)


def features_of(count: int, seed: int, features: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Two classes that share a covariance with few large directions."""
    shape = np.random.default_rng(1)
    spread = np.diag(np.geomspace(5, 0.05, features)) @ np.linalg.qr(shape.normal(size=(features, features)))[0]
    means = shape.normal(0, 3, (2, features))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    return means[labels] + rng.normal(size=(count, features)) @ spread, labels


@pytest.fixture(scope="module")
def familiarity() -> Familiarity:
    training, labels = features_of(2000, 2)
    return fit_familiarity(training, labels, features_of(1000, 3)[0])


@pytest.fixture
def card(tmp_path) -> Card:
    folder = tmp_path / "EfficientNetB0"
    folder.mkdir()
    return Card(
        **{name: None for name in Card.__dataclass_fields__ if name not in ("path", "sha256", "model")},
        model="EfficientNetB0",
        sha256="a" * 64,
        path=folder / "x-r1-f1.json",
    )


def test_with_all_directions_it_is_the_mahalanobis_distance():
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 2, 500)
    training = rng.normal(size=(500, 6)) + 2.0 * labels[:, None]
    # five of six directions are kept, and the mean of the one that is left is itself
    found = fit_familiarity(training, labels, training, components=5)
    means = np.stack([training[labels == one].mean(axis=0) for one in (0, 1)])
    within = training - means[labels]
    precision = np.linalg.inv(within.T @ within / len(within))
    away = training[:, None] - means
    expected = np.sqrt(np.einsum("ncf,fg,ncg->nc", away, precision, away).min(axis=1) / 6)
    assert found.distances(training) == pytest.approx(expected, rel=1e-3)


def test_most_held_out_slices_lie_within_the_limit(familiarity):
    within = familiarity.distances(features_of(2000, 5)[0]) <= familiarity.limit
    assert 0.98 < within.mean() < 1.0


def test_what_is_elsewhere_lies_outside(familiarity):
    fresh, _ = features_of(500, 6)
    assert (familiarity.distances(fresh[:, ::-1]) > familiarity.limit).all()
    assert (familiarity.distances(np.zeros((1, 40)) + 30) > familiarity.limit).all()


def test_the_limit_follows_the_percentile():
    training, labels = features_of(800, 2)
    held_out = features_of(800, 3)[0]
    limits = [fit_familiarity(training, labels, held_out, percentile=share).limit for share in (50, 95, 99)]
    assert limits == sorted(limits)
    found = fit_familiarity(training, labels, held_out, percentile=50)
    assert (found.distances(held_out) <= found.limit).mean() == pytest.approx(0.5, abs=0.01)


def test_fewer_slices_than_features_are_enough():
    training, labels = features_of(30, 7, features=200)
    found = fit_familiarity(training, labels, features_of(30, 8, features=200)[0])
    assert np.isfinite(found.distances(training)).all()


@pytest.mark.parametrize(
    ("training", "held_out", "message"),
    [
        (np.ones((50, 4)), np.ones((50, 4)), "the same for all"),
        (np.ones((5, 4)), np.ones((50, 4)), "Received: 5 and 50"),
        (np.full((50, 4), np.nan), np.ones((50, 4)), "NaN"),
    ],
)
def test_what_cannot_be_fitted_is_refused(training, held_out, message):
    with pytest.raises(ModelError, match=message):
        fit_familiarity(training, np.arange(len(training)) % 2, held_out)


def test_other_features_are_refused(familiarity):
    with pytest.raises(ModelError, match=r"\(N, 40\)"):
        familiarity.distances(np.zeros((2, 41)))


def test_a_file_gives_back_what_was_written(familiarity, card):
    assert load_familiarity(card) is None
    save_familiarity(card, familiarity, PROVENANCE)
    found, provenance = load_familiarity(card)
    fresh, _ = features_of(50, 9)
    assert np.array_equal(found.distances(fresh), familiarity.distances(fresh))
    assert found.limit == familiarity.limit
    assert provenance == PROVENANCE
    assert [file.name for file in card.path.parent.iterdir()] == ["x-r1-f1.familiarity.npz"]


def tamper(path, **changes) -> None:
    with np.load(path) as file:
        arrays = dict(file)
    record = json.loads(arrays["record"].tobytes())
    for name, value in changes.items():
        if name in arrays:
            arrays[name] = value(arrays[name])
        else:
            record[name] = value
    arrays["record"] = np.frombuffer(json.dumps(record).encode(), np.uint8)
    np.savez_compressed(path, **arrays)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"means": lambda array: array + 1}, "not those that were written"),
        ({"variances": lambda array: array[:-1]}, "not those that were written"),
        ({"format": 99}, "format 99"),
        ({"weights": "b" * 64}, "belongs to other weights"),
        ({"limit": 1e9}, "not those that were written"),
        ({"rest": "much"}, "much"),
        ({"provenance": {"slices": 3}}, "unexpected keyword"),
    ],
)
def test_a_changed_file_is_refused_in_words(familiarity, card, changes, message):
    path = save_familiarity(card, familiarity, PROVENANCE)
    tamper(path, **changes)
    with pytest.raises(LibraryError, match=message) as refusal:
        load_familiarity(card)
    assert "Restore the file, delete it, or measure again" in str(refusal.value)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 half an archive"])
def test_a_damaged_file_is_refused_in_words(card, content):
    path_of(card).write_bytes(content)
    with pytest.raises(LibraryError, match="Expected what is known"):
        load_familiarity(card)


def test_objects_in_a_file_are_never_unpickled(familiarity, card):
    path = save_familiarity(card, familiarity, PROVENANCE)
    tamper(path, means=lambda array: np.array([{"code": 1}], dtype=object))
    with pytest.raises(LibraryError):
        load_familiarity(card)


def test_weights_that_were_trained_again_need_a_new_file(familiarity, card):
    save_familiarity(card, familiarity, PROVENANCE)
    with pytest.raises(LibraryError, match="other weights"):
        load_familiarity(replace(card, sha256="c" * 64))
