"""A network to experiment on: maps by every method, perturbed slices, random weights. Imports TensorFlow."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

import keras
import numpy as np
import streamlit as st

from covid_core.data.lungs import find_lungs
from covid_core.data.slices import resize_slice
from covid_core.explain.forward import Forward
from covid_core.explain.gradcam import GradCam
from covid_core.explain.graph import same_layer
from covid_core.explain.live import LiveEvidence, judge
from covid_core.explain.methods import Method, make_method
from covid_core.explain.randomisation import randomise
from covid_core.models.library import load_network
from covid_core.ui.chosen import ChosenSlice
from covid_core.ui.networks import ChosenNetwork

NETWORKS = 2
RANDOM_SEED = 1
MOST_SEEDS = 10


class Workbench:
    """One trained network and what experiments need of it; holds nothing of a slice.

    Args:
        network: With a card.
        model: Its network in memory; it is not changed.
    """

    def __init__(self, network: ChosenNetwork, model: keras.Model):
        self._network = network
        self._model = model
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
                self._scrambled = load_network(self._network.card)  # a copy, whose weights are drawn anew
            if layer not in self._random_cams:
                self._random_cams = {layer: GradCam(self._scrambled, same_layer(layer, self._model, self._scrambled))}
            for seed in range(RANDOM_SEED, RANDOM_SEED + MOST_SEEDS):
                randomise(self._scrambled, seed)
                raw, _ = self._random_cams[layer](seen[None, ..., None], class_index)
                if raw.any():
                    break
            return raw[0]

    def judge(
        self, chosen: ChosenSlice, raw: np.ndarray, layer: str, class_index: int, cancelled: Callable[[], bool]
    ) -> LiveEvidence | None:
        """``live.judge`` of a Grad-CAM map; None if it was cancelled."""
        seen = resize_slice(chosen.pixels, self._network.input_size, self._network.interpolation)
        if cancelled():
            return None
        return judge(
            chosen.digest,
            seen,
            raw,
            lambda pictures: self.forward(np.asarray(pictures)[..., None])[:, class_index],
            find_lungs(chosen.pixels),
            self.random_map(layer, seen, class_index),
            cancelled,
        )


class Shelf:
    """What is built around the networks experimented on last."""

    def __init__(self):
        self._lock = threading.Lock()
        self._benches: OrderedDict[str, Workbench] = OrderedDict()

    def get(self, network: ChosenNetwork, model: keras.Model) -> Workbench:
        """The network's workbench, set up at the first call; fit for any thread.

        Args:
            network: With a card.
            model: As ``inference.model_of`` gives it.
        """
        with self._lock:
            if network.key not in self._benches:
                self._benches[network.key] = Workbench(network, model)
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
