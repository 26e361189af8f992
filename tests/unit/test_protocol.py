import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from covid_core.errors import ModelError, ProtocolError
from covid_core.models import zoo
from covid_core.training.protocol import PRESETS, Protocol
from covid_core.training.selection import select_networks

REPOSITORY = Path(__file__).parents[2]


def test_the_paper_preset_is_the_study():
    preset = PRESETS["paper"]
    protocol = preset.protocol
    assert (protocol.size, protocol.epochs, protocol.rounds, protocol.folds) == (380, 25, 10, 5)
    assert select_networks(preset.networks) == tuple(zoo.MODELS)


def test_identity_is_json_and_leaves_out_what_may_grow():
    protocol = Protocol()
    assert json.loads(json.dumps(protocol.identity())) == protocol.identity()
    assert replace(protocol, rounds=1).identity() == protocol.identity()
    assert replace(protocol, epochs=3).identity() != protocol.identity()


def test_fold_seeds_are_all_different_and_reproducible():
    protocol = Protocol()
    seeds = {
        protocol.fold_seed(model, round_number, fold)
        for model in zoo.MODELS
        for round_number in range(1, 11)
        for fold in range(1, 6)
    }
    assert len(seeds) == 40 * 10 * 5
    assert protocol.fold_seed("VGG16", 1, 1) == Protocol().fold_seed("VGG16", 1, 1)
    assert replace(protocol, seed=1).fold_seed("VGG16", 1, 1) != protocol.fold_seed("VGG16", 1, 1)


def test_vgg_has_a_rate_of_its_own_until_one_is_given_for_all():
    protocol = Protocol()
    assert protocol.learning_rate_of("Modified-VGG19") < protocol.learning_rate_of("ResNet50")
    assert protocol.learning_rate_of("Residual-VGG19") == protocol.learning_rate_of("VGG19")
    assert protocol.with_learning_rate(0.01).learning_rate_of("VGG19") == 0.01


def test_the_largest_networks_take_smaller_batches_until_one_size_is_given_for_all():
    protocol = Protocol()
    assert protocol.batch_size_of("Modified-EfficientNetB7") < protocol.batch_size_of("EfficientNetB5")
    assert protocol.batch_size_of("EfficientNetB5") == protocol.batch_size
    assert protocol.with_batch_size(8).batch_size_of("EfficientNetB7") == 8


def test_the_shipped_experiment_can_be_continued():
    """Its protocol is still spelled as it was when it was named."""
    (file,) = (REPOSITORY / "results" / "measured").glob("sars-cov-2-ct-128px-40-epochs/experiments.csv")
    (row,) = csv.DictReader(file.open())
    assert json.loads(row["protocol"]) == Protocol(size=128, epochs=40).with_batch_size(16).identity()


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"folds": 1},
        {"size": 16},
        {"batch_size": 0},
        {"backbone_batch_sizes": {"VGG16": 0}},
        {"learning_rate": 0.0},
        {"dropout": 1.0},
        {"split": "patient"},
        {"seed": -1},
    ],
)
def test_values_outside_their_range_are_refused(wrong):
    with pytest.raises(ProtocolError, match="Expected"):
        Protocol(**wrong)


def test_networks_are_chosen_by_name_family_variant_and_glob():
    assert select_networks(["vgg16"]) == ("VGG16",)
    assert select_networks(["VGG"]) == ("VGG16", "VGG19", "Modified-VGG16", "Modified-VGG19")
    assert len(select_networks(["modified"])) == 20
    assert select_networks(["Modified-Eff*B0,xception", "Xception"]) == ("Modified-EfficientNetB0", "Xception")
    with pytest.raises(ModelError, match="VGG16"):
        select_networks(["VGG17"])
    with pytest.raises(ModelError, match="at least one"):
        select_networks([" , "])


def test_networks_outside_the_study_are_chosen_by_patterns_of_their_own():
    residual = tuple(f"Residual-{spec.name}" for spec in zoo.MODELS.values() if spec.variant == "base")
    for pattern in ("residual", "Residual", "Residual-*", "residual*"):
        assert select_networks([pattern]) == residual
    assert select_networks(["Residual-VGG*"]) == ("Residual-VGG16", "Residual-VGG19")
    assert select_networks(["residual-xception"]) == ("Residual-Xception",)
    assert select_networks(["*", "residual"]) == tuple(zoo.ALL)
    for pattern in ("*", "VGG", "*VGG16", "Res*", "base", "modified"):
        assert set(select_networks([pattern])) <= set(zoo.MODELS), pattern
    with pytest.raises(ModelError, match="Residual-VGG16"):
        select_networks(["Residual-VGG61"])
