import io
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from tiny import CARD_FACTS, bright_or_dark, tiny_network

from covid_core.errors import LibraryError
from covid_core.models import build, library

PIXELS, _ = bright_or_dark(12)


@pytest.fixture
def saved(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "build_model", tiny_network)
    network = tiny_network("VGG16")
    return network, library.save_network(network, tmp_path, "e-r1-f1", PIXELS, CARD_FACTS)


def test_saved_and_loaded_the_probabilities_stay(saved, tmp_path):
    network, card = saved
    (listed,) = library.list_networks([tmp_path / "absent", tmp_path])["VGG16"]
    assert listed == card
    assert listed.key == "VGG16/e-r1-f1"
    loaded = library.load_network(listed)
    assert card.weights_dtype == "float16"
    shift = np.abs(loaded.predict(PIXELS, verbose=0) - network.predict(PIXELS, verbose=0)).max()
    assert shift <= library.HALF_PRECISION_TOLERANCE
    assert shift == pytest.approx(card.probability_shift, abs=1e-6)


def test_networks_outside_the_study_are_listed_after_those_of_the_study(saved, tmp_path):
    library.save_network(tiny_network("Residual-DenseNet121"), tmp_path, "e-r1-f1", PIXELS, CARD_FACTS)
    library.save_network(tiny_network("Modified-Xception"), tmp_path, "e-r1-f1", PIXELS, CARD_FACTS)
    cards = library.list_networks([tmp_path])
    assert list(cards) == ["VGG16", "Modified-Xception", "Residual-DenseNet121"]
    assert library.load_network(cards["Residual-DenseNet121"][0]).name == "Residual-DenseNet121"


def test_saving_leaves_the_network_as_it_was(saved):
    network, _ = saved
    exact = network.get_weights()
    assert any((weight != weight.astype(np.float16)).any() for weight in exact)


def test_weights_that_halves_would_change_are_kept_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "build_model", tiny_network)
    network = tiny_network("VGG16")
    # differences of large, nearly equal weights decide: what half precision cannot hold
    network.get_layer("probabilities").set_weights([np.full((8, 2), 3000.3) + np.eye(8, 2), np.zeros(2)])
    card = library.save_network(network, tmp_path, "n", PIXELS, CARD_FACTS)
    assert card.weights_dtype == "float32"
    np.testing.assert_array_equal(library.load_network(card).get_weights()[-2], network.get_weights()[-2])


def test_values_beyond_the_range_of_halves_survive(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "build_model", tiny_network)
    network = tiny_network("VGG16")
    network.get_layer("bn").moving_variance.assign(np.full(8, 1e6, np.float32))
    card = library.save_network(network, tmp_path, "n", PIXELS, CARD_FACTS)
    assert np.isfinite(library.load_network(card).predict(PIXELS, verbose=0)).all()
    assert library.load_network(card).get_layer("bn").moving_variance[0] == 1e6


def test_damaged_missing_and_foreign_weights_are_refused(saved):
    _, card = saved
    data = card.weights_path.read_bytes()
    card.weights_path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(LibraryError, match="damaged"):
        library.load_network(card)
    card.weights_path.unlink()
    with pytest.raises(LibraryError, match="Restore the file"):
        library.load_network(card)


class Bomb:
    def __reduce__(self):
        return (Path("exploded").touch, ())


def test_pickled_weights_are_refused_and_not_run(saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, card = saved
    buffer = io.BytesIO()
    np.savez(buffer, **{"0000": np.array([Bomb()], dtype=object)})
    for data in (buffer.getvalue(), pickle.dumps(Bomb())):
        card.weights_path.write_bytes(data)
        values = json.loads(card.path.read_text())
        values["sha256"] = library.hashlib.sha256(data).hexdigest()
        card.path.write_text(json.dumps(values))
        (forged,) = library.list_networks([card.path.parent.parent])["VGG16"]
        with pytest.raises(LibraryError, match="fit VGG16"):
            library.load_network(forged)
    assert not Path("exploded").exists()


@pytest.mark.parametrize(
    "change",
    [{"format": 99}, {"model": "VGG17"}, {"weights": "../../x.npz"}, {"surprise": 1}, {"counts": None}],
)
def test_cards_that_are_none_are_refused(saved, tmp_path, change):
    _, card = saved
    card.path.write_text(json.dumps(json.loads(card.path.read_text()) | change))
    with pytest.raises(LibraryError, match=r"card|format|file name"):
        library.list_networks([tmp_path])
    card.path.write_text("{")
    with pytest.raises(LibraryError, match="card"):
        library.list_networks([tmp_path])


def test_shipped_networks_load_and_hold_what_their_cards_say():
    """Checksum, shape and a held-out accuracy that a network has learned something for."""
    cards = library.list_networks([Path(library.__file__).parents[2] / "trained"])
    assert {"EfficientNetB0", "Modified-EfficientNetB0"} <= set(cards)
    for card in (card for found in cards.values() for card in found):
        network = library.load_network(card)
        assert network.input_shape[1] == card.input_size
        tp, fp, tn, fn = card.counts
        assert card.scores["accuracy"] == pytest.approx((tp + tn) / (tp + fp + tn + fn))
        assert card.scores["accuracy"] >= 0.93
