"""Maps judged against maps that know nothing: where the truth is known, and by the command over a whole data set."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny import CARD_FACTS, tiny_network

from covid_core.data.annotated import DRAWN, FOUND, from_folder, generated, spread
from covid_core.data.phantom import patient_slices, write_dataset
from covid_core.errors import DatasetError
from covid_core.explain import evaluate, verdict
from covid_core.explain.controls import centred_map, random_map, shuffled_map
from covid_core.explain.evaluation import EMPTY, MEASURES, Batch, measure_maps, stream
from covid_core.models import library
from covid_core.results import __main__ as import_command
from covid_core.results.store import ResultsStore

SIZE, GRID = 64, (8, 8)


def lesion_model(lesion, slices):
    """Sees the brightness inside the lesion and nothing else, so that the lesion is the one true map."""
    inside = (slices * lesion).sum(axis=(1, 2))
    return lambda pictures: np.clip((np.asarray(pictures) * lesion).sum(axis=(1, 2)) / inside.max(), 0, 1)


@pytest.fixture(scope="module")
def judged():
    """Each slice's lesion seen by a model of its own; the true map, random ones, shuffled ones, by measure."""
    slices = [one for number in range(0, 40, 2) for one in patient_slices(number, True, 1, SIZE)]
    frames = []
    for at, one in enumerate(slices):
        name = f"{at:02d}.png"
        inputs = one.pixels[None].astype(np.float32)
        batch = Batch([name], inputs, [one.lungs], [one.lesions], lesion_model(one.lesions, inputs))
        true = one.lesions.reshape(8, 8, 8, 8).mean(axis=(1, 3)).astype(np.float32)
        maps = {
            "gradcam": true,
            "gradcam++": random_map(GRID, stream(name, 9)),  # stands for a method that knows nothing
            verdict.RANDOM: random_map(GRID, stream(name, 1)),
            verdict.CENTRED: centred_map((SIZE, SIZE)),
        }
        maps |= {f"{verdict.SHUFFLED} {seed}": shuffled_map(true, stream(name, 2, seed)) for seed in range(1, 6)}
        for method, raw in maps.items():
            values = measure_maps(batch, raw[None])
            frames += [(name, method, measure, value[0]) for measure, value in values.items()]
    measures = pd.DataFrame(frames, columns=["slice", "method", "measure", "value"])
    return measures.assign(subject="model that sees the lesion")


def beats(rows, method=None):
    rows = rows if method is None else rows[rows["method"] == method]
    return dict(zip(rows["measure"], rows["beats"], strict=True))


def test_the_true_map_beats_both_controls_by_every_judged_measure(judged):
    found = beats(verdict.summary(judged), "gradcam")
    assert {name for name, one in MEASURES.items() if one.judged} <= set(found)
    for name, one in MEASURES.items():
        if one.judged:
            assert found[name] == verdict.BOTH, name


def test_a_random_map_beats_nothing(judged):
    found = beats(verdict.summary(judged), "gradcam++")
    assert not [name for name, of in found.items() if of == verdict.BOTH]


def test_the_true_map_shuffled_does_not_beat_the_controls_over_five_seeds(judged):
    rows = verdict.null_summary(judged)
    assert set(rows["seeds"]) == {5}
    assert verdict.BOTH not in set(rows["beats"])
    assert (rows["random_gain_low"] <= 0).all()


def test_an_empty_map_has_no_measures_and_is_counted():
    one = patient_slices(0, True, 1, SIZE)[0]
    inputs = np.repeat(one.pixels[None].astype(np.float32), 2, axis=0)
    batch = Batch(["a", "b"], inputs, [one.lungs] * 2, [one.lesions] * 2, lesion_model(one.lesions, inputs))
    raw = np.zeros((2, *GRID), np.float32)
    raw[1, 2, 2] = 1
    values = measure_maps(batch, raw)
    assert values[EMPTY].tolist() == [1, 0]
    assert all(np.isnan(values[name][0]) for name in MEASURES)
    assert not any(np.isnan(values[name][1]) for name in MEASURES)


def test_without_masks_only_what_needs_them_is_missing():
    one = patient_slices(0, True, 1, SIZE)[0]
    inputs = one.pixels[None].astype(np.float32)
    batch = Batch(["a"], inputs, [None], [one.lesions & False], lesion_model(one.lesions, inputs))
    values = measure_maps(batch, np.ones((1, *GRID), np.float32))
    missing = {name for name in MEASURES if np.isnan(values[name][0])}
    assert missing == {"lungs", "lesion", "pointing", "overlap"}


def test_masks_may_have_another_size_than_the_networks_input():
    one = patient_slices(0, True, 1, 256)[0]
    inputs = np.zeros((1, SIZE, SIZE), np.float32)
    batch = Batch(["a"], inputs, [one.lungs], [one.lesions], lambda pictures: np.full(len(pictures), 0.5))
    values = measure_maps(batch, np.ones((1, *GRID), np.float32))
    assert values["lungs"][0] == pytest.approx(one.lungs.mean())
    assert values["lesion"][0] == pytest.approx(one.lesions.mean())


# ---- data sets ----


def write_png(file, pixels):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)


@pytest.fixture
def flat(tmp_path):
    """Six slices, lesions and lungs in three folders under the same names; the last slice has no lesion."""
    for at, one in enumerate(patient_slices(2, True, 6, SIZE)):
        write_png(tmp_path / "set" / "ct" / f"{at:04d}.png", one.pixels)
        write_png(tmp_path / "set" / "lesions" / f"{at:04d}.png", (one.lesions & (at < 5)).astype(np.uint8) * 255)
        write_png(tmp_path / "set" / "lungs" / f"{at:04d}.png", one.lungs.astype(np.uint8) * 255)
    return tmp_path / "set"


def test_a_flat_folder_with_masks(flat):
    dataset = from_folder(flat / "ct", flat / "lesions", flat / "lungs", neighbours=2)
    assert (dataset.name, len(dataset), dataset.has_lesions, dataset.lungs_are) == ("set/ct", 6, True, DRAWN)
    assert dataset.labels.tolist() == [1] * 6
    assert dataset.groups.tolist() == [0, 0, 1, 1, 2, 2]
    assert dataset.groups_are == "2 neighbouring slices"
    one = dataset.read(0)
    assert one.lesions.any()
    assert (one.lesions & ~one.lungs).sum() == 0
    assert not dataset.read(5).lesions.any()


def test_lungs_are_found_where_nobody_drew_them(flat):
    dataset = from_folder(flat / "ct")
    assert (dataset.lungs_are, dataset.has_lesions, dataset.groups_are) == (FOUND, False, "slice")
    one = dataset.read(2)
    assert one.lesions is None
    assert one.lungs.mean() > 0.1


def test_the_digest_follows_pictures_and_masks(flat):
    with_masks = from_folder(flat / "ct", flat / "lesions").digest
    assert from_folder(flat / "ct").digest != with_masks
    write_png(flat / "lesions" / "0000.png", np.zeros((SIZE, SIZE), np.uint8))
    assert from_folder(flat / "ct", flat / "lesions").digest != with_masks


def test_a_missing_mask_and_one_of_another_size_are_refused(flat):
    write_png(flat / "lesions" / "0001.png", np.zeros((8, 8), np.uint8))
    with pytest.raises(DatasetError, match="size of its slice"):
        from_folder(flat / "ct", flat / "lesions").read(1)
    (flat / "lesions" / "0001.png").unlink()
    with pytest.raises(DatasetError, match=r"mask for each.*0001"):
        from_folder(flat / "ct", flat / "lesions")


def test_class_folders_keep_their_labels(tmp_path):
    root = write_dataset(tmp_path / "phantom", patients=4, slices_per_patient=2, size=SIZE)
    for name in ("masks", "manifest.csv", "phantom.json"):
        path = root / name
        path.rename(tmp_path / name)
    dataset = from_folder(root, tmp_path / "masks" / "lesions", tmp_path / "masks" / "lungs")
    assert sorted(dataset.labels.tolist()) == [0] * 4 + [1] * 4
    assert all(label == name.startswith("COVID/") for label, name in zip(dataset.labels, dataset.names, strict=True))


def test_the_phantom_has_patients_and_truth():
    dataset = generated(patients=4, size=SIZE)
    assert dataset.groups.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    assert dataset.labels.tolist() == [1] * 4 + [0] * 4 + [1] * 4 + [0] * 4
    assert dataset.read(0).lesions.any()
    assert not dataset.read(4).lesions.any()
    assert generated(patients=4, size=SIZE, seed=1).digest != dataset.digest


def test_a_limit_is_spread_over_the_whole_set():
    dataset = generated(patients=3, size=SIZE)
    assert spread(dataset, None) == list(range(12)) == spread(dataset, 99)
    assert spread(dataset, 4) == [0, 4, 7, 11]


# ---- the command ----


@pytest.fixture
def trained(places, monkeypatch):
    """Two folds of a tiny network in the library, loaded as what they are."""
    import keras

    slices = np.zeros((2, 32, 32, 1), np.uint8)
    for fold in (1, 2):
        keras.utils.set_random_seed(fold)
        network = tiny_network("VGG16")
        network.get_layer("probabilities").kernel.assign(5 * network.get_layer("probabilities").kernel)
        facts = CARD_FACTS | {"fold": fold, "classes": ("non-COVID", "COVID")}
        library.save_network(network, places / "networks", f"fold-{fold}", slices, facts)
    monkeypatch.setattr("covid_core.models.build.build_model", tiny_network)
    monkeypatch.setattr("covid_core.explain.evaluate.generated", lambda: generated(patients=4, size=32))
    return places


def run(*arguments):
    return evaluate.main(["--limit", "4", "--seeds", "2", "--methods", "gradcam", "saliency", *arguments])


FAST = ("--methods", "gradcam", "--seeds", "1")


def stored(places) -> pd.DataFrame:
    return ResultsStore(f"sqlite:///{places / 'store.sqlite'}").measures(kind="evaluation")


def test_the_command_measures_everything_and_says_so(trained, capsys):
    assert run("--export", str(trained / "out")) == 0
    text = " ".join(capsys.readouterr().out.split())
    for expected in ("VGG16, Grad-CAM:", "VGG16, SmoothGrad:", "Deletion ↓", "another domain", "random weights"):
        assert expected in text
    measures = stored(trained)
    assert set(measures["method"]) == {
        *("slice", "gradcam", "saliency", "control random", "control random pixels", "control centred"),
        *("gradcam shuffled 1", "gradcam shuffled 2", "gradcam random weights 1", "gradcam random weights 2"),
        "gradcam folds",
    }
    assert measures["slice"].nunique() == 4
    assert not measures.duplicated(["subject", "method", "slice", "measure"]).any()
    assert list((trained / "out").rglob("measures.csv"))


def test_a_stopped_command_goes_on_and_comes_to_the_same_numbers(trained, tmp_path, capsys):
    whole = f"sqlite:///{tmp_path / 'whole.sqlite'}"
    assert run(*FAST, "--store", whole) == 0
    assert run(*FAST, "--time-limit", "0") == evaluate.EXIT_TIME
    assert run(*FAST, "--time-limit", "0") == evaluate.EXIT_TIME
    assert stored(trained)["method"].nunique() == 2
    assert run(*FAST) == 0
    columns = ["subject", "method", "slice", "measure", "value"]
    pd.testing.assert_frame_equal(
        stored(trained)[columns], ResultsStore(whole).measures()[columns], check_exact=False, atol=1e-5
    )


def test_an_evaluation_that_is_extended_is_uneven_until_all_is_measured(trained):
    assert run(*FAST) == 0
    assert verdict.unevenly_measured(stored(trained)) == []
    more = (*FAST, "--limit", "6")
    assert run(*more, "--time-limit", "0") == evaluate.EXIT_TIME
    assert verdict.unevenly_measured(stored(trained)) == ["VGG16"]
    assert run(*more) == 0
    assert verdict.unevenly_measured(stored(trained)) == []


def test_two_networks_leave_and_enter_the_store_as_one_folder(trained, tmp_path):
    import keras

    keras.utils.set_random_seed(3)
    facts = CARD_FACTS | {"fold": 1, "classes": ("non-COVID", "COVID")}
    slices = np.zeros((2, 32, 32, 1), np.uint8)
    library.save_network(tiny_network("EfficientNetB0"), trained / "networks", "other", slices, facts)
    out, other = trained / "out", f"sqlite:///{tmp_path / 'other.sqlite'}"
    assert run("--limit", "2", *FAST, "--export", str(out)) == 0
    assert import_command.main([str(out), "--store", other, "--networks", str(tmp_path / "taken")]) == 0
    assert set(stored(trained)["subject"]) == {"VGG16", "EfficientNetB0"}
    pd.testing.assert_frame_equal(ResultsStore(other).measures(), stored(trained), check_exact=True)


def test_more_methods_add_to_what_is_there(trained, capsys):
    assert run(*FAST) == 0
    before = stored(trained)
    assert run("--seeds", "1", "--methods", "gradcam", "gradcam++") == 0
    after = stored(trained)
    assert set(after["method"]) - set(before["method"]) == {"gradcam++"}
    assert after["study"].nunique() == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--networks", "VGG19"), "Expected trained networks"),
        (("--dataset", "nowhere"), "Expected"),
    ],
)
def test_what_cannot_be_measured_is_refused(trained, capsys, arguments, message):
    assert run(*arguments) == evaluate.EXIT_USAGE
    assert message in capsys.readouterr().out
