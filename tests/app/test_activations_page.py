"""The activations page: layer by number, channels by page, vectors as bars."""

from __future__ import annotations

import json


def captions(app) -> list[str]:
    return [caption for image in app.get("image") for caption in image.captions]


def test_nothing_trained_names_the_command(open_page):
    app = open_page("activations", network="ResNet50")
    assert app.code[0].value == "python train_all.py --networks ResNet50 --rounds 1 --only-fold 1 --dataset FOLDER"
    assert not app.get("image")


def test_the_first_convolution_is_where_it_starts(open_page, trained):
    app = open_page("activations")
    assert app.select_slider(key="layer_number").value.endswith(" stem_conv")
    assert any("32 × 32 × 32" in text.value for text in app.markdown)
    assert captions(app) == ["The slice as the network sees it", "Channels 1 to 4 of 32, row by row"]


def test_layers_are_numbered_from_the_input_layer(open_page, trained):
    options = open_page("activations").select_slider(key="layer_number").options
    assert options[0].startswith("1 ")
    assert [int(option.split()[0]) for option in options] == list(range(1, len(options) + 1))
    assert options[-1].endswith(" probabilities")


def test_more_channels_in_pages(open_page, trained):
    app = open_page("activations", channels="16", page="2")
    assert captions(app)[1] == "Channels 17 to 32 of 32, row by row"
    app.button_group(key="channels").set_value("64").run()
    assert not app.exception
    assert captions(app)[1] == "Channels 1 to 32 of 32, row by row"


def test_one_scale_for_all_channels_is_another_picture_and_says_its_range(open_page, trained):
    app = open_page("activations")
    before = app.get("image")[1].value
    app.toggle(key="own_scale").set_value(False).run()
    assert app.get("image")[1].value != before
    assert any("All channels on one scale: black" in caption.value for caption in app.caption)


def test_the_buttons_step_and_stop_at_the_ends(open_page, trained):
    app = open_page("activations")
    options = app.select_slider(key="layer_number").options
    position = options.index(app.select_slider(key="layer_number").value)
    app.button(key="next").click().run()
    assert app.select_slider(key="layer_number").value == options[position + 1]
    app.select_slider(key="layer_number").set_value(options[0]).run()
    app.button(key="previous").click().run()
    assert app.select_slider(key="layer_number").value == options[0]
    assert not app.exception


def test_the_output_is_a_vector_of_probabilities(open_page, trained):
    app = open_page("activations")
    app.select_slider(key="layer_number").set_value(app.select_slider(key="layer_number").options[-1]).run()
    assert not app.exception
    spec = json.loads(app.get("vega_lite_chart")[0].proto.spec)
    assert spec["encoding"]["y"]["title"] == "Probability"
    assert spec["encoding"]["y"]["scale"]["domain"] == [0, 1]
    assert len(app.get("image")) == 1


def test_nonsense_in_the_address_falls_back(open_page, trained):
    for nonsense in ({"layer_number": "9999 nowhere", "channels": "5", "page": "77"}, {"page": "x", "own_scale": "?"}):
        app = open_page("activations", **nonsense)
        assert captions(app)[1] == "Channels 1 to 4 of 32, row by row"


def test_another_network_has_other_layers(open_page, trained):
    app = open_page("activations")
    app.select_slider(key="layer_number").set_value(app.select_slider(key="layer_number").options[-2]).run()
    app.selectbox(key="network").select("Modified-EfficientNetB0").run()
    assert not app.exception
    assert app.select_slider(key="layer_number").options[-2].endswith("head_dense_32")


def test_a_residual_network_is_offered_and_its_head_is_numbered_on(open_page, trained_residual):
    app = open_page("activations", network="Residual-EfficientNetB0")
    options = app.select_slider(key="layer_number").options
    assert [int(option.split()[0]) for option in options] == list(range(1, len(options) + 1))
    base = open_page("activations", network="EfficientNetB0").select_slider(key="layer_number").options
    assert options[: len(base) - 1] == base[:-1]  # the backbone's numbers are the study's, up to the pooling
    assert [option.split()[1] for option in options[-2:]] == ["head_add_32", "probabilities"]
    app.select_slider(key="layer_number").set_value(options[-2]).run()
    assert not app.exception
    assert any("head_add_32** · Add · 32" in text.value for text in app.markdown)
