"""Speed of a training step: with augmentation, on a fixed batch without it, the textbook way, and in timm.

    python -m benchmarks.training                                        # five networks, 128 px, batch 16
    python -m benchmarks.training --timm-python .venv-benchmark/bin/python   # and timm
    KERAS_BACKEND=jax python -m benchmarks.training --size 380 --batch-size 32 --steps 50 --timm-python python

One table from one run. Each network is measured in turn; the ways alternate in ``--repeats`` rounds, and a ratio is the
median of the rounds' ratios, because machines drift. The textbook way reads, resizes and augments file by file in
Python and feeds ``fit``, as most tutorials do; the slices are the phantom's, written as PNG to a temporary folder. timm
gets a fixed batch, channels last, ``torch.compile``, and the same precision: its input and augmentation cost nothing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

# before JAX starts: its habit of taking three quarters of a GPU at once would leave timm none
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.arithmetic import forward_flops, matrix_peak
from benchmarks.textbook import FileByFile
from covid_core.data.augmentation import Augmentation
from covid_core.data.cache import decoded
from covid_core.data.dataset import load_dataset
from covid_core.data.phantom import write_dataset
from covid_core.data.sources import Dataset
from covid_core.models import zoo
from covid_core.training.batches import Batches
from covid_core.training.devices import default_precision, facts
from covid_core.training.fold import FoldTrainer
from covid_core.training.protocol import Protocol

TIMM_NAMES = {
    "EfficientNetB0": "efficientnet_b0",
    "ResNet50": "resnet50",
    "DenseNet121": "densenet121",
    "Xception": "legacy_xception",
    "VGG16": "vgg16",
}
NOTHING = Augmentation(rotation=0, shear=0, skew=0, flip=False, noise=0)

Way = Callable[[], object]


def main() -> None:
    """Measures and prints."""
    options = _options()
    console = Console(soft_wrap=True)
    described = ", ".join(facts(options.precision).values())
    console.print(f"{options.size} px, batch {options.batch_size}, {options.steps} steps a timing: {described}")
    peak = matrix_peak(options.precision)
    console.print(f"large matrix product: {peak / 1e12:.2f} TFLOP/s")
    table = Table(
        *("network", "step", "images/s", "step / fixed batch", "textbook / step", "timm / step", "of matrix peak"),
        box=None,
    )
    with tempfile.TemporaryDirectory() as folder:
        count = options.steps * options.batch_size
        # neighbouring slices of one patient look alike, which is of no matter to a clock
        root = write_dataset(Path(folder) / "slices", patients=4, slices_per_patient=-(-count // 4), size=512)
        dataset = load_dataset(root)
        pixels = decoded(dataset, options.size, "area", Path(folder) / "cache")
        for name in options.networks:
            speed = _measure(name, options, dataset, pixels)
            table.add_row(
                name,
                f"{speed.step * 1000:.0f} ms",
                f"{options.batch_size / speed.step:.1f}",
                f"{speed.over_fixed:.2f}",
                f"{speed.textbook:.2f}",
                "-" if speed.timm is None else f"{speed.timm:.2f}",
                f"{speed.flops / peak:.0%}",
            )
            console.print(f"done {name}", style="dim")
    console.print(table)


def _options() -> argparse.Namespace:
    flags = argparse.ArgumentParser(description="Speed of a training step.")
    flags.add_argument("--networks", nargs="+", default=tuple(TIMM_NAMES), choices=tuple(zoo.ALL), metavar="NAME")
    flags.add_argument("--size", type=int, default=128)
    flags.add_argument("--batch-size", type=int, default=16)
    flags.add_argument("--steps", type=int, default=6, help="steps in one timing")
    flags.add_argument("--repeats", type=int, default=5)
    flags.add_argument("--precision", choices=("float32", "mixed_bfloat16"), default=default_precision())
    flags.add_argument("--timm-python", help="interpreter of an environment with torch and timm; without it no timm")
    return flags.parse_args()


@dataclass(frozen=True)
class _Speed:
    """Seconds and FLOP/s of one step, and other ways' times over it; timm is None where it was not measured."""

    step: float
    over_fixed: float
    textbook: float
    timm: float | None
    flops: float


def _measure(name: str, options: argparse.Namespace, dataset: Dataset, pixels: np.ndarray) -> _Speed:
    protocol = Protocol(size=options.size).with_batch_size(options.batch_size)
    count = options.steps * options.batch_size
    positions = np.arange(count)
    augmented = FoldTrainer(name, protocol, len(dataset.classes), count, options.precision)
    plain = FoldTrainer(name, replace(protocol, augmentation=NOTHING), len(dataset.classes), count, options.precision)
    own = Batches(pixels, dataset.labels, positions, options.batch_size, seed=0)
    still = _FixedBatch(np.asarray(pixels[: options.batch_size]), dataset.labels[: options.batch_size], options.steps)
    textbook = FileByFile(dataset, positions, options.size, options.batch_size, protocol.augmentation)
    pairs = [(augmented, own), (plain, still), (plain, textbook)]
    ways: list[Way] = [partial(trainer.trainer.fit, data, shuffle=False, verbose=0) for trainer, data in pairs]
    with ExitStack() as processes:
        if options.timm_python and name in TIMM_NAMES:
            ways.append(processes.enter_context(_timm(TIMM_NAMES[name], options)))
        rounds = _rounds(ways, options.repeats)
    step = statistics.median(taken[0] for taken in rounds) / options.steps
    over_fixed, *others = (statistics.median(taken[n] / taken[0] for taken in rounds) for n in range(1, len(ways)))
    return _Speed(
        step=step,
        over_fixed=1 / over_fixed,
        textbook=others[0],
        timm=others[1] if len(others) > 1 else None,
        flops=3 * forward_flops(augmented.network) * options.batch_size / step,  # forward once, backward twice that
    )


def _rounds(ways: list[Way], repeats: int) -> list[list[float]]:
    """Seconds of each way in each round, all of them warm: traced, compiled, memory allotted."""
    for way in ways:
        way()
    return [[_seconds(way) for way in ways] for _ in range(repeats)]


def _seconds(way: Way) -> float:
    started = time.perf_counter()
    way()
    return time.perf_counter() - started


@contextmanager
def _timm(name: str, options: argparse.Namespace) -> Iterator[Way]:
    """The same number of steps in timm, each time it is called; the process lives as long as the context."""
    command = [options.timm_python, "-m", "benchmarks.timm_steps", "--network", name, "--precision", options.precision]
    command += ["--size", str(options.size), "--batch-size", str(options.batch_size), "--steps", str(options.steps)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def steps() -> None:
            process.stdin.write("go\n")
            process.stdin.flush()
            if not process.stdout.readline():
                raise SystemExit(f"timm stopped: {' '.join(command)}")

        if process.stdout.readline().strip() != "ready":
            raise SystemExit(f"timm did not start: {' '.join(command)}")
        yield steps
        process.stdin.close()


class _FixedBatch(keras.utils.PyDataset):
    """The same batch over and over: what a step costs when input costs nothing."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray, steps: int):
        super().__init__()
        self._batch = (pixels, labels.astype(np.int32))
        self._steps = steps

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self._batch


if __name__ == "__main__":
    main()
