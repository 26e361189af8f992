"""Speed of Grad-CAM: over a forward pass of the same network, over tf-keras-vis and over pytorch-grad-cam.

    make benchmark-environment                        # once: pytorch-grad-cam and timm, in .venv-benchmark
    python -m benchmarks.gradcam                      # five networks, 380 px, one slice
    python -m benchmarks.gradcam --networks all --times runs/gradcam-times.csv    # all 40; goes on where it stopped

One table from one run. Each network is timed in turn, all ways once in each round and in an order drawn anew, and the
median over the rounds of each ratio is shown: machines drift, and what ran just before matters; both fall out of ratios
within a round. Each way gets what it can prepare beforehand: compiled functions, warm caches, objects built once. Ours,
as the other two do, includes the map's normalisation and its resizing to the slice.

- forward: the network as a compiled function, slice in, probabilities out.
- upload: from a PNG's bytes to the overlay: read, resize, map, normalise, resize the heat, colour, overlay.
- tf-keras-vis, pytorch-grad-cam: same layer, their defaults otherwise; the second on the architecture of the same name
  in timm with our head, in a process of its own.
"""

from __future__ import annotations

import argparse
import gc
import io
import json
import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from PIL import Image
from rich.console import Console
from rich.table import Table
from tf_keras_vis.gradcam import Gradcam
from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
from tf_keras_vis.utils.scores import CategoricalScore

from covid_core.data.phantom import sample_slices
from covid_core.data.slices import read_slice, resize_slice
from covid_core.explain.gradcam import GradCam
from covid_core.explain.heatmap import colour, normalise, overlay, resize_heat
from covid_core.models import zoo
from covid_core.models.build import HEAD_WIDTHS, build_model
from covid_core.settings import REPOSITORY
from covid_core.training.devices import facts
from covid_core.training.selection import select_networks

NETWORKS = ("EfficientNetB0", "ResNet50", "DenseNet121", "Xception", "VGG16")
OTHER_PYTHON = REPOSITORY / ".venv-benchmark" / "bin" / "python"
PARAMETERS_AGREE = 0.01  # as a share: an architecture of the same name is the same architecture

# ratio -> (its two ways, its goal, whether the goal is the most or the least allowed)
RATIOS = {
    "map / forward": ("map", "forward", 1.15, "most"),
    "tf-keras-vis / map": ("tf-keras-vis", "map", 4.0, "least"),
    "pytorch-grad-cam / map": ("pytorch-grad-cam", "map", 1.0, "least"),
    "upload / forward": ("upload", "forward", 2.0, "most"),
}
MEDIAN_OVER_TF_KERAS_VIS = 6.0  # over the networks


def main() -> None:
    """Measures and prints."""
    flags = argparse.ArgumentParser(description="Speed of Grad-CAM.")
    flags.add_argument("--networks", nargs="+", default=NETWORKS, help="names, families, globs, or all")
    flags.add_argument("--size", type=int, default=380, help="pixels of a network's input")
    flags.add_argument("--upload-size", type=int, default=512, help="pixels of the uploaded PNG")
    flags.add_argument("--rounds", type=int, default=15)
    flags.add_argument("--times", type=Path, help="CSV to keep every timing in; networks found there are not run again")
    flags.add_argument("--other-python", type=Path, default=OTHER_PYTHON, help="with pytorch-grad-cam and timm")
    options = flags.parse_args()
    console = Console(soft_wrap=True, width=max(Console().width, 130))  # the table is wide, a file has 80 columns
    names = select_networks("*" if name == "all" else name for name in options.networks)
    described = ", ".join(facts("float32").values())
    console.print(
        f"{options.size} px, one slice, {options.rounds} rounds, upload {options.upload_size} px: {described}"
    )
    if not options.other_python.exists():
        console.print(
            f"without pytorch-grad-cam: no {options.other_python}; make benchmark-environment", style="yellow"
        )
    times = pd.read_csv(options.times) if options.times and options.times.exists() else pd.DataFrame()
    for name in names:
        if not times.empty and name in set(times["network"]):
            continue
        measured = _measure(name, options, console)
        times = pd.concat([times, measured], ignore_index=True)
        if options.times:
            options.times.parent.mkdir(parents=True, exist_ok=True)
            times.to_csv(options.times, index=False)
        keras.backend.clear_session()
        gc.collect()
        console.print(f"done {name}", style="dim")
    summary = summarise(times)
    console.print(_table(summary))
    for line in verdicts(summary):
        console.print(line)


def summarise(times: pd.DataFrame) -> pd.DataFrame:
    """Medians over the rounds.

    Args:
        times: Columns ``network``, ``round``, ``way`` and ``seconds``.

    Returns:
        A row for each network, in the order of ``times``: median seconds of each way, median of each ratio within a
        round, and the number of rounds; NaN for a way that was not timed.
    """
    rows = {}
    for name, of_network in times.groupby("network", sort=False):
        by_round = of_network.pivot(index="round", columns="way", values="seconds")
        for _, (above, below, *_) in RATIOS.items():
            by_round = by_round.reindex(columns=by_round.columns.union([above, below]))
        ratios = {ratio: by_round[above] / by_round[below] for ratio, (above, below, *_) in RATIOS.items()}
        rows[name] = by_round.assign(**ratios).median()
        rows[name]["rounds"] = len(by_round)
    return pd.DataFrame(rows).T


def verdicts(summary: pd.DataFrame) -> list[str]:
    """One sentence for each goal: how many networks reach it, and which do not.

    Args:
        summary: As ``summarise`` gives it.
    """
    lines = []
    for ratio in RATIOS:
        known = summary[ratio].dropna()
        if known.empty:
            lines.append(f"{ratio}: not measured")
            continue
        missed = [name for name, value in known.items() if not reached(ratio, value)]
        lines.append(
            f"{ratio}: {len(known) - len(missed)} of {len(known)} reach {_goal(ratio)}, median {known.median():.2f}, "
            f"{known.min():.2f} to {known.max():.2f}" + (f"; missed by {', '.join(missed)}" if missed else "")
        )
        if ratio == "tf-keras-vis / map":
            outcome = "reached" if known.median() >= MEDIAN_OVER_TF_KERAS_VIS else "missed"
            lines[-1] += f"; at the median >= {MEDIAN_OVER_TF_KERAS_VIS:g} is {outcome}"
    return lines


def reached(ratio: str, value: float) -> bool:
    """Whether a ratio reaches its goal."""
    *_, goal, bound = RATIOS[ratio]
    return value <= goal if bound == "most" else value >= goal


def _goal(ratio: str) -> str:
    *_, goal, bound = RATIOS[ratio]
    return f"{'<=' if bound == 'most' else '>='} {goal:g}"


def _table(summary: pd.DataFrame) -> Table:
    table = Table(box=None)
    table.add_column("network", no_wrap=True)
    table.add_column("rounds", justify="right", no_wrap=True)
    ways = ("forward", "map", "upload", "tf-keras-vis", "pytorch-grad-cam")
    for way in ways:
        table.add_column(way.replace("-grad", "-\ngrad") + "\nms", justify="right", no_wrap=True)
    for ratio in RATIOS:
        table.add_column(ratio.replace(" / ", " /\n") + f"\n{_goal(ratio)}", justify="right", no_wrap=True)
    for name, row in summary.iterrows():
        milliseconds = ["–" if np.isnan(row[way]) else f"{row[way] * 1000:.0f}" for way in ways]
        ratios = ["–" if np.isnan(row[ratio]) else _mark(ratio, row[ratio]) for ratio in RATIOS]
        table.add_row(str(name), f"{row['rounds']:.0f}", *milliseconds, *ratios)
    return table


def _mark(ratio: str, value: float) -> str:
    return f"{value:.2f}" if reached(ratio, value) else f"[red]{value:.2f} missed[/red]"


def _measure(name: str, options: argparse.Namespace, console: Console) -> pd.DataFrame:
    """Every timing of one network: columns ``network``, ``round``, ``way``, ``seconds``."""
    model = build_model(name, (options.size, options.size, 1))
    ways = _ways(model, options)
    other = OtherSide(options.other_python, name, options.size) if options.other_python.exists() else None
    if other:
        counted = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
        if abs(other.facts["parameters"] / counted - 1) > PARAMETERS_AGREE:
            raise RuntimeError(
                f"Expected {counted:,} parameters as in {name}. Received: {other.facts['parameters']:,} of timm's "
                f"{other.facts['architecture']}, which is another architecture."
            )
        console.print(f"{name} as {other.facts['architecture']}: {other.facts['ran_on']}", style="dim")
        ways["pytorch-grad-cam"] = other.seconds
    try:
        return _rounds(name, ways, options.rounds)
    finally:
        if other:
            other.close()


def _rounds(name: str, ways: dict[str, Callable[[], float]], rounds: int) -> pd.DataFrame:
    for way in ways.values():
        for _ in range(2):
            way()
    order, rng, rows = list(ways), random.Random(0), []
    for number in range(rounds):
        rng.shuffle(order)
        for way in order:
            time.sleep(0.02)  # the threads of the way before spin for a moment before they sleep
            rows.append((name, number, way, ways[way]()))
    return pd.DataFrame(rows, columns=["network", "round", "way", "seconds"])


def _ways(model: keras.Model, options: argparse.Namespace) -> dict[str, Callable[[], float]]:
    """What is timed in this process; each gives its seconds."""
    layer = zoo.get(model.name).cam_layer
    size = (options.size, options.size)
    pixels = sample_slices(options.upload_size)[-1].pixels
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    upload = file.getvalue()
    batch = resize_slice(pixels, options.size)[None, ..., None].astype(np.float32)
    compiled = tf.function(lambda slices: model(slices, training=False)).get_concrete_function(
        tf.TensorSpec(batch.shape, tf.float32)
    )
    cam = GradCam(model, layer)
    visualiser = Gradcam(model, model_modifier=ReplaceToLinear(), clone=True)

    def forward() -> None:
        compiled(tf.constant(batch)).numpy()

    def map_() -> None:
        maps, _ = cam(batch)
        resize_heat(normalise(maps[0]), size)

    def from_upload() -> None:
        chosen = read_slice(upload, "slice.png")
        maps, _ = cam(resize_slice(chosen.pixels, options.size)[None, ..., None])
        heat = resize_heat(normalise(maps[0]), chosen.pixels.shape)
        colour(heat)
        overlay(chosen.pixels, heat)

    def visualised() -> None:
        visualiser(CategoricalScore(1), batch, penultimate_layer=layer, seek_penultimate_conv_layer=False)

    ways = {"forward": forward, "map": map_, "upload": from_upload, "tf-keras-vis": visualised}
    return {way: _timed(run) for way, run in ways.items()}


def _timed(run: Callable[[], None]) -> Callable[[], float]:
    def seconds() -> float:
        started = time.perf_counter()
        run()
        return time.perf_counter() - started

    return seconds


class OtherSide:
    """pytorch-grad-cam in a process of its own; see ``benchmarks/gradcam_torch.py``.

    Args:
        python: Interpreter of its environment.
        name: Network of the zoo.
        size: Pixels of its input.
    """

    def __init__(self, python: Path, name: str, size: int):
        spec = zoo.get(name)
        head = [str(units) for units in HEAD_WIDTHS] if spec.variant == "modified" else []
        command = [python, REPOSITORY / "benchmarks" / "gradcam_torch.py", spec.backbone, "--size", str(size)]
        self._process = subprocess.Popen(
            [*command, "--head", *head], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.facts: dict[str, object] = json.loads(self._answer())

    def seconds(self) -> float:
        """Has it make one map, and gives how long that took there."""
        self._process.stdin.write("map\n")
        self._process.stdin.flush()
        return float(self._answer())

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()

    def _answer(self) -> str:
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"Expected an answer of pytorch-grad-cam. It ended with {self._process.wait()}.")
        return line


if __name__ == "__main__":
    main()
