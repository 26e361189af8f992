"""Networks in memory and what they make of a slice. Importing this module starts TensorFlow, which takes seconds."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from functools import partial

import keras
import numpy as np
import pandas as pd
import streamlit as st

from covid_core.data.slices import resize_slice
from covid_core.explain import activation_statistics
from covid_core.explain.activations import ActivationProbe, LayerInfo
from covid_core.explain.gradcam import CamMaps, GradCam
from covid_core.explain.graph import same_layer
from covid_core.models.build import build_model
from covid_core.models.familiarity import FEATURES
from covid_core.models.familiarity_files import load_familiarity
from covid_core.models.library import Card, load_network
from covid_core.ui.admission import check_picture
from covid_core.ui.background import Job, made
from covid_core.ui.chosen import ChosenSeries, ChosenSlice
from covid_core.ui.map_cache import MapCache
from covid_core.ui.networks import RANDOM_SEED, ChosenNetwork
from covid_core.ui.visits import maps_of_layer
from covid_core.ui.workbench import turn

NETWORKS_IN_MEMORY = 4  # two pairs; the largest network has a quarter of a gigabyte of weights
CAMS_PER_NETWORK = 4
BLOCK = 16  # slices of a series in one batch
SESSION_MAP_BYTES = 192 * 2**20
SHARED_MAP_BYTES = 256 * 2**20
DEPTHS_KEPT = 8

_MAPS, _DEPTHS = "activation_maps", "activation_depths"


class LoadedNetwork:
    """One network with its layer list, and Grad-CAM at the layers asked for last. Holds nothing of a slice.

    Args:
        model: As ``build_model`` makes it.
        turn: Held while Grad-CAM is traced: one at a time.
        lock: Held while the network runs.
    """

    def __init__(self, model: keras.Model, turn: threading.Lock, lock: threading.RLock):
        self.model = model
        self._turn = turn
        self._lock = lock
        self._cams: OrderedDict[str, Job[GradCam]] = OrderedDict()
        self._bookkeeping = threading.Lock()
        self.probe = ActivationProbe(model)

    def cam(self, layer: str) -> Job[GradCam]:
        """Grad-CAM at ``layer``, built, traced and run once in the background at the first call."""
        with self._bookkeeping:
            if layer not in self._cams:
                title = f"Tracing Grad-CAM of {self.model.name} at {layer}"
                self._cams[layer] = Job(title, partial(self._warm_cam, layer), self._turn)
                if len(self._cams) > CAMS_PER_NETWORK:
                    self._cams.popitem(last=False)
            self._cams.move_to_end(layer)
            return self._cams[layer]

    def forget(self, layer: str) -> None:
        """Let the next call of ``cam`` begin anew."""
        with self._bookkeeping:
            self._cams.pop(layer, None)

    def _warm_cam(self, layer: str) -> GradCam:
        cam = GradCam(self.model, layer)
        cam.trace()
        with self._lock:
            cam.warm_up()
        return cam


def model_of(network: ChosenNetwork) -> keras.Model:
    """A network in memory, for inference only: sessions share it. The page shows that it is being loaded.

    Raises:
        LibraryError: Its weights are missing or damaged.
    """
    return _loaded(network).model


def layers_of(network: ChosenNetwork) -> tuple[LayerInfo, ...]:
    """The layers of a network, numbered as in the study. The page shows that it is being loaded.

    Raises:
        LibraryError: Its weights are missing or damaged.
    """
    return _loaded(network).probe.layers


def warm_up(network: ChosenNetwork, layer: str) -> None:
    """Load a network and trace Grad-CAM at a layer, in the background; the page shows what is being done.

    Does nothing more where that was done before. ``explain`` does the same by itself.

    Raises:
        LibraryError: Its weights are missing or damaged.
    """
    _warm_cam(_loaded(network), layer)


def cam_layers(layers: tuple[LayerInfo, ...]) -> list[str]:
    """Names of the layers that Grad-CAM can explain, the last first: those with maps of more than one place."""
    return [
        layer.name
        for layer in reversed(layers)
        if layer.is_spatial and layer.kind != "InputLayer" and layer.shape[0] * layer.shape[1] > 1
    ]


def explain(network: ChosenNetwork, chosen: ChosenSlice, layer: str, class_index: int) -> CamMaps:
    """Probabilities and raw Grad-CAM map of one slice, kept in this session with those of its neighbours.

    A series is computed block by block, ``BLOCK`` slices in one batch at the first of them: a move to the next slice
    mostly runs no network, and the first look at a long series does not wait for all of it.

    Args:
        network: Network and weights.
        chosen: The slice, of any size.
        layer: Name out of ``cam_layers``.
        class_index: Position in ``network.classes``.

    Returns:
        As ``GradCam.explain`` gives it for a batch of this one slice.

    Raises:
        LibraryError: Its weights are missing or damaged.
        ModelError: The network gives no finite numbers.
        SliceError: The slice is refused.
    """
    check_picture(chosen)
    cam = _warm_cam(_loaded(network), layer)
    start = chosen.position // BLOCK * BLOCK
    block = _explained(cam, network, network.key, chosen.series, chosen.series.digest, start, layer, class_index)
    return block.of(chosen.position - start)


def activation_maps(network: ChosenNetwork, chosen: ChosenSlice, number: int) -> np.ndarray:
    """What layer ``number`` makes of a slice; the layers looked at last are kept.

    Maps of uploaded slices are kept in their session alone; those of generated ones are shared, so that the pass is
    computed once however many look.

    Returns:
        float32 ``(h, w, c)``, or ``(c,)`` of a layer that gives a vector; read-only.

    Raises:
        LibraryError: Its weights are missing or damaged.
        SliceError: The slice is refused.
    """
    check_picture(chosen)
    loaded = _loaded(network)
    if chosen.uploaded:
        cache = st.session_state.setdefault(_MAPS, MapCache(SESSION_MAP_BYTES, _lock()))
    else:
        cache = _shared_maps()
    return maps_of_layer(loaded.probe, cache, (network.key, chosen.digest), seen_by(network, chosen), number)


def statistics_over_depth(network: ChosenNetwork, chosen: ChosenSlice) -> pd.DataFrame:
    """``activation_statistics.statistics_over_depth``, kept in this session; the page shows that it is being computed.

    Raises:
        LibraryError: Its weights are missing or damaged.
        SliceError: The slice is refused.
    """
    check_picture(chosen)
    loaded, seen, lock = _loaded(network), seen_by(network, chosen), _lock()

    def work() -> pd.DataFrame:
        with lock:
            return activation_statistics.statistics_over_depth(loaded.probe, seen)

    jobs: OrderedDict[tuple, Job[pd.DataFrame]] = st.session_state.setdefault(_DEPTHS, OrderedDict())
    key = (network.key, chosen.digest)

    def job() -> Job[pd.DataFrame]:
        if key not in jobs:
            jobs[key] = Job(f"Asking all {len(loaded.probe.layers)} layers", work, turn())
            if len(jobs) > DEPTHS_KEPT:
                jobs.popitem(last=False)
        return jobs[key]

    return made(job, lambda: jobs.pop(key, None))


def maps_of_layers(network: ChosenNetwork, chosen: ChosenSlice, numbers: Collection[int]) -> dict[int, np.ndarray]:
    """What several layers make of a slice, in one pass; nothing is kept.

    Returns:
        Layer number to float32 ``(h, w, c)``, or ``(c,)`` of a layer that gives a vector.

    Raises:
        LibraryError: Its weights are missing or damaged.
        SliceError: The slice is refused.
    """
    check_picture(chosen)
    loaded = _loaded(network)
    found: dict[int, np.ndarray] = {}

    def look(layer: LayerInfo, maps: np.ndarray) -> None:
        found[layer.number] = maps

    with _lock():
        loaded.probe.visit(seen_by(network, chosen), look, numbers)
    return found


def explain_folds(
    network: ChosenNetwork, cards: Sequence[Card], chosen: ChosenSlice, layer: str, class_index: int
) -> list[CamMaps]:
    """The same as ``explain`` by the same architecture with other trained weights, kept in this session.

    Args:
        network: The network on the page, which ``layer`` is a name in.
        cards: Trained weights of its architecture, one a fold.
        chosen: The slice.
        layer: Name out of ``cam_layers``.
        class_index: Position in ``network.classes``.

    Returns:
        One batch of one slice a card.

    Raises:
        LibraryError: Weights that are missing or damaged.
        SliceError: The slice is refused.
    """
    check_picture(chosen)
    model = model_of(network)
    return [
        _asked(model, card, f"{card.path} {card.sha256}", chosen, chosen.digest, layer, class_index) for card in cards
    ]


def unfamiliar(network: ChosenNetwork, chosen: ChosenSlice) -> str | None:
    """What to say of a slice that lies further from a network's training slices than held-out ones do.

    Returns:
        Sentences; empty where it lies near enough, None where these weights have no such check. Kept in this session.

    Raises:
        LibraryError: Weights or what is known of the training slices are missing or damaged.
    """
    return _unfamiliar(_loaded(network), network, network.key, chosen, chosen.digest) if network.card else None


def seen_by(network: ChosenNetwork, chosen: ChosenSlice) -> np.ndarray:
    """The slice as the network sees it, uint8 ``(input_size, input_size)``."""
    return resize_slice(chosen.pixels, network.input_size, network.interpolation)


# What is made from a slice stays in the session's own cache. Slices go by their digest: Streamlit would hash a sample
# of a large array's values, and two slices that differ elsewhere would get each other's maps.
@st.cache_data(scope="session", max_entries=32, show_spinner=False)
def _explained(
    _cam: GradCam,
    _network: ChosenNetwork,
    network_key: str,
    _series: ChosenSeries,
    digest: str,
    start: int,
    layer: str,
    class_index: int,
) -> CamMaps:
    block = _series.pixels[start : start + BLOCK]
    batch = np.stack([resize_slice(pixels, _network.input_size, _network.interpolation) for pixels in block])
    with _lock():
        return _cam.explain(batch[..., None], class_index)


@st.cache_data(scope="session", max_entries=512, show_spinner=False)
def _unfamiliar(
    _loaded: LoadedNetwork, _network: ChosenNetwork, network_key: str, _chosen: ChosenSlice, digest: str
) -> str | None:
    known = load_familiarity(_network.card)
    if known is None:
        return None
    familiarity, provenance = known
    with _lock():
        features = _loaded.probe.maps(seen_by(_network, _chosen), FEATURES)
    distance = float(familiarity.distances(features[None])[0])
    if distance <= familiarity.limit:
        return ""
    return (
        f"This slice is unlike those that {_network.spec.name} was trained on: in the network's features it lies at a "
        f"distance of {distance:.1f}, and {provenance.percentile:g} % of {provenance.held_out} held-out slices within "
        f"{familiarity.limit:.1f}. Another hospital, scanner or window does that, and so does what is no chest slice; "
        "the scores of this network do not hold for it."
    )


@st.cache_data(scope="session", max_entries=64, show_spinner=False)
def _asked(
    _model: keras.Model,
    _card: Card,
    card_key: str,
    _chosen: ChosenSlice,
    digest: str,
    layer: str,
    class_index: int,
) -> CamMaps:
    seen = resize_slice(_chosen.pixels, _card.input_size, _card.interpolation)
    fold = load_network(_card)  # asked once a slice: a place among those in memory would push out what is looked at
    with _lock():
        return GradCam(fold, same_layer(layer, _model, fold)).explain(seen[None, ..., None], class_index)


def _loaded(network: ChosenNetwork) -> LoadedNetwork:
    def forget() -> None:
        _loading.clear(network, network.key)

    return made(lambda: _loading(network, network.key), forget)


def _warm_cam(loaded: LoadedNetwork, layer: str) -> GradCam:
    return made(lambda: loaded.cam(layer), lambda: loaded.forget(layer))


@st.cache_resource(max_entries=NETWORKS_IN_MEMORY, show_spinner=False)
def _loading(_network: ChosenNetwork, network_key: str) -> Job[LoadedNetwork]:
    turn, lock = _turn(), _lock()  # taken here: the job runs without Streamlit

    def load() -> LoadedNetwork:
        if _network.card:
            return LoadedNetwork(load_network(_network.card), turn, lock)
        keras.utils.set_random_seed(RANDOM_SEED)
        size = _network.input_size
        return LoadedNetwork(build_model(_network.spec.name, (size, size, 1), len(_network.classes)), turn, lock)

    return Job(f"Loading {_network.spec.name}", load, turn)


@st.cache_resource(show_spinner=False)
def _shared_maps() -> MapCache:
    return MapCache(SHARED_MAP_BYTES, _lock())


@st.cache_resource(show_spinner=False)
def _turn() -> threading.Lock:
    """One network made ready at a time: building and tracing are Python, two at once only take twice as long."""
    return threading.Lock()


@st.cache_resource(show_spinner=False)
def _lock() -> threading.RLock:
    """One inference at a time: two at once would only share the same cores, and both need their memory."""
    return threading.RLock()
