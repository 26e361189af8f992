"""The pattern that excites a channel: a button, how far the search is, the picture, and who shares it."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from covid_core.errors import ModelError

SECONDS = 60


def channel_page() -> None:
    """A page with nothing but a channel."""
    import streamlit as st

    from covid_core.models import zoo
    from covid_core.ui import inference
    from covid_core.ui.excitation import draw_excitation
    from covid_core.ui.networks import ChosenNetwork, trained_networks

    cards = trained_networks()["EfficientNetB0"]
    network = ChosenNetwork(zoo.get("EfficientNetB0"), None if st.checkbox("random") else cards[0])
    layers = inference.layers_of(network)
    name = st.text_input("layer", "stem_conv")
    layer = layers[0] if name == "first" else next(layer for layer in layers if layer.name == name)
    draw_excitation(network, layer, int(st.number_input("channel", 0, 9)))


@pytest.fixture
def searches(trained, monkeypatch):
    """What the server remembers, empty for this test."""
    from covid_core.ui import excitation

    kept, turn = excitation.Searches(), threading.Lock()
    monkeypatch.setattr(excitation, "_searches", lambda: kept)
    monkeypatch.setattr(excitation, "turn", lambda: turn)
    return kept


@pytest.fixture
def fake(searches, monkeypatch):
    """A search that makes 7 steps, waits to be let go, and gives ``fake.result`` or raises it."""
    from covid_core.explain.excitation import Activity, Excitation
    from covid_core.ui import excitation

    class Fake:
        found = Excitation(
            np.full((64, 64), 9, np.uint8),
            Activity(-0.5, 0.25, 0.2),
            Activity(1.5, 1.75, 1.7),
            found=True,
            tried=18,
            steps=100,
        )
        result: object = found
        calls = 0

        def __init__(self):
            self.begun, self.go = threading.Event(), threading.Event()

        def __call__(self, model, layer, channel, on_step, cancelled):
            self.calls += 1
            on_step(7)
            self.begun.set()
            while not self.go.wait(0.01):
                if cancelled():
                    return None
            if isinstance(self.result, Exception):
                raise self.result
            return self.result

    fake = Fake()
    monkeypatch.setattr(excitation, "find_excitation", fake)
    yield fake
    fake.go.set()


def run():
    app = AppTest.from_function(channel_page, default_timeout=120).run()
    assert not app.exception, [one.value for one in app.exception]
    return app


def press(app):
    app.button(key="excite").click().run()
    assert not app.exception, [one.value for one in app.exception]
    return app


def finished(app, searches):
    """The page once the searches are over, however they ended."""
    if progress(app):
        assert all(search.job.wait(SECONDS) for search in searches._searches.values())
        app.run()
    assert not app.exception, [one.value for one in app.exception]
    return app


def text(app):
    return " ".join(one.value for one in [*app.caption, *app.info, *app.markdown])


def progress(app):
    return [one.proto.text for one in app.get("progress")]


def test_the_search_runs_on_request_once_and_is_shared(searches, fake):
    app = run()
    assert app.button(key="excite").label == "Find the pattern that excites this channel most"
    assert not progress(app)
    press(app)
    assert fake.begun.wait(SECONDS)
    app.run()
    assert progress(app) == [r"Looking for what excites channel 1 of stem\_conv most: step 7 of 100"]
    assert not app.button, "there is nothing to press twice"
    app.number_input[0].set_value(1).run()  # the page is usable meanwhile
    assert app.button(key="excite")
    app.number_input[0].set_value(0).run()
    other = run()
    assert progress(other) == progress(app)
    fake.go.set()
    for reader in (finished(app, searches), finished(other, searches), run()):
        (image,) = reader.get("image")
        assert list(image.captions) == [r"What excites channel 1 of stem\_conv"]
        assert not reader.button
        assert "Drawn by optimisation, nobody's scan: 100 steps from the strongest of 18 random" in text(reader)
        assert "Mean activation -0.5 → 1.5." in text(reader)
        assert "positive part, which the search raises above all: 0.25 → 1.75" in text(reader)
        assert "Random weights" not in text(reader)
    assert fake.calls == 1


def test_two_presses_at_once_begin_one_search(searches, fake):
    lock = threading.Lock()
    first = searches.begin(("network", 2, 0), object(), "stem_conv", lock)
    assert fake.begun.wait(SECONDS)
    assert searches.begin(("network", 2, 0), object(), "stem_conv", lock) is first
    other = searches.begin(("network", 2, 1), object(), "stem_conv", lock)
    assert other is not first
    assert other.job.state == "queued"
    fake.go.set()
    assert other.job.wait(SECONDS)
    assert fake.calls == 2
    assert first._model is other._model is None, "a picture that is kept must not keep its network"


def test_only_so_many_searches_are_kept(searches, fake, monkeypatch):
    from covid_core.ui import excitation

    monkeypatch.setattr(excitation, "KEPT", 2)
    fake.go.set()
    for channel in range(3):
        searches.begin(("network", 2, channel), object(), "stem_conv", threading.Lock())
    assert searches.get(("network", 2, 0)) is None
    assert searches.get(("network", 2, 1)) is not None
    searches.begin(("network", 2, 3), object(), "stem_conv", threading.Lock())
    assert searches.get(("network", 2, 1)) is not None, "it was asked for after channel 2"
    assert searches.get(("network", 2, 2)) is None


def test_a_search_that_no_page_shows_is_given_up_and_offered_again(searches, fake, monkeypatch):
    from covid_core.ui import excitation

    app = press(run())
    assert fake.begun.wait(SECONDS)
    ((key, search),) = searches._searches.items()
    clock = [0.0]
    monkeypatch.setattr(excitation, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    search.ask()
    for _ in range(5):  # while a page asks, it goes on
        clock[0] += 0.9 * excitation.LEFT_SECONDS
        assert not search.job.wait(0.05)
        search.ask()
    clock[0] += 1.1 * excitation.LEFT_SECONDS
    assert search.job.wait(SECONDS)
    assert search.over
    app.run()
    assert not app.exception
    assert app.button(key="excite")
    assert searches.get(key) is None


def test_a_failure_is_told_and_the_search_offered_again(searches, fake, caplog):
    fake.go.set()
    fake.result = ModelError("Expected *finite* activations.")
    app = finished(press(run()), searches)
    assert [error.value for error in app.error] == [r"Expected \*finite\* activations."]
    app.run()
    assert not app.error
    fake.result = MemoryError("out of memory")
    app = finished(press(app), searches)
    assert ["server's log" in error.value for error in app.error] == [True]
    assert "out of memory" not in app.error[0].value
    assert "out of memory" in caplog.text
    fake.result = fake.found
    app = finished(press(app.run()), searches)
    assert app.get("image")


def test_a_dead_channel_is_said_to_be_one(searches, fake):
    from dataclasses import replace

    from covid_core.explain.excitation import Activity

    silent = Activity(0.0, 0.0, 0.0)
    fake.go.set()
    fake.result = replace(fake.found, before=silent, after=silent, found=False, steps=0)
    app = finished(press(run()), searches)
    assert not app.get("image")
    assert r"No picture was found that excites channel 1 of stem\_conv" in app.info[0].value
    assert "The channel may be dead" in app.info[0].value
    searches._searches.clear()
    fake.result = replace(fake.result, steps=100)
    app = finished(press(app.run()), searches)
    assert "100 steps from there led no higher" in app.info[0].value


def test_units_outputs_random_weights_and_the_input_have_words_of_their_own(searches, fake):
    from dataclasses import replace

    from covid_core.explain.excitation import Activity

    fake.go.set()
    app = run()
    app.text_input[0].set_value("first").run()
    assert not app.button
    assert "a white one excites it most" in text(app)
    app.text_input[0].set_value("global_pooling").run()
    assert app.button(key="excite").label == "Find the pattern that excites this unit most"
    app = finished(press(app), searches)
    assert " Activation -0.5 → 1.5." in text(app)
    fake.result = replace(fake.found, before=Activity(0.3, 0.3, -0.85), after=Activity(1.0, 1.0, 70.5))
    app.text_input[0].set_value("probabilities").run()
    app.number_input[0].set_value(1).run()
    app = finished(press(app), searches)
    assert list(app.get("image")[0].captions) == ["What excites the output COVID"]
    assert "Probability 0.3000 → > 0.9999. Log-odds, which the search raises: -0.85 → 70.5." in text(app)
    assert "positive part" not in text(app)
    app.checkbox[0].check().run()
    app = finished(press(app), searches)
    assert "Random weights: nothing was learned" in text(app)


def test_a_real_search_raises_the_channel(searches):
    app = finished(press(run()), searches)
    (search,) = searches._searches.values()
    found = search.job.result()
    assert found.found
    assert found.after.positive > found.before.positive
    assert found.picture.shape == (64, 64)
    assert len(app.get("image")) == 1
