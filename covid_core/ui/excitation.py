"""The pattern that excites a channel most, searched for on request. Importing this module starts TensorFlow."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

import keras
import streamlit as st

from covid_core.errors import CovidCoreError
from covid_core.explain.activations import LayerInfo
from covid_core.explain.excitation import STEPS, Excitation, find_excitation
from covid_core.ui.background import Job
from covid_core.ui.errors import error_box, plain
from covid_core.ui.inference import layers_of, model_of
from covid_core.ui.networks import ChosenNetwork
from covid_core.ui.tables import probability_text
from covid_core.ui.workbench import turn

POLL_SECONDS = 3.0  # Streamlit collects garbage after each run, which stops the search: asked each second, it crawled
LEFT_SECONDS = 20.0  # several polls; browsers slow the clock of a hidden tab down
KEPT = 64  # a picture of 380 x 380 is 140 kB
PICTURE_PIXELS = 380

logger = logging.getLogger(__name__)


class Search:
    """One search in the background, given up when no page asks for it any more.

    Args:
        model: The network; let go when the search is over.
        layer: Name of the layer.
        channel: From 0.
        turn: Held while it runs.
    """

    def __init__(self, model: keras.Model, layer: str, channel: int, turn: threading.Lock):
        self.step = 0
        self._asked = time.monotonic()
        self._model: keras.Model | None = model
        self._layer = layer
        self._channel = channel
        self.job: Job[Excitation | None] = Job(f"Exciting {layer}", self._run, turn)

    @property
    def over(self) -> bool:
        """Whether it ended without anything to show: it failed, or was given up."""
        return self.job.state == "done" and (self.job.failed or self.job.result() is None)

    def ask(self) -> None:
        """Say that a page still waits for it."""
        self._asked = time.monotonic()

    def _run(self) -> Excitation | None:
        try:
            return find_excitation(self._model, self._layer, self._channel, on_step=self._note, cancelled=self._is_left)
        finally:
            self._model = None  # what is kept for the picture must not keep the network

    def _note(self, step: int) -> None:
        self.step = step

    def _is_left(self) -> bool:
        return time.monotonic() - self._asked > LEFT_SECONDS


class Searches:
    """The searches of all sessions, by network, layer and channel; those asked for last are kept. For several threads.

    Nothing in them comes from a slice.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._searches: OrderedDict[tuple[str, int, int], Search] = OrderedDict()

    def get(self, key: tuple[str, int, int]) -> Search | None:
        """The search of ``key``, if there is one."""
        with self._lock:
            if key in self._searches:
                self._searches.move_to_end(key)
            return self._searches.get(key)

    def begin(self, key: tuple[str, int, int], model: keras.Model, layer: str, turn: threading.Lock) -> Search:
        """The same, begun where there is none, or only one that ended with nothing to show."""
        with self._lock:
            known = self._searches.get(key)
            if known is None or known.over:
                self._searches[key] = Search(model, layer, key[-1], turn)
                if len(self._searches) > KEPT:
                    self._searches.popitem(last=False)
            self._searches.move_to_end(key)
            return self._searches[key]

    def forget(self, key: tuple[str, int, int], search: Search) -> None:
        """Let the search go, if it is still the one of ``key``."""
        with self._lock:
            if self._searches.get(key) is search:
                del self._searches[key]


@dataclass(frozen=True)
class _Subject:
    """What is to be excited, in words."""

    network: ChosenNetwork
    layer: LayerInfo
    channel: int
    is_output: bool

    @property
    def key(self) -> tuple[str, int, int]:
        return (self.network.key, self.layer.number, self.channel)

    @property
    def noun(self) -> str:
        return "channel" if self.layer.is_spatial else "unit"

    @property
    def name(self) -> str:
        if self.is_output:
            return f"the output {self.network.classes[self.channel]}"
        return f"{self.noun} {self.channel + 1} of {self.layer.name}"

    @property
    def answer(self) -> str:
        if self.is_output:
            return "Probability"
        return "Mean activation" if self.layer.is_spatial else "Activation"

    def value(self, number: float) -> str:
        return probability_text(number) if self.is_output else f"{number:.4g}"


def draw_excitation(network: ChosenNetwork, layer: LayerInfo, channel: int) -> None:
    """Draw a button that starts the search, then how far it is, then what it found.

    The page stays usable meanwhile. A search is made once for all sessions; it goes on as long as a page shows it.

    Args:
        network: The network, of trained or random weights.
        layer: Out of ``inference.layers_of``.
        channel: Channel, or unit of a layer without maps, from 0.

    Raises:
        LibraryError: The network's weights are missing or damaged.
    """
    if layer.kind == "InputLayer":
        st.caption("This layer is the slice itself: a white one excites it most.")
        return
    subject = _Subject(network, layer, channel, layer.number == len(layers_of(network)))
    place = st.empty()
    search = _searches().get(subject.key)
    if search is None:
        pressed = place.button(
            f"Find the pattern that excites this {subject.noun} most",
            key="excite",
            icon=":material/search:",
            help=f"{STEPS} steps from random noise: seconds in a small network, minutes in the largest. The page stays "
            "usable meanwhile.",
        )
        if not pressed:
            return
        with place.container():
            model = model_of(network)
        search = _searches().begin(subject.key, model, layer.name, turn())
        place.empty()
    polled = search.job.state != "done"
    st.fragment(_draw, run_every=POLL_SECONDS if polled else None)(search, subject, polled)


def _draw(search: Search, subject: _Subject, polled: bool) -> None:
    search.ask()
    if search.job.state != "done":
        how_far = f"step {search.step} of {STEPS}" if search.step else "preparing the network"
        if search.job.state == "queued":
            how_far = "waiting for another experiment"
        st.progress(search.step / STEPS, text=f"Looking for what excites {plain(subject.name)} most: {how_far}")
        return
    if polled:
        st.rerun()  # once, of the whole page: it then draws the picture without asking again
    try:
        found = search.job.result()
    except CovidCoreError as error:
        _searches().forget(subject.key, search)
        error_box(error)
    except Exception:  # memory, TensorFlow: the page around it stays usable
        _searches().forget(subject.key, search)
        logger.exception("A search for an exciting pattern failed")
        st.error(
            "The search failed; the server's log says why. The next change on this page offers it again.",
            icon=":material/error:",
        )
    else:
        if found is None:  # no page asked for it for a while
            _searches().forget(subject.key, search)
            st.rerun()
        _show(found, subject)


def _show(found: Excitation, subject: _Subject) -> None:
    if not found.found:
        st.info(
            f"No picture was found that excites {plain(subject.name)}: it answers {subject.value(found.before.mean)} "
            f"to the strongest of {found.tried} random pictures, "
            + (
                f"and {found.steps} steps from there led no higher."
                if found.steps
                else f"and the same to all others. The {subject.noun} may be dead: silent whatever the slice."
            ),
            icon=":material/info:",
        )
        return
    with st.container(width=PICTURE_PIXELS):  # narrower where the window is
        st.image(found.picture, caption=f"What excites {plain(subject.name)}", width="stretch")
    st.caption(" ".join(_sentences(found, subject)))


def _sentences(found: Excitation, subject: _Subject) -> list[str]:
    """What has to be said about a picture, in words."""
    (height, width), before, after = found.picture.shape, found.before, found.after
    lines = [
        f"Drawn by optimisation, nobody's scan: {found.steps} steps from the strongest of {found.tried} random "
        f"pictures of {height} × {width} pixels.",
        f"{subject.answer} {subject.value(before.mean)} → {subject.value(after.mean)}.",
    ]
    if subject.is_output:
        lines.append(f"Log-odds, which the search raises: {before.score:.4g} → {after.score:.4g}.")
    elif before.mean != before.positive or after.mean != after.positive:
        lines.append(
            f"Mean of its positive part, which the search raises above all: {before.positive:.4g} → "
            f"{after.positive:.4g}."
        )
    lines.append(
        f"It is one strong pattern of several and may be no maximum: it shows what drives the {subject.noun}, not what "
        f"the {subject.noun} finds in a slice."
    )
    if subject.network.card is None:
        lines.append("Random weights: nothing was learned, and the pattern is the architecture's alone.")
    return lines


@st.cache_resource(show_spinner=False)
def _searches() -> Searches:
    """The server's."""
    return Searches()
