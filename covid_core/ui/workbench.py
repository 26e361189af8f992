"""A network to experiment on: maps by every method, perturbed slices, random weights. Imports TensorFlow."""

from __future__ import annotations

import threading
from collections import OrderedDict

import keras
import numpy as np
import streamlit as st

from covid_core.data.lungs import find_lungs
from covid_core.data.slices import resize_slice
from covid_core.explain.forward import Forward
from covid_core.explain.gradcam import GradCam
from covid_core.explain.live import LiveEvidence, judge
from covid_core.explain.methods import Method, make_method
from covid_core.explain.randomisation import randomise
from covid_core.models.library import load_network
from covid_core.ui.networks import ChosenNetwork
from covid_core.ui.slices import ChosenSlice

NETWORKS = 2
RANDOM_SEED = 1
MOST_SEEDS = 10


class Workbench:
    """One trained network and what experiments need of it; holds nothing of a slice.

    Args:
        network: With a card.
    """

    def __init__(self, network: ChosenNetwork):
        self._network = network
        self._model = load_network(network.card)
        self._lock = threading.Lock()
        self._methods: dict[str, Method] = {}
        self._scrambled: keras.Model | None = None
        self._random_cams: dict[str, GradCam] = {}
        self.forward = Forward(self._model)

    def maps(self, method: str, seen: np.ndarray, class_index: int) -> np.ndarray:
        """Raw map float32 ``(h, w)`` of a slice as the network sees it, by a method out of ``METHODS``."""
        with self._lock:
            if method not in self._methods:
                self._methods[method] = make_method(method, self._model)
            return self._methods[method](seen[None, ..., None], class_index)[0]

    def random_map(self, layer: str, seen: np.ndarray, class_index: int) -> np.ndarray:
        """Grad-CAM of the same architecture with random weights, of the first seed whose map is not empty."""
        with self._lock:
            if self._scrambled is None:
                self._scrambled = load_network(self._network.card)
            if layer not in self._random_cams:
                # By position: what nobody named has another name in the second copy that a thread builds.
                position = [one.name for one in self._model.layers].index(layer)
                self._random_cams = {layer: GradCam(self._scrambled, self._scrambled.layers[position].name)}
            for seed in range(RANDOM_SEED, RANDOM_SEED + MOST_SEEDS):
                randomise(self._scrambled, seed)
                raw, _ = self._random_cams[layer](seen[None, ..., None], class_index)
                if raw.any():
                    break
            return raw[0]

    def judge(
        self, chosen: ChosenSlice, raw: np.ndarray, layer: str, class_index: int, cancelled: threading.Event
    ) -> LiveEvidence | None:
        """``live.judge`` of a Grad-CAM map; None if it was cancelled."""
        seen = resize_slice(chosen.pixels, self._network.input_size, self._network.interpolation)
        if cancelled.is_set():
            return None
        return judge(
            chosen.digest,
            seen,
            raw,
            lambda pictures: self.forward(np.asarray(pictures)[..., None])[:, class_index],
            find_lungs(chosen.pixels),
            self.random_map(layer, seen, class_index),
            cancelled.is_set,
        )


class Shelf:
    """The networks experimented on last. Each is a copy of its own, apart from the one that draws live maps."""

    def __init__(self):
        self._lock = threading.Lock()
        self._benches: OrderedDict[str, Workbench] = OrderedDict()

    def get(self, network: ChosenNetwork) -> Workbench:
        """The network's workbench, loaded at the first call; fit for any thread.

        Raises:
            LibraryError: Its weights are missing or damaged.
        """
        with self._lock:
            if network.key not in self._benches:
                self._benches[network.key] = Workbench(network)
                if len(self._benches) > NETWORKS:
                    self._benches.popitem(last=False)
            self._benches.move_to_end(network.key)
            return self._benches[network.key]


@st.cache_resource(show_spinner=False)
def shelf() -> Shelf:
    """The server's."""
    return Shelf()


@st.cache_resource(show_spinner=False)
def turn() -> threading.Lock:
    """One experiment at a time: two at once would only share the same cores."""
    return threading.Lock()
