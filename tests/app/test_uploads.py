"""The picker with scans: which series, which slice, which window to look through; nothing of it outside the session."""

from __future__ import annotations

import numpy as np
import pytest
from made_up_scans import chest, dicom, nifti, scan, zipped
from streamlit.testing.v1 import AppTest

from covid_core.data.window import MEDIASTINUM, to_grey
from covid_core.ui import uploads

DICOM, ZIP, NIFTI = "application/dicom", "application/zip", "application/gzip"


def page() -> None:
    """The picker and the slice, and in the session's state what a network would be given."""
    import streamlit as st

    from covid_core.ui.choices import arrive
    from covid_core.ui.slices import pick_slice
    from covid_core.ui.windows import draw_slice

    arrive("test")
    chosen = pick_slice()
    draw_slice(chosen)
    st.session_state["seen"] = (chosen.digest, chosen.pixels)


@pytest.fixture
def app() -> AppTest:
    return AppTest.from_function(page, default_timeout=60).run()


def upload(app: AppTest, *files: tuple[str, bytes, str]) -> AppTest:
    app.file_uploader(key="upload").set_value(list(files)).run()
    assert not app.exception, [one.value for one in app.exception]
    return app


def as_files(contents: list[bytes]) -> list[tuple[str, bytes, str]]:
    return [(f"{number}.dcm", data, DICOM) for number, data in enumerate(contents)]


def captions(app: AppTest) -> str:
    return " ".join(caption.value for caption in app.caption)


def seen(app: AppTest) -> np.ndarray:
    return app.session_state["seen"][1]


@pytest.mark.parametrize("way", ["files", "zip"])
def test_a_series_opens_in_its_middle_and_is_walked_from_head_to_feet(app, way):
    files = as_files(scan(5))
    if way == "zip":
        files = [("scan.zip", zipped([(name, data) for name, data, _ in files]), ZIP)]
    else:
        files = files[::-1]
    upload(app, *files)
    slider = app.slider(key="slice_number")
    assert (slider.min, slider.max, slider.value) == (1, 5, 3)
    assert app.selectbox(key="slice_or_upload").value == "Uploaded slice"
    assert "upload_series" not in [box.key for box in app.selectbox]
    for number in range(1, 6):
        app.slider(key="slice_number").set_value(number).run()
        np.testing.assert_array_equal(seen(app), to_grey(chest(seed=number - 1)))
        assert f"{number - 1}.dcm, slice {number} of 5" in captions(app)
    assert not app.warning


def test_of_several_series_one_is_chosen(app):
    volume = np.stack([chest(40, 48, seed).T for seed in range(4)], axis=-1)
    files = as_files([*scan(3, SeriesInstanceUID="1.2.3"), *scan(2, SeriesInstanceUID="1.2.4")])
    upload(app, *files, ("brain*.nii.gz", nifti(volume, packed=True), NIFTI))
    box = app.selectbox(key="upload_series")
    assert box.options == ["DICOM series 1, 3 slices", "DICOM series 2, 2 slices", "Volume brain*.nii.gz, 4 slices"]
    assert app.slider(key="slice_number").max == 3
    box.set_value(app.session_state["uploaded_slices"].series[2].key).run()
    assert not app.exception
    assert app.slider(key="slice_number").max == 4
    assert seen(app).shape == (40, 48)
    assert not app.query_params
    # taking the volume away leaves the others
    upload(app, *files)
    assert len(app.selectbox(key="upload_series").options) == 2


def test_level_and_width_change_the_picture_and_never_what_a_network_is_given(app):
    upload(app, ("1.dcm", dicom(), DICOM))
    digest, pixels = app.session_state["seen"]
    np.testing.assert_array_equal(pixels, to_grey(chest()))
    shown = str(app.get("image")[0].value)
    assert "for looking only" in captions(app)
    assert "always get the lung window" in captions(app)
    assert (app.slider(key="look_level").value, app.slider(key="look_width").value) == (-600, 1500)
    pictures = {shown}
    for name in ("Mediastinum", "Bone"):
        app.button_group(key="look_preset").set_value(name).run()
        pictures.add(str(app.get("image")[0].value))
    app.slider(key="look_level").set_value(0).run()
    assert app.button_group(key="look_preset").value is None
    app.slider(key="look_level").set_value(int(MEDIASTINUM.level)).run()
    app.slider(key="look_width").set_value(int(MEDIASTINUM.width)).run()
    assert app.button_group(key="look_preset").value == "Mediastinum"
    assert len(pictures) == 3
    assert app.session_state["seen"][0] == digest
    np.testing.assert_array_equal(seen(app), pixels)
    app.button_group(key="look_preset").set_value("Lung").run()
    assert str(app.get("image")[0].value) == shown
    assert not app.query_params


@pytest.mark.parametrize("kind", ["picture", "dicom"])
def test_what_has_no_units_says_so_and_has_no_sliders(app, picture, kind):
    data = picture if kind == "picture" else dicom(RescaleIntercept=0)
    upload(app, (f"slice.{kind}", data, "application/octet-stream"))
    assert "has no Hounsfield units" in captions(app)
    assert not [slider.key for slider in app.slider if slider.key.startswith("look")]
    assert not app.button_group


def test_what_is_refused_is_told_and_the_rest_is_kept(app):
    good = as_files(scan(3))
    wrong = [(f"head-{number}.dcm", dicom(BodyPartExamined="HEAD"), DICOM) for number in range(9)]
    upload(app, *good, *wrong, ("text.txt", b"hello", "text/plain"))
    assert app.slider(key="slice_number").max == 3
    assert len(app.error) == 2
    assert "7 more files" in app.error[0].value
    assert "accepted before" not in captions(app)
    upload(app, *good)
    assert not app.error
    app.session_state["files_in_uploader"] = set()  # as after a visit to another page
    upload(app, ("other.txt", b"other", "text/plain"))
    assert len(app.error) == 1
    assert app.slider(key="slice_number").max == 3
    assert "accepted before" in captions(app)


def test_files_that_come_later_join_their_series(app):
    files = as_files(scan(4))
    upload(app, *files[2:])
    assert app.slider(key="slice_number").max == 2
    upload(app, *files)
    assert app.slider(key="slice_number").max == 4
    app.slider(key="slice_number").set_value(1).run()
    np.testing.assert_array_equal(seen(app), to_grey(chest(seed=0)))


def test_a_long_series_is_thinned_with_a_word(app, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_SLICES", 6)
    upload(app, ("scan.zip", zipped({str(index): data for index, data in enumerate(scan(13))}), ZIP))
    assert app.slider(key="slice_number").max == 5
    assert any("Of 13 slices 5 were taken" in warning.value for warning in app.warning)


def test_warnings_of_series_and_slice_are_shown(app):
    made = scan(6, RescaleIntercept=0)
    del made[2]
    upload(app, *as_files(made))
    told = [warning.value for warning in app.warning]
    assert any("some seem to be missing" in text for text in told)
    assert any("no Hounsfield units" in text for text in told)


def test_a_session_keeps_half_the_bytes_of_units_and_no_file(app):
    upload(app, ("1.dcm", dicom(), DICOM))
    kept = app.session_state["uploaded_slices"]
    assert kept.found[0].slice.hounsfield.dtype == np.int16
    np.testing.assert_array_equal(kept.found[0].slice.hounsfield, chest())
    assert "MARKER" not in repr(kept)


def test_the_uploads_of_one_session_are_not_those_of_another(app):
    upload(app, ("1.dcm", dicom(), DICOM))
    other = AppTest.from_function(page, default_timeout=60).run()
    assert "slice_or_upload" not in [box.key for box in other.selectbox]


def test_forgetting_forgets(app):
    upload(app, *as_files(scan(3)))
    upload(app)
    assert "uploaded_slices" not in app.session_state
    assert "slice_or_upload" not in [box.key for box in app.selectbox]
