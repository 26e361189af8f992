"""Figures 4 and 5: empty places for what is not trained, maps for what is, and the picture that is downloaded."""

from __future__ import annotations

PAIR = {"figure_networks": ["EfficientNetB0", "Modified-EfficientNetB0"]}


def test_without_trained_networks_the_places_stay_empty(open_page, places):
    app = open_page("figures")
    assert "9 of these 9 networks are not trained here" in app.info[0].value
    assert app.multiselect(key="figure_networks").value[0] == "EfficientNetB5"
    assert app.get("image")
    assert app.get("download_button")
    assert app.toggle(key="random_weights").value is False
    assert not app.warning


def test_trained_networks_are_drawn(open_page, trained):
    """Those that are here stand first where none of the study's choice is."""
    app = open_page("figures")
    assert app.multiselect(key="figure_networks").value == PAIR["figure_networks"]
    assert any("none of them is trained here" in caption.value for caption in app.caption)
    assert not app.info
    assert not app.toggle
    assert app.get("image")


def test_pairs_are_drawn_with_their_intensities(open_page, trained):
    app = open_page("figures", figure="Base and modified (figure 5)", backbones=["EfficientNetB0", "VGG16"])
    assert "1 of these 2 pairs is not trained here" in app.info[0].value
    assert app.get("image")


def test_random_weights_come_on_request_and_under_their_name(open_page, places):
    app = open_page("figures", figure_networks=["EfficientNetB0"])
    app.toggle(key="random_weights").set_value(True).run()
    assert not app.exception
    assert "nothing was learned" in app.warning[0].value


def test_no_network_is_an_empty_state(open_page, places):
    app = open_page("figures")
    app.multiselect(key="figure_networks").set_value([]).run()
    assert "Choose at least one" in app.info[0].value
    assert not app.get("image")


def test_a_view_is_in_its_address(open_page, places):
    app = open_page(
        "figures", figure="Base and modified (figure 5)", negative="Generated COVID 1", maps_of="COVID for both"
    )
    assert app.selectbox(key="negative").value == "Generated COVID 1"
    assert app.query_params["negative"] == "Generated COVID 1"
    assert app.multiselect(key="backbones").value == ["EfficientNetB5", "ResNet50", "DenseNet201", "Xception", "VGG16"]


def test_own_slices_can_take_either_place(open_page, trained, picture):
    app = open_page("figures", **PAIR)
    files = [("mine.png", picture, "image/png"), ("bad.png", b"no picture", "image/png")]
    app.file_uploader(key="upload").set_value(files).run()
    assert not app.exception
    assert len(app.error) == 1
    assert "mine.png" in app.selectbox(key="positive_or_own").options
    app.selectbox(key="positive_or_own").select("mine.png").run()
    assert not app.exception
    assert app.get("image")


def test_slices_uploaded_on_another_page_are_there(open_page, trained, picture):
    app = open_page("gradcam")
    app.file_uploader(key="upload").set_value([("mine.png", picture, "image/png")]).run()
    app.switch_page("pages/figures.py").run()
    assert not app.exception
    assert "mine.png" in app.selectbox(key="positive_or_own").options
