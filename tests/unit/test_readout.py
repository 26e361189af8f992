"""Linear read-outs of layers: features, scores, known truth, chance, memory, and the command over a data set."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_results import EXPERIMENT, fold_result
from PIL import Image
from tiny import CARD_FACTS, bright_or_dark, tiny_network

from covid_core.data.dataset import load_dataset
from covid_core.errors import ModelError, StoreError, StudyError
from covid_core.explain import linear_readout, readout_run
from covid_core.explain.readout import C, ReadoutSettings, ReadoutSlices, read_out, readout_slices
from covid_core.models.library import list_networks, save_network
from covid_core.results.intervals import share_interval
from covid_core.results.metrics import counts
from covid_core.results.readouts import (
    KIND,
    RANDOM,
    TRAINED,
    WEIGHTS,
    layer_key,
    layer_of,
    parts_from,
    readout_studies,
    readout_table,
)
from covid_core.results.records import Predictions, Study
from covid_core.results.store import ResultsStore
from covid_core.results.study_exchange import import_studies
from covid_core.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]
SLICES = 80
LAYERS = 7  # of the tiny network, its scaling not counted


# ---------------------------------------------------------------- features


@pytest.fixture(scope="module")
def branched():
    """Two branches of which one ends later, so that no single layer needs all others."""
    import keras

    layers = keras.layers
    slices = keras.Input((16, 16, 1), name="slice")
    left = layers.Conv2D(3, 3, padding="same", name="left")(slices)
    right = layers.Conv2D(5, 3, strides=2, padding="same", name="right")(slices)
    right = layers.UpSampling2D(2, name="larger")(right)
    x = layers.Concatenate(name="joined")([left, right])
    x = layers.GlobalAveragePooling2D(name="global_pooling")(x)
    model = keras.Model(slices, layers.Dense(2, activation="softmax", name="probabilities")(x))
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 1, weight.shape) for weight in model.get_weights()])
    return model


def test_features_are_the_means_of_each_channel(branched, monkeypatch):
    from covid_core.explain import pooled_channels
    from covid_core.explain.activations import ActivationProbe

    monkeypatch.setattr(pooled_channels, "BATCH_SIZE", 3)  # the last batch is a smaller one
    probe = ActivationProbe(branched)
    channels = pooled_channels.PooledChannels(branched)
    assert channels.layers == probe.layers
    slices = np.random.default_rng(1).integers(0, 256, (7, 16, 16, 1)).astype(np.uint8)
    found = channels.means(slices, channels.layers)
    for layer in probe.layers:
        maps = np.stack([probe.maps(one, layer.number) for one in slices]).astype(np.float64)
        expected = maps.mean(axis=(1, 2)) if layer.is_spatial else maps
        assert found[layer.number].dtype == np.float32
        np.testing.assert_allclose(found[layer.number], expected, rtol=1e-4, atol=1e-5 * np.abs(maps).max())
    np.testing.assert_allclose(found[1][:, 0], slices.mean(axis=(1, 2, 3)), rtol=1e-6)


def test_a_pass_to_some_layers_reaches_all_of_them_and_goes_no_further(branched, monkeypatch):
    from covid_core.explain.pooled_channels import PooledChannels

    channels = PooledChannels(branched)
    slices = np.random.default_rng(2).integers(0, 256, (4, 16, 16, 1)).astype(np.uint8)
    whole = channels.means(slices, channels.layers)
    monkeypatch.setattr(type(branched.get_layer("joined")), "__call__", lambda *_: pytest.fail("not needed"))
    some = [layer for layer in channels.layers if layer.name in ("slice", "left", "larger")]
    found = channels.means(slices, some)
    assert set(found) == {layer.number for layer in some}
    for number, means in found.items():
        np.testing.assert_array_equal(means, whole[number])


def test_groups_keep_the_order_and_stay_within_the_bound(branched):
    from covid_core.explain.pooled_channels import PooledChannels, groups

    layers = PooledChannels(branched).layers
    for most in (4 * 10 * 8, 4 * 10 * 6, 1):
        cut = groups(layers, 10, most)
        assert [layer for group in cut for layer in group] == list(layers)
        for group in cut:
            size = sum(4 * 10 * layer.shape[-1] for layer in group)
            assert size <= most or len(group) == 1
    assert len(groups(layers, 10, 10**6)) == 1
    assert len(groups(layers, 10, 1)) == len(layers)
    assert groups([], 10) == []


# ---------------------------------------------------------------- scores


def some_features(number=160, channels=6, seed=0, shift=0.8):
    """Two overlapping classes on scales that differ by a factor of a million."""
    rng = np.random.default_rng(seed)
    labels = np.arange(number) % 2
    features = rng.normal(0, 1, (number, channels)) + shift * labels[:, None] * (np.arange(channels) < 2)
    return (features * 10.0 ** np.linspace(-3, 3, channels) + 5).astype(np.float32), labels


def test_scores_are_those_of_a_hand_written_pipeline():
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, recall_score, roc_auc_score

    features, labels = some_features()
    fit, held_out = slice(0, 100), slice(100, None)
    found = read_out(features[fit], labels[fit], features[held_out], labels[held_out])

    exact = features.astype(np.float64)
    standard = (exact - exact[fit].mean(axis=0)) / exact[fit].std(axis=0)
    regression = LogisticRegression(C=C, max_iter=1000).fit(standard[fit], labels[fit])
    called = regression.predict(standard[held_out])
    assert (found["tp"] + found["tn"]) / 60 == accuracy_score(labels[held_out], called)
    assert found["tp"] / (found["tp"] + found["fn"]) == recall_score(labels[held_out], called)
    scores = regression.decision_function(standard[held_out])
    assert found["auc"] == pytest.approx(roc_auc_score(labels[held_out], scores))
    assert found["converged"] == 1
    assert 0.6 < found["auc"] < 1


def test_scaling_and_shifting_a_channel_changes_nothing():
    features, labels = some_features()
    moved = features.astype(np.float64) * np.array([3, -2, 1e-4, 7, -1, 1e5]) - 4
    cut = slice(0, 100), slice(100, None)
    before, after = (
        read_out(of[cut[0]], labels[cut[0]], of[cut[1]], labels[cut[1]]) for of in (features.astype(np.float64), moved)
    )
    assert after == pytest.approx(before)


def test_random_labels_are_read_at_chance():
    features, _ = some_features(1200, 40, shift=0)
    labels = np.random.default_rng(5).integers(0, 2, 1200)
    found = read_out(features[:600], labels[:600], features[600:], labels[600:])
    # 600 fair coins stay within this in all but one of 10,000 draws
    assert abs((found["tp"] + found["tn"]) / 600 - 0.5) < 0.08
    assert abs(found["auc"] - 0.5) < 0.1


def test_a_channel_that_never_changes_says_nothing():
    labels = np.arange(60) % 2
    found = read_out(np.full((40, 3), 7.0), labels[:40], np.full((20, 3), 7.0), labels[:20])
    assert found["auc"] == 0.5
    alone = read_out(np.full((40, 3), 7.0), labels[:40], np.full((10, 3), 7.0), np.ones(10, int))
    assert np.isnan(alone["auc"])


# ---------------------------------------------------------------- known truth


def stripes(number=260, size=32, seed=0):
    """Upright stripes are class 1, level ones class 0: phase, width, brightness and contrast say nothing."""
    rng = np.random.default_rng(seed)
    labels = np.arange(number) % 2
    slices = []
    for label in labels:
        place = np.arange(size) / rng.choice([4, 8]) + rng.random()
        wave = rng.uniform(60, 190) + rng.uniform(20, 50) * np.sign(np.sin(2 * np.pi * place))
        picture = np.tile(wave, (size, 1))
        slices.append(picture if label else picture.T)
    return np.clip(np.round(slices), 0, 255).astype(np.uint8)[..., None], labels


def edge_network():
    """Signed differences, whose mean over a slice is that of its borders only, and then their positive part."""
    import keras

    layers = keras.layers
    inputs = keras.Input((32, 32, 1), name="slice")
    x = layers.Conv2D(2, 2, name="differences")(inputs)
    x = layers.BatchNormalization(name="normalised")(x)
    x = layers.ReLU(name="rectified")(x)
    x = layers.GlobalAveragePooling2D(name="global_pooling")(x)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", name="probabilities")(x), name="VGG16")
    across, down = [[-1, 1], [-1, 1]], [[-1, -1], [1, 1]]
    model.get_layer("differences").set_weights([np.stack([across, down], -1)[:, :, None] / 2.0, np.zeros(2)])
    model.get_layer("probabilities").set_weights([np.array([[0.1, -0.1], [-0.2, 0.1]]), np.zeros(2)])
    return model


@pytest.fixture
def card(tmp_path):
    """Of the edge network, as far as a read-out asks."""
    return save_network(edge_network(), tmp_path, "x", np.zeros((2, 32, 32, 1), np.uint8), CARD_FACTS)


NOTHING = {TRAINED: set(), RANDOM: set()}


def curves(steps) -> pd.DataFrame:
    """Accuracy by kind of weights and layer name."""
    rows = pd.concat([step.measures for step in steps if step.measures is not None])
    wide = rows.pivot(index=["method", "slice"], columns="measure", values="value")
    wide["accuracy"] = (wide["tp"] + wide["tn"]) / wide[["tp", "fp", "tn", "fn"]].sum(axis=1)
    return wide


def test_the_curve_rises_in_the_layer_that_makes_the_classes_linear(card):
    pixels, labels = stripes()
    slices = ReadoutSlices(np.arange(160), np.arange(160, 260))
    found = curves(readout_run.read_network(card, pixels, labels, slices, NOTHING, lambda _: edge_network()))
    accuracy = found["accuracy"].loc[TRAINED]
    assert accuracy.index.tolist() == [
        layer_key(number, name)
        for number, name in enumerate(
            ("slice", "differences", "normalised", "rectified", "global_pooling", "probabilities"), 1
        )
    ]
    assert (accuracy.iloc[:3] < 0.7).all()
    assert (accuracy.iloc[3:5] > 0.95).all()
    # the input is the same whatever the weights; the rest is not
    trained, random = (found.drop(columns="accuracy").loc[weights] for weights in WEIGHTS)
    pd.testing.assert_series_equal(trained.iloc[0], random.iloc[0])
    assert not trained["auc"].equals(random["auc"])


def test_a_small_bound_on_memory_changes_no_number(card, monkeypatch):
    from covid_core.explain.pooled_channels import PooledChannels

    pixels, labels = stripes(100)
    slices = ReadoutSlices(np.arange(0, 60), np.arange(60, 100))
    most, held = 4 * 100 * 3, []
    original = PooledChannels.means

    def means(self, part, layers):
        held.append(4 * 100 * sum(layer.shape[-1] for layer in layers))
        return original(self, part, layers)

    monkeypatch.setattr(PooledChannels, "means", means)
    arguments = (card, pixels, labels, slices, NOTHING, lambda _: edge_network())
    whole = curves(readout_run.read_network(*arguments))
    assert max(held) > most
    held.clear()
    small = curves(readout_run.read_network(*arguments, most_bytes=most))
    assert max(held) <= most
    pd.testing.assert_frame_equal(small, whole, check_exact=True)


def test_stored_names_do_not_depend_on_what_was_built_before():
    import keras

    from covid_core.explain.activations import ActivationProbe

    def named() -> list[str]:
        layers = keras.layers
        slices = keras.Input((8, 8, 1), name="slice")
        left, right = layers.Conv2D(2, 3)(slices), layers.Conv2D(2, 3)(slices)
        x = layers.DepthwiseConv2D(3)(layers.Add()([left, right]))
        x = layers.Conv2D(2, 3, name="conv2_block1_3_conv")(layers.Conv2D(2, 1)(x))
        model = keras.Model(slices, layers.Dense(2, name="dense")(layers.Flatten(name="block_1")(x)))
        layers = ActivationProbe(model).layers
        names = readout_run.fresh_names(layers)
        assert list(names) == [layer.number for layer in layers]
        return list(names.values())

    first, second = named(), named()
    assert first == second
    assert set(first) == {
        *("slice", "conv2d", "conv2d_1", "conv2d_2", "add", "depthwise_conv2d"),
        *("conv2_block1_3_conv", "block_1", "dense"),
    }


def test_a_network_without_finite_activations_is_refused_by_name(card):
    broken = edge_network()
    broken.get_layer("differences").set_weights([np.full((2, 2, 1, 2), np.nan), np.zeros(2)])
    pixels, labels = stripes(40)
    slices = ReadoutSlices(np.arange(20), np.arange(20, 40))
    with pytest.raises(ModelError, match=r"layer 2 \(differences\) of VGG16"):
        list(readout_run.read_network(card, pixels, labels, slices, NOTHING, lambda _: broken))


# ---------------------------------------------------------------- store


STUDY = Study(
    kind=KIND,
    dataset="phantom",
    dataset_digest="ab" * 32,
    transform={"size": 64, "interpolation": "area"},
    networks={"VGG16": {"sha256": "1", "round": 1, "fold": 2}},
    settings={"fit": 30, "held_out": 20, "split": "slice"},
    finished="2026-01-01T00:00:00+00:00",
)


def made_up(right: dict[str, list[int]]) -> pd.DataFrame:
    """Of each kind of weights, how many of 10 positive slices are found layer by layer; the 10 others always are."""
    rows = []
    for weights, found in right.items():
        for number, tp in enumerate(found, start=1):
            values = {"tp": tp, "fp": 0, "tn": 10, "fn": 10 - tp, "auc": 0.5 + tp / 20, "channels": 3, "converged": 1}
            values["layers"] = len(found)
            key = {"subject": "VGG16", "method": weights, "slice": layer_key(number, f"block_{number}"), "label": 1}
            rows += [key | {"measure": name, "value": float(value)} for name, value in values.items()]
    return pd.DataFrame(rows)


@pytest.fixture
def store(places) -> ResultsStore:
    return ResultsStore(f"sqlite:///{places / 'store.sqlite'}")


def test_the_table_says_what_was_counted(store):
    store.add_study(STUDY)
    assert readout_table(store, STUDY.id).empty
    assert readout_studies(store).empty
    store.add_measures(STUDY.id, made_up({RANDOM: [0, 0, 0], TRAINED: [0, 5, 10]}))
    table = readout_table(store, STUDY.id)
    assert table["weights"].tolist() == [TRAINED] * 3 + [RANDOM] * 3
    assert table["number"].tolist() == [1, 2, 3] * 2
    row = table.iloc[1]
    assert (row["layer"], row["slices"], row["channels"], row["converged"]) == ("block_2", 20, 3, True)
    assert row["depth"] == pytest.approx(2 / 3)
    assert (row["accuracy"], row["sensitivity"], row["specificity"], row["majority"]) == (0.75, 0.5, 1.0, 0.5)
    assert row["auc"] == 0.75
    # Wilson 1927, eq. for p = 15 / 20 and the two-sided 95 % quantile
    z = 1.959963984540054
    middle, half = (0.75 + z**2 / 40) / (1 + z**2 / 20), z * np.sqrt(0.75 * 0.25 / 20 + z**2 / 1600) / (1 + z**2 / 20)
    assert (row["low"], row["high"]) == pytest.approx((middle - half, middle + half))
    (study,) = readout_studies(store).itertuples()
    assert (study.network, study.sha256, study.round, study.fold, study.size) == ("VGG16", "1", 1, 2, 64)
    assert (study.fit, study.held_out, study.split) == (30, 20, "slice")


def test_a_share_has_an_interval_inside_0_to_1():
    assert share_interval(0, 10).low == 0
    assert share_interval(10, 10).high == 1
    assert share_interval(10, 10).low < 0.75
    assert np.isnan(share_interval(0, 0)).all()
    with pytest.raises(ValueError, match="11"):
        share_interval(11, 10)


@pytest.mark.parametrize(
    ("trained", "random", "expected"),
    [
        ([0, 0, 10, 10], [0, 0, 0, 0], 3),
        ([10, 0, 10, 10], [0, 0, 0, 0], 3),
        ([10, 10, 10, 10], [0, 0, 0, 0], 1),
        ([10, 10, 10, 1], [0, 0, 0, 0], None),
        ([10, 10, 10, 10], [0, 0, 0], None),
    ],
)
def test_where_the_curves_part_for_good(store, trained, random, expected):
    store.add_study(STUDY)
    store.add_measures(STUDY.id, made_up({TRAINED: trained, RANDOM: random}))
    assert parts_from(readout_table(store, STUDY.id)) == expected


def test_a_curve_alone_does_not_part(store):
    store.add_study(STUDY)
    store.add_measures(STUDY.id, made_up({TRAINED: [10]}))
    assert parts_from(readout_table(store, STUDY.id)) is None


def test_layers_are_told_by_their_number():
    assert layer_of(layer_key(17, "conv2_block1_out")) == (17, "conv2_block1_out")
    assert layer_key(17, "x") < layer_key(813, "a")
    with pytest.raises(StoreError, match="layer 017"):
        layer_of("COVID/1.png")


# ---------------------------------------------------------------- the command


@pytest.fixture
def dataset(tmp_path):
    """80 small pictures in two class folders; the positive ones are brighter."""
    pixels, labels = bright_or_dark(SLICES)
    for number, (picture, label) in enumerate(zip(pixels, labels, strict=True)):
        folder = tmp_path / "data" / ("COVID" if label else "non-COVID")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[..., 0]).save(folder / f"{number}.png")
    return load_dataset(tmp_path / "data")


def hold_out(store, dataset):
    """Every fourth slice was tested by fold 2, and the store knows."""
    store.add_experiment(EXPERIMENT)
    paths, labels = dataset.paths[1::4], dataset.binary_labels[1::4]
    predictions = Predictions(paths, labels, labels.astype(np.float32))
    store.add_fold(fold_result(fold=2, predictions=predictions, counts=counts(labels, predictions.probabilities)))


@pytest.fixture
def trained(dataset, places, store, monkeypatch):
    """A tiny network whose card names fold 2, and the store that knows its 20 held-out slices."""
    import keras

    monkeypatch.setattr("covid_core.models.build.build_model", tiny_network)
    hold_out(store, dataset)
    facts = CARD_FACTS | {
        "classes": dataset.classes,
        "dataset_digest": dataset.digest,
        "experiment": EXPERIMENT.id,
        "fold": 2,
    }
    keras.utils.set_random_seed(0)
    return save_network(tiny_network("VGG16"), places / "networks", "r1-f2", bright_or_dark(4)[0], facts)


def run(dataset, *arguments):
    return linear_readout.main(["--dataset", str(dataset.root), *arguments])


def test_it_is_fitted_on_what_the_network_has_seen_and_scored_on_what_it_has_not(trained, dataset, store):
    slices = readout_slices(trained, dataset, store, ReadoutSettings())
    assert [dataset.paths[at] for at in slices.held_out] == list(dataset.paths[1::4])
    assert sorted([*slices.fit, *slices.held_out]) == list(range(SLICES))
    some = readout_slices(trained, dataset, store, ReadoutSettings(fit=30, limit=10))
    assert (len(some.fit), len(some.held_out)) == (30, 10)
    assert set(some.fit) < set(slices.fit)
    assert dataset.binary_labels[some.fit].sum() == 15
    again = readout_slices(trained, dataset, store, ReadoutSettings(fit=30, limit=10, seed=1))
    assert again.fit.tolist() != some.fit.tolist()
    with pytest.raises(StudyError, match="trained on"):
        readout_slices(trained, replace(dataset, digest="another"), store, ReadoutSettings())
    with pytest.raises(StudyError, match=r"covid_core\.results FOLDER"):
        readout_slices(replace(trained, fold=3), dataset, store, ReadoutSettings())
    for wrong in (1, 59):
        with pytest.raises(StudyError, match="limit"):
            readout_slices(trained, dataset, store, ReadoutSettings(fit=wrong))


def test_the_command_stores_a_curve_that_leaves_and_enters_the_store(trained, dataset, store, places, capsys):
    assert run(dataset, "--export", str(places / "out")) == 0
    printed = capsys.readouterr().out
    for expected in ("VGG16", "fitted on 60 slices, scored on 20", "probabilities", "not the level"):
        assert expected in printed
    (study,) = readout_studies(store).itertuples()
    assert (study.network, study.fit, study.held_out) == ("VGG16", 60, 20)
    assert isinstance(study.finished, str)
    table = readout_table(store, study.id)
    assert len(table) == LAYERS * len(WEIGHTS)
    assert set(table["slices"]) == {20}
    assert table["converged"].all()
    assert table["layer"].iloc[:2].tolist() == ["slice", "conv"]
    assert table["accuracy"].iloc[0] == 1  # brighter slices are the positive ones
    assert set(store.measures(study.id)["label"]) == {1}

    fresh = ResultsStore(f"sqlite:///{places / 'fresh.sqlite'}")
    assert import_studies(fresh, places / "out") == len(store.measures())
    pd.testing.assert_frame_equal(readout_table(fresh, study.id), table, check_exact=True)
    pd.testing.assert_frame_equal(readout_studies(fresh), readout_studies(store))


def test_a_stopped_command_reads_nothing_out_twice(trained, dataset, store, tmp_path, monkeypatch, capsys):
    stopped = f"sqlite:///{tmp_path / 'stopped.sqlite'}"
    hold_out(ResultsStore(stopped), dataset)
    assert run(dataset) == 0
    capsys.readouterr()
    calls = []
    monkeypatch.setattr(readout_run, "read_out", lambda *parts: calls.append(list(map(len, parts))) or read_out(*parts))
    for layers in (1, 2):
        assert run(dataset, "--store", stopped, "--time-limit", "0") == linear_readout.EXIT_TIME
        assert len(calls) == layers
    printed = capsys.readouterr().out
    assert "the same command goes on" in printed
    assert "last layer" not in printed  # nothing is concluded from half a curve
    assert "stays above" not in printed
    assert store.studies(KIND)["finished"].notna().all()
    assert ResultsStore(stopped).studies(KIND)["finished"].isna().all()
    assert run(dataset, "--store", stopped) == 0
    assert calls == [[60, 60, 20, 20]] * LAYERS * len(WEIGHTS)
    pd.testing.assert_frame_equal(ResultsStore(stopped).measures(), store.measures(), check_exact=True)
    monkeypatch.setattr(readout_run, "read_network", lambda *_: pytest.fail("read out again"))
    assert run(dataset, "--store", stopped) == 0
    with pytest.raises(pytest.fail.Exception):
        run(dataset, "--store", stopped, "--fit", "30")  # other slices are another study


def test_what_cannot_be_read_out_is_refused(trained, dataset, places, monkeypatch, capsys):
    assert run(dataset, "--networks", "VGG19") == linear_readout.EXIT_USAGE
    assert "VGG19" in capsys.readouterr().out
    assert run(dataset, "--limit", "0") == linear_readout.EXIT_USAGE
    monkeypatch.setenv("COVID_NETWORKS", str(places / "nowhere"))
    assert run(dataset) == linear_readout.EXIT_USAGE
    assert "train_all.py" in capsys.readouterr().out


def test_the_shipped_curves_are_whole_and_end_near_what_the_networks_say_themselves(store):
    import_studies(store, REPOSITORY / "results" / "measured" / "sars-cov-2-ct-128px-40-epochs-readout")
    studies = readout_studies(store).set_index("network")
    cards = {name: cards[0] for name, cards in list_networks([REPOSITORY / "trained"]).items()}
    assert set(studies.index) == set(cards)
    for network, study in studies.iterrows():
        card, table = cards[network], readout_table(store, study["id"])
        assert (study["sha256"], study["held_out"]) == (card.sha256, sum(card.counts))
        assert isinstance(study["finished"], str)
        assert table["converged"].all()
        trained, random = (table[table["weights"] == weights].set_index("number") for weights in WEIGHTS)
        assert trained.index.equals(random.index)
        assert trained.index.tolist() == list(range(1, len(trained) + 1))
        assert trained["depth"].iloc[-1] == 1
        # the grey value of a slice does not depend on a network's weights
        assert trained["accuracy"].iloc[0] == random["accuracy"].iloc[0]
        # a read-out of the two probabilities can move the threshold of 0.5, and little else
        assert trained["accuracy"].iloc[-1] == pytest.approx(card.scores["accuracy"], abs=0.01)


def test_every_readout_command_of_the_readme_is_understood():
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    start = "python -m covid_core.explain.linear_readout "
    commands = [line.split("#")[0] for line in readme.splitlines() if line.startswith(start)]
    assert commands
    for command in commands:
        linear_readout.parser(Settings.from_environment()).parse_args(shlex.split(command.removeprefix(start)))
