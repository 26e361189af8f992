"""Speed and memory of the activation explorer, server side: from a click on a layer to the chart that is sent.

    python -m benchmarks.activations                     # five networks, 380 px
    python -m benchmarks.activations --networks all      # all 40

A first visit, with nothing kept, runs the network from the slice up to the layer, sums up its channels and draws the
grid; a step comes from the layer in front of it, as the slider's arrows do, and runs a block at most; a later visit
finds the maps in the session's cache. The layers are spread over the depth, with the last and the largest among them.
Memory is the most that the process holds beyond what it held before one session visits them all (Linux only), and what
its cache then has.
"""

from __future__ import annotations

import argparse
import gc
import threading
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from covid_core.data.phantom import sample_slices
from covid_core.explain.activation_statistics import channel_order, channel_statistics
from covid_core.explain.activations import ActivationProbe, LayerInfo
from covid_core.models.build import build_model
from covid_core.training.devices import facts
from covid_core.training.selection import select_networks
from covid_core.ui.activation_views import COLUMNS, GridChoices, grid_chart, layer_scale
from covid_core.ui.inference import SESSION_MAP_BYTES
from covid_core.ui.map_cache import MapCache
from covid_core.ui.visits import maps_of_layer

NETWORKS = ("EfficientNetB0", "EfficientNetB7", "ResNet152V2", "DenseNet201", "VGG19")
GOALS = {"EfficientNetB0": (1.0, 0.3)}  # seconds of a first visit and of a later one
GOAL = (3.0, 0.6)
SESSIONS = 10
GRID = GridChoices(at_once=64, columns=COLUMNS["64"], own_scale=True, order="variance")


def main() -> None:
    """Measures and prints."""
    flags = argparse.ArgumentParser(description="Speed and memory of the activation explorer.")
    flags.add_argument("--networks", nargs="+", default=NETWORKS, help="names, families, globs, or all")
    flags.add_argument("--size", type=int, default=380, help="pixels of a network's input")
    flags.add_argument("--layers", type=int, default=12, help="layers to visit, beside the largest")
    options = flags.parse_args()
    console = Console(soft_wrap=True, width=max(Console().width, 130))
    console.print(f"{options.size} px, 64 channels at once: {', '.join(facts('float32').values())}")
    visits = [title for kind in ("first visit", "step", "later visit") for title in (kind, "longest")]
    table = Table("network", "layers", *visits, "grown by", "cache", box=None)
    table.add_column("10 sessions, one slice / one session")
    missed = []
    for name in select_networks("*" if name == "all" else name for name in options.networks):
        first, step, later, grown, cached, ratio, count = _measure(name, options)
        goal = GOALS.get(name, GOAL)
        missed += [f"{name} {what}" for what, times, most in zip(("first", "later"), (first, later), goal, strict=True)
                   if max(times) > most]  # fmt: skip
        table.add_row(
            name,
            str(count),
            *(
                f"{1000 * value:.0f} ms"
                for value in (end for times in (first, step, later) for end in (np.median(times), max(times)))
            ),
            f"{grown / 2**20:.0f} MiB",
            f"{cached / 2**20:.0f} MiB",
            f"{ratio:.2f}",
        )
        console.print(f"done {name}", style="dim")
        keras.backend.clear_session()
        gc.collect()
    console.print(table)
    console.print(
        f"Goals: first visit at most 1 s for EfficientNetB0 and 3 s for any network, later ones 0.3 and 0.6 s: "
        f"{'missed by ' + ', '.join(missed) if missed else 'all reached'}."
    )


def _measure(
    name: str, options: argparse.Namespace
) -> tuple[list[float], list[float], list[float], int, int, float, int]:
    probe = ActivationProbe(build_model(name, (options.size, options.size, 1)))
    lock = threading.RLock()
    pixels = sample_slices(options.size)[0].pixels
    layers = _spread([layer for layer in probe.layers[1:] if layer.is_spatial], options.layers)  # not the slice itself
    _visit(probe, MapCache(SESSION_MAP_BYTES, lock), pixels, probe.layers[1])  # libraries' first call
    cache = MapCache(SESSION_MAP_BYTES, lock)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew
    before = _memory("VmRSS")
    for layer in layers:
        _visit(probe, cache, pixels, layer)
    grown = _memory("VmHWM") - before
    first, step, later = [], [], []
    for layer in layers:
        session = MapCache(SESSION_MAP_BYTES, lock)
        first.append(_timed(_visit, probe, session, pixels, layer))
        later.append(_timed(_visit, probe, session, pixels, layer))
        session = MapCache(SESSION_MAP_BYTES, lock)
        maps_of_layer(probe, session, (), pixels, layer.number - 1)
        step.append(_timed(_visit, probe, session, pixels, layer))
    alone = _timed(_visit, probe, MapCache(SESSION_MAP_BYTES, lock), pixels, layers[-1])
    together = _timed(_sessions, probe, MapCache(SESSION_MAP_BYTES, lock), pixels, layers[-1])
    return first, step, later, grown, cache.bytes, together / alone, len(probe.layers)


def _sessions(probe: ActivationProbe, cache: MapCache, pixels: np.ndarray, layer: LayerInfo) -> None:
    """Ten readers open the same layer of a generated slice at once."""
    threads = [threading.Thread(target=_visit, args=(probe, cache, pixels, layer)) for _ in range(SESSIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _visit(probe: ActivationProbe, cache: MapCache, pixels: np.ndarray, layer: LayerInfo) -> None:
    """What the page does for one layer."""
    maps = maps_of_layer(probe, cache, (), pixels, layer.number)
    statistics = channel_statistics(maps)
    channels = channel_order(statistics, GRID.order).tolist()[: GRID.at_once]
    grid_chart(maps, statistics, channels, GRID, layer_scale(statistics)).to_json()


def _spread(layers: list[LayerInfo], count: int) -> list[LayerInfo]:
    """``count`` layers over the depth, the last among them, and the one with most numbers."""
    places = {round(place) for place in np.linspace(0, len(layers) - 1, count)}
    places.add(max(range(len(layers)), key=lambda place: np.prod(layers[place].shape)))
    return [layers[place] for place in sorted(places)]


def _memory(field: str) -> int:
    """Bytes: ``VmRSS`` held now, ``VmHWM`` held at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])


def _timed(work: Callable[..., None], *arguments: object) -> float:
    started = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
