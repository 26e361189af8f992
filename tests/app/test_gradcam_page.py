"""The Grad-CAM page: nothing trained, trained networks, uploads good and bad, damaged weights."""

from __future__ import annotations

import shutil

import pytest

from covid_core.models import zoo

PARTS = ("Slice", "Heat map", "Overlay")


def probabilities(app) -> dict[str, float]:
    return {metric.label: float(metric.value) for metric in app.metric}


def pair_table(app):
    """The mask statistic of base and modified network."""
    return next(table.value for table in app.table if "Base" in table.value)


def captions(app) -> list[str]:
    return [caption for image in app.get("image") for caption in image.captions]


def test_nothing_trained_names_the_command_and_draws_nothing(open_page):
    app = open_page("gradcam", network="VGG16")
    assert app.selectbox(key="network").options == list(zoo.ALL)
    assert "VGG16 has no trained weights" in app.info[0].value
    assert app.code[0].value == "python train_all.py --networks VGG16 --rounds 1 --only-fold 1 --dataset FOLDER"
    assert not app.metric
    assert not app.get("image")


def test_random_weights_only_on_demand_and_under_their_name(open_page):
    app = open_page("gradcam", network="VGG16")
    app.toggle(key="random").set_value(True).run(timeout=120)
    assert not app.exception
    assert any("Random weights" in warning.value for warning in app.warning)
    assert sum(probabilities(app).values()) == pytest.approx(1, abs=2e-4)
    assert app.selectbox(key="layer").value == "block5_pool"


def test_a_trained_network_is_the_first_choice(open_page, trained):
    app = open_page("gradcam")
    assert app.selectbox(key="network").value == "EfficientNetB0"
    assert list(probabilities(app)) == ["Probability of non-COVID", "Probability of COVID"]
    assert sum(probabilities(app).values()) == pytest.approx(1, abs=2e-4)
    assert all(any(caption.startswith(part) for caption in captions(app)) for part in PARTS)
    assert app.selectbox(key="layer").value == "top_activation"
    assert "Generated" in app.selectbox(key="slice").value


def test_no_verdict_is_spoken(open_page, trained):
    app = open_page("gradcam")
    text = " ".join(element.value for kind in (app.markdown, app.caption, app.subheader, app.info) for element in kind)
    assert "diagnos" not in text.lower()
    assert "positive" not in text.lower().replace("true positives", "").replace("false positives", "")
    assert all(not metric.delta for metric in app.metric)


def test_folds_of_one_network_can_be_picked(open_page, trained):
    app = open_page("gradcam")
    assert [label.split(" ·")[0] for label in app.selectbox(key="fold").options] == [
        "round 1, fold 1",
        "round 1, fold 2",
    ]
    app.selectbox(key="network").select("Modified-EfficientNetB0").run()
    assert not app.exception
    assert "fold" not in [box.key for box in app.selectbox]


def test_class_and_layer_change_the_map_and_not_the_probabilities(open_page, trained):
    app = open_page("gradcam")
    before, maps = probabilities(app), [image.value for image in app.get("image")]
    app.selectbox(key="layer").select("block2a_expand_activation").run()
    assert not app.exception
    assert probabilities(app) == before
    assert any("32 × 32" in caption for caption in captions(app))
    assert [image.value for image in app.get("image")] != maps
    app.button_group(key="class").set_value("non-COVID").run()
    assert probabilities(app) == before
    assert any(heading.value.startswith("Map for non-COVID") for heading in app.subheader)


def test_a_view_is_in_its_address_and_nonsense_falls_back(open_page, trained):
    app = open_page(
        "gradcam", network="Modified-EfficientNetB0", layer="top_conv", opacity="0.7", slice="Generated COVID 2"
    )
    assert app.selectbox(key="layer").value == "top_conv"
    assert app.slider(key="opacity").value == 0.7
    assert app.selectbox(key="slice").value == "Generated COVID 2"
    app = open_page("gradcam", network="LeNet", layer="no_such_layer", opacity="high", slice="x", **{"class": "y"})
    assert app.selectbox(key="network").value == "EfficientNetB0"
    assert app.selectbox(key="layer").value == "top_activation"
    assert app.slider(key="opacity").value == 0.4


def test_the_statistic_compares_the_pair(open_page, trained):
    app = open_page("gradcam")
    table = pair_table(app)
    assert table.columns.tolist() == ["Base", "Modified"]
    base, modified = (float(value) for value in table.loc["Mean intensity, 0–255"])
    assert 43 <= base <= 171
    assert 43 <= modified <= 171
    assert any("prints no intensity for this backbone" in caption.value for caption in app.caption)
    assert any("trained on the same fold" in caption.value for caption in app.caption)


def test_the_statistic_says_which_half_is_missing(open_page, trained, monkeypatch, tmp_path):
    shutil.copytree(trained / "EfficientNetB0", tmp_path / "half" / "EfficientNetB0")
    monkeypatch.setenv("COVID_NETWORKS", str(tmp_path / "half"))
    app = open_page("gradcam")
    assert any("Modified-EfficientNetB0 has no trained weights" in info.value for info in app.info)
    assert app.metric


def test_a_residual_network_is_compared_with_its_base_as_unpublished(open_page, trained_residual, monkeypatch):
    from covid_core.ui import pair

    monkeypatch.setattr(pair, "MEAN_INTENSITIES", {"EfficientNetB0": (100.0, 90.0)})
    app = open_page("gradcam", network="Modified-EfficientNetB0", mask="Modified")
    assert app.button_group(key="mask").value == "Modified"
    app.selectbox(key="network").select("Residual-EfficientNetB0").run()
    assert not app.exception
    assert app.selectbox(key="layer").value == "top_activation"
    assert [heading.value for heading in app.subheader][-1] == "Base against residual: the mask statistic"
    assert app.button_group(key="mask").value == "Base"
    assert pair_table(app).columns.tolist() == ["Base", "Residual"]
    assert "Published mean intensity" not in pair_table(app).index
    assert [caption.split(",")[0] for caption in captions(app)[-2:]] == ["EfficientNetB0", "Residual-EfficientNetB0"]
    assert any("the residual one takes the modified one's place" in caption.value for caption in app.caption)
    app.button_group(key="mask").set_value("Residual").run()
    assert not app.exception
    app.selectbox(key="network").select("EfficientNetB0").run()
    assert pair_table(app).columns.tolist() == ["Base", "Modified"]
    assert pair_table(app).loc["Published mean intensity"].tolist() == ["100.0000", "90.0000"]


def test_an_upload_is_used_kept_for_the_session_and_stays_out_of_the_address(open_page, trained, picture):
    app = open_page("gradcam")
    before = probabilities(app)
    app.file_uploader(key="upload").set_value(("somebody.png", picture, "image/png")).run()
    assert not app.exception
    assert app.selectbox(key="slice_or_upload").value == "Uploaded slice"
    assert probabilities(app) != before
    assert any("cannot be known" in caption.value for caption in app.caption)
    assert "somebody" not in str(app.query_params)
    app.switch_page("pages/activations.py").run()
    assert app.selectbox(key="slice_or_upload").value == "Uploaded slice"
    assert any(caption.value == "somebody.png" for caption in app.caption)


@pytest.mark.parametrize("content", [b"hello, I am a text", b"\x89PNG\r\n\x1a\n" + bytes(40)], ids=["text", "broken"])
def test_a_bad_upload_gives_a_message_and_loses_nothing(open_page, trained, picture, content):
    app = open_page("gradcam", network="Modified-EfficientNetB0", layer="top_conv")
    app.file_uploader(key="upload").set_value(("good.png", picture, "image/png")).run()
    before = probabilities(app)
    both = [("good.png", picture, "image/png"), ("bad*_name_.png", content, "image/png")]
    app.file_uploader(key="upload").set_value(both).run()
    assert not app.exception
    assert len(app.error) == 1
    assert "Traceback" not in app.error[0].value
    assert probabilities(app) == before
    assert app.selectbox(key="slice_or_upload").value == "Uploaded slice"
    assert app.selectbox(key="network").value == "Modified-EfficientNetB0"
    assert app.selectbox(key="layer").value == "top_conv"
    app.file_uploader(key="upload").set_value(("good.png", picture, "image/png")).run()
    assert not app.error


def test_slices_of_one_scan_are_a_series_with_a_slider(open_page, trained, picture):
    from covid_core.data.phantom import sample_slices
    from covid_core.explain.report import png

    app = open_page("gradcam")
    others = [(f"scan-{n}.png", png(sample_slices(100)[n % 6].pixels), "image/png") for n in (10, 9)]
    app.file_uploader(key="upload").set_value([*others, ("scan-1.png", picture, "image/png")]).run()
    assert not app.exception
    slider = app.slider(key="slice_number")
    assert (slider.min, slider.max, slider.value) == (1, 3, 1)
    named, values = [], []
    for number in (1, 2, 3):
        app.slider(key="slice_number").set_value(number).run()
        named += [caption.value for caption in app.caption if caption.value.startswith("scan-")]
        values.append(probabilities(app)["Probability of COVID"])
    assert named == ["scan-1.png", "scan-9.png", "scan-10.png"]
    app.file_uploader(key="upload").set_value(others[1]).run()
    assert "slice_number" not in [slider.key for slider in app.slider]
    assert probabilities(app)["Probability of COVID"] == pytest.approx(values[1], abs=1e-3)


def test_the_generated_series_is_explained_in_one_batch(open_page, trained, monkeypatch):
    from covid_core.explain.gradcam import GradCam

    batches = []
    plain = GradCam.explain

    def counted(self, slices, *arguments, **options):
        batches.append(len(slices))
        return plain(self, slices, *arguments, **options)

    monkeypatch.setattr(GradCam, "explain", counted)
    app = open_page("gradcam", slice="Generated series")
    before = [image.value for image in app.get("image")]
    app.slider(key="slice_number").set_value(3).run()
    assert not app.exception
    assert [image.value for image in app.get("image")] != before
    assert batches.count(12) == 2  # the pair, each once: moving the slider runs no network


def test_a_dicom_series_is_explained_in_blocks_through_the_lung_window(open_page, trained, monkeypatch):
    import numpy as np
    from made_up_scans import patient, scan, zipped

    from covid_core.data.slices import resize_slice
    from covid_core.data.window import to_grey
    from covid_core.explain.gradcam import GradCam

    batches = []
    plain = GradCam.explain

    def watched(self, slices, *arguments, **options):
        batches.append(np.asarray(slices))
        return plain(self, slices, *arguments, **options)

    monkeypatch.setattr(GradCam, "explain", watched)
    app = open_page("gradcam")
    batches.clear()
    slices = patient(18)
    archive = zipped({f"{number}.dcm": data for number, data in enumerate(scan(slices=slices))})
    app.file_uploader(key="upload").set_value(("scan.zip", archive, "application/zip")).run()
    assert not app.exception
    assert app.slider(key="slice_number").value == 10
    before = probabilities(app), [str(image.value) for image in app.get("image")]
    app.slider(key="look_level").set_value(400).run()
    app.button_group(key="look_preset").set_value("Bone").run()
    assert not app.exception
    assert probabilities(app) == before[0]
    changed = [str(image.value) != old for image, old in zip(app.get("image"), before[1], strict=True)]
    assert changed == [True] + [False] * (len(changed) - 1)  # the slice itself; neither heat map nor overlay
    app.slider(key="slice_number").set_value(18).run()
    assert sorted({len(batch) for batch in batches}) == [2, 16]
    first = next(batch for batch in batches if len(batch) == 16)
    np.testing.assert_array_equal(first[3, ..., 0], resize_slice(to_grey(slices[3].astype(np.float32)), 64))


def test_taking_the_file_away_takes_the_slice_away(open_page, trained, picture):
    app = open_page("gradcam")
    app.file_uploader(key="upload").set_value(("mine.png", picture, "image/png")).run()
    app.file_uploader(key="upload").set_value([]).run()
    assert not app.exception
    assert "slice_or_upload" not in [box.key for box in app.selectbox]
    app.file_uploader(key="upload").set_value(("mine.png", picture, "image/png")).run()
    app.switch_page("pages/activations.py").run()
    app.button(key="remove_upload").click().run()
    assert not app.exception
    assert "slice_or_upload" not in [box.key for box in app.selectbox]


def test_slices_from_before_a_visit_to_another_page_stay_when_files_come_and_go(open_page, trained, picture):
    app = open_page("gradcam")
    app.file_uploader(key="upload").set_value(("first.png", picture, "image/png")).run()
    app.switch_page("pages/activations.py").run()
    bad = [(f"bad-{n}.png", b"no picture", "image/png") for n in (1, 2)]
    app.file_uploader(key="upload").set_value(bad).run()
    assert len(app.error) == 2
    app.file_uploader(key="upload").set_value(bad[1:]).run()
    app.file_uploader(key="upload").set_value([]).run()
    assert not app.error
    assert app.selectbox(key="slice_or_upload").value == "Uploaded slice"
    app.file_uploader(key="upload").set_value(("second.png", picture, "image/png")).run()
    assert app.slider(key="slice_number").max == 2
    app.file_uploader(key="upload").set_value([]).run()
    assert any(caption.value == "first.png" for caption in app.caption)
    app.button(key="remove_upload").click().run()
    assert not app.exception
    assert "slice_or_upload" not in [box.key for box in app.selectbox]


def test_more_slices_than_a_series_may_hold_are_refused_and_taken_once_there_is_room(
    open_page, trained, picture, monkeypatch
):
    from covid_core.ui import uploads

    monkeypatch.setattr(uploads, "MOST_SLICES", 2)
    app = open_page("activations")
    files = [(f"scan-{n}.png", picture, "image/png") for n in (1, 2, 3)]
    app.file_uploader(key="upload").set_value(files).run()
    assert app.slider(key="slice_number").max == 2
    assert "scan-3.png" in app.error[0].value
    app.file_uploader(key="upload").set_value(files[1:]).run()
    assert not app.error
    app.slider(key="slice_number").set_value(2).run()
    assert any(caption.value == "scan-3.png" for caption in app.caption)


def test_uploads_do_not_reach_another_session(open_page, trained, picture):
    first = open_page("gradcam")
    first.file_uploader(key="upload").set_value(("mine.png", picture, "image/png")).run()
    assert "Uploaded slice" not in open_page("gradcam").selectbox(key="slice").options


def test_damaged_weights_are_one_plain_message(open_page, trained, monkeypatch, tmp_path):
    shutil.copytree(trained / "Modified-EfficientNetB0", tmp_path / "damaged" / "Modified-EfficientNetB0")
    weights = next((tmp_path / "damaged").rglob("*.npz"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    monkeypatch.setenv("COVID_NETWORKS", str(tmp_path / "damaged"))
    app = open_page("gradcam")
    assert len(app.error) == 1
    assert "SHA" in app.error[0].value
    assert not app.metric


def test_a_card_that_is_no_card_is_one_plain_message(open_page, places):
    card = places / "networks" / "VGG16" / "x.json"
    card.parent.mkdir(parents=True)
    card.write_text("{}")
    app = open_page("gradcam")
    assert len(app.error) == 1
    assert not app.metric


def test_the_slice_chosen_beside_an_upload_comes_along_to_the_next_page(open_page, trained, picture):
    app = open_page("gradcam")
    app.file_uploader(key="upload").set_value(("somebody.png", picture, "image/png")).run()
    app.selectbox(key="slice_or_upload").select("Generated non-COVID 1").run()
    app.switch_page("pages/activations.py").run()
    assert app.selectbox(key="slice_or_upload").value == "Generated non-COVID 1"


def test_a_second_slice_stands_beside_the_first(open_page, trained):
    app = open_page("gradcam", slice="Generated COVID 1", second="Generated non-COVID 1")
    (note,) = (caption.value for caption in app.caption if "divided by its own maximum" in caption.value)
    assert "maxima are" in note
    pair = [caption for caption in captions(app) if "probability of COVID" in caption]
    assert [caption.split(" ·")[0] for caption in pair] == ["Generated COVID 1", "Generated non-COVID 1"]
    assert pair[0].endswith(f"{probabilities(app)['Probability of COVID']:.4f}")
    assert pair[0] != pair[1]
    app.selectbox(key="second").select("No second slice").run()
    assert not app.exception
    assert not any("probability of COVID" in caption for caption in captions(app))


def test_the_networks_of_other_folds_are_asked_on_demand(open_page, trained):
    app = open_page("gradcam")
    assert not app.dataframe
    app.toggle(key="fold_spread").set_value(True).run()
    assert not app.exception
    table = app.dataframe[0].value
    assert table["Fold"].tolist() == ["round 1, fold 1", "round 1, fold 2"]
    # both cards of this test share one file of weights
    assert [caption.split(",")[0] for caption in captions(app)[:2]] == [
        "Mean of the folds' maps",
        "Standard deviation of the folds' maps",
    ]
    assert set(table["Probability of COVID"]) == {f"{probabilities(app)['Probability of COVID']:.4f}"}
    app.selectbox(key="network").select("Modified-EfficientNetB0").run()
    assert "fold_spread" not in [toggle.key for toggle in app.toggle]  # one fold has no spread


def test_a_report_has_the_pictures_and_parameters_and_no_name_of_a_file(trained):
    import hashlib
    import io
    import json
    import zipfile
    from datetime import UTC, datetime, timedelta

    import keras
    import numpy as np
    from PIL import Image

    from covid_core.explain.gradcam import CamMaps
    from covid_core.models.library import list_networks
    from covid_core.ui.chosen import as_chosen
    from covid_core.ui.downloads import map_report
    from covid_core.ui.networks import ChosenNetwork

    card = list_networks([trained])["EfficientNetB0"][0]
    network = ChosenNetwork(zoo.get("EfficientNetB0"), card)
    result = CamMaps(np.ones((1, 2, 2), np.float32), np.float32([[0.2, 0.8]]), np.float32([1.4]), "margin", "top", 1)
    chosen = as_chosen(np.full((8, 8), 90), "somebody.png", uploaded=True)
    heat = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    content = map_report(network, chosen, result, heat, np.zeros((8, 8, 3), np.uint8), 0.4)
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert archive.namelist() == ["slice.png", "heat.png", "overlay.png", "report.json"]
    report = json.loads(archive.read("report.json"))
    assert abs(datetime.now(UTC) - datetime.fromisoformat(report["made"])) < timedelta(minutes=1)
    assert f"keras {keras.version()}" in report["software"]["versions"]
    assert report["weights"]["sha256"] == card.sha256
    grey = np.asarray(Image.open(archive.open("slice.png")))
    assert report["slice"]["sha256_of_grey_values"] == hashlib.sha256(grey.tobytes()).hexdigest()
    assert report["picture"]["share_over_half_maximum"] == 0.5
    assert report["map"]["probabilities"]["COVID"] == pytest.approx(0.8)
    assert b"somebody" not in content + archive.read("report.json")
