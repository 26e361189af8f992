"""The activations page: layer by number or block, channels by page and order, comparisons, curves over depth."""

from __future__ import annotations

import json

import pandas as pd
import pyarrow as pa
from streamlit.testing.v1 import AppTest


def caption(app) -> str:
    return next(one.value for one in app.caption if one.value.startswith("Channels "))


def specs(app) -> list[dict]:
    return [json.loads(chart.proto.spec) for chart in app.get("vega_lite_chart")]


def grids(app) -> list[dict]:
    """The charts of channels: those that tell of each tile whether it is dead."""
    return [spec for spec in specs(app) if '"note"' in json.dumps(spec.get("layer", []))]


def clickable(spec) -> bool:
    return any(one["name"] == "channel" for one in spec.get("params", []))


def frames(app) -> list[pd.DataFrame]:
    """The data of all charts."""
    return [
        pa.ipc.open_stream(data.data.data).read_pandas()
        for chart in app.get("vega_lite_chart")
        for data in chart.proto.datasets
    ]


def open_layer(app, ending):
    """Move the slider to the layer whose label ends so."""
    slider = app.select_slider(key="layer_number")
    slider.set_value(next(option for option in slider.options if option.endswith(ending))).run()
    assert not app.exception
    return app


def test_nothing_trained_names_the_command(open_page):
    app = open_page("activations", network="ResNet50")
    assert app.code[0].value == "python train_all.py --networks ResNet50 --rounds 1 --only-fold 1 --dataset FOLDER"
    assert not app.get("image")


def test_the_first_convolution_is_where_it_starts(open_page, trained):
    app = open_page("activations")
    assert app.select_slider(key="layer_number").value.endswith(" stem_conv")
    assert any("32 × 32 × 32" in text.value for text in app.markdown)
    assert caption(app).startswith("Channels 1 to 4 of 32, row by row. ")
    assert "dead on this slice" in caption(app)
    assert [clickable(grid) for grid in grids(app)] == [True]


def test_layers_are_numbered_from_the_input_layer(open_page, trained):
    options = open_page("activations").select_slider(key="layer_number").options
    assert options[0].startswith("1 ")
    assert [int(option.split()[0]) for option in options] == list(range(1, len(options) + 1))
    assert options[-1].endswith(" probabilities")


def test_more_channels_in_pages(open_page, trained):
    app = open_page("activations", channels="16", page="2")
    assert caption(app).startswith("Channels 17 to 32 of 32, row by row")
    app.button_group(key="channels").set_value("64").run()
    assert not app.exception
    assert caption(app).startswith("Channels 1 to 32 of 32, row by row")


def test_one_scale_for_all_channels_is_another_picture_and_its_bar_says_the_range(open_page, trained):
    app = open_page("activations")
    before = json.dumps(grids(app))
    assert "Between each channel's own smallest" in json.dumps(specs(app))
    app.toggle(key="own_scale").set_value(False).run()
    assert json.dumps(grids(app)) != before
    assert "one scale for all channels of the layer" in json.dumps(specs(app))


def test_the_largest_variance_comes_first(open_page, trained):
    app = open_page("activations", sorted_by="Variance, largest first", channels="64")
    assert not caption(app).startswith("Channels 1 to")
    tiles = next(frame for frame in frames(app) if "deviation" in frame)
    assert tiles["deviation"].is_monotonic_decreasing
    assert sorted(tiles["channel"]) == list(range(1, 33))


def test_one_channel_is_opened_by_its_number(open_page, trained):
    app = open_page("activations", channel="7")
    assert app.number_input(key="channel").value == 7
    assert "Activation of channel 7" in json.dumps(specs(app))
    app = open_page("activations", channel="99")
    assert app.number_input(key="channel").value in (1, 32)


def test_a_channel_that_the_next_layer_lacks_falls_back(open_page, trained):
    app = open_page("activations", channel="30")
    open_layer(app, " normalization")  # one channel
    assert app.number_input(key="channel").value == 1


def test_the_slider_over_blocks_jumps_and_follows(open_page, trained):
    app = open_page("activations")
    blocks = app.select_slider(key="layer_block").options
    assert blocks[-1].endswith(" top_activation")
    assert len(blocks) == 18
    app.select_slider(key="layer_block").set_value(blocks[3]).run()
    assert app.select_slider(key="layer_number").value == blocks[3]
    app.button(key="next").click().run()
    assert app.select_slider(key="layer_block").value == blocks[4]
    assert not app.exception


def test_two_slices_stand_on_one_scale_and_can_be_sorted_by_their_difference(open_page, trained):
    app = open_page("activations", view="Two slices")
    assert "Choose a second slice" in app.info[0].value
    app.selectbox(key="second").select("Generated COVID 1").run()
    assert not app.exception
    assert [clickable(grid) for grid in grids(app)] == [False, False], "nothing here opens a channel"
    assert "over both slices" in json.dumps(specs(app))
    app.selectbox(key="sorted_by").select("Difference between the slices, largest first").run()
    assert not app.exception
    most = next(one.value for one in app.caption if "the two slices differ" in one.value)
    first = caption(app).split()[1].rstrip(",")
    assert f"most in channel {first} (" in most
    open_layer(app, " probabilities")
    assert "one number a unit" in app.info[0].value


def test_a_slice_beside_itself_differs_nowhere(open_page, trained):
    app = open_page("activations", view="Two slices", slice="Generated COVID 1", second="Generated COVID 1")
    assert any("differ by 0 on average" in one.value for one in app.caption)


def test_two_networks_meet_at_a_stride(open_page, trained):
    app = open_page("activations", view="Two networks")
    assert app.selectbox(key="second_network").value == "Modified-EfficientNetB0"
    assert app.select_slider(key="stride").options == ["2", "4", "8", "16", "32"]
    assert len(grids(app)) == 2
    app.select_slider(key="stride").set_value("32").run()
    assert not app.exception
    assert sum("top\\_activation" in one.value for one in app.markdown) == 2


def test_curves_run_over_the_depth_of_the_network(open_page, trained):
    app = open_page("activations", view="Over depth", second="Generated COVID 1")
    for _ in range(60):  # it is computed in the background
        if app.get("vega_lite_chart"):
            break
        app.run()
    assert not app.exception
    drawn = specs(app)
    assert len(drawn) == 3
    rows = max(frames(app), key=len)
    assert set(rows["slices"]) == {"Generated COVID 1", app.selectbox(key="slice").value}
    assert app.get("download_button")


def test_playing_asks_for_the_next_layer_once_the_last_one_was_drawn(open_page, trained):
    app = open_page("activations")
    before = app.select_slider(key="layer_number").value
    app.session_state["layer_drawn"] = -1e9  # the page was slow: the time is not counted before this layer stands
    app.toggle(key="play").set_value(True).run()
    assert app.select_slider(key="layer_number").value == before
    assert app.session_state["layer_drawn"] > 0
    app.session_state["layer_step"] = 1  # as the clock of the page does
    app.run()
    assert not app.exception
    options = app.select_slider(key="layer_number").options
    assert app.select_slider(key="layer_number").value == options[options.index(before) + 1]


def test_maps_of_an_upload_stay_in_their_session(open_page, trained, picture):
    first, second = open_page("activations"), open_page("activations")
    first.file_uploader(key="upload").set_value([("mine.png", picture, "image/png")]).run()
    assert not first.exception
    assert first.session_state["activation_maps"].bytes > 0
    assert "activation_maps" not in second.session_state
    assert isinstance(second, AppTest)


def test_the_buttons_step_and_stop_at_the_ends(open_page, trained):
    app = open_page("activations")
    options = app.select_slider(key="layer_number").options
    position = options.index(app.select_slider(key="layer_number").value)
    app.button(key="next").click().run()
    assert app.select_slider(key="layer_number").value == options[position + 1]
    app.select_slider(key="layer_number").set_value(options[0]).run()
    assert app.button(key="previous").disabled
    app.select_slider(key="layer_number").set_value(options[-1]).run()
    assert app.button(key="next").disabled
    app.button(key="previous").click().run()
    assert app.select_slider(key="layer_number").value == options[-2]
    assert not app.exception


def test_the_output_is_a_vector_of_probabilities(open_page, trained):
    app = open_page("activations")
    app.select_slider(key="layer_number").set_value(app.select_slider(key="layer_number").options[-1]).run()
    assert not app.exception
    (spec,) = specs(app)
    assert spec["encoding"]["y"]["title"] == "Probability"
    assert spec["encoding"]["y"]["scale"]["domain"] == [0, 1]


def test_nonsense_in_the_address_falls_back(open_page, trained):
    for nonsense in ({"layer_number": "9999 nowhere", "channels": "5", "page": "77"}, {"page": "x", "own_scale": "?"}):
        app = open_page("activations", **nonsense)
        assert caption(app).startswith("Channels 1 to 4 of 32, row by row")


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
