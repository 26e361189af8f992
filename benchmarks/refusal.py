"""How often what is no axial chest slice is refused, and how often real slices are.

    python -m benchmarks.refusal                              # generated pictures and those of installed packages
    python -m benchmarks.refusal --data path/to/data          # real slices and volumes too, where they are there
    python -m benchmarks.refusal --data path/to/data --network EfficientNetB0    # and how many are unlike its training

Below ``--data`` are looked for: sars-cov-2-ct, covid-ct and covid19-ct-seg/ct (pictures), nifti and dicom (volumes).
Rules were made on one half of each kind and set, by seed, file, volume or patient;
shown are both, and kinds and sets that no rule was set on (*).
"""

from __future__ import annotations

import argparse
import csv
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.volumes import Volume, dicom_volume, nifti_volume, phantom_volume
from benchmarks.wrong_pictures import (
    FRESH,
    NEVER_TUNED,
    REPORTED,
    TUNED,
    Picture,
    generated,
    other_photographs,
    other_planes,
    panels,
    photographs,
    projections,
)
from covid_core.data.phantom import patient_slices
from covid_core.data.refusal import Verdict, judge_picture
from covid_core.data.slices import read_slice, resize_slice
from covid_core.errors import SliceError
from covid_core.models.library import Card, list_networks
from covid_core.results.intervals import share_interval
from covid_core.settings import Settings

UNTOUCHED = "covid19-ct-seg"
REPOSITORY_GROUPS = Path("results/measured/sars-cov-2-ct-128px-40-epochs/groups.csv")


@dataclass(frozen=True, eq=False)
class Judged:
    """A picture, what was decided about it, and what a network sees of it."""

    kind: str
    name: str
    half: str
    verdict: Verdict
    seen: np.ndarray | None


def main() -> None:
    """Measures and prints."""
    flags = argparse.ArgumentParser(description="Shares of wrong pictures and of real slices that are refused.")
    flags.add_argument("--data", type=Path, help="folder of data sets; generated pictures alone where left out")
    flags.add_argument("--network", help="a trained network: how many lie beyond its limit, too")
    flags.add_argument("--seeds", type=int, default=40, help="of each kind of generated picture")
    flags.add_argument("--every", type=int, default=1, help="take every so many real slices only")
    flags.add_argument("--missed", action="store_true", help="name what was missed, and the real slices refused")
    options = flags.parse_args()
    # a file or a pipe has no width: wide enough for the tables
    console = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 200)
    card = _card(options.network) if options.network else None
    size = card.input_size if card else 0
    wrong = [_judge(one, size) for one in track(list(_wrong(options)), "wrong", console=console, transient=True)]
    real = [_judge(one, size) for one in track(list(_real(options)), "real", console=console, transient=True)]
    unlike = _unlike(card, [*wrong, *real]) if card else None
    away = (None, None) if unlike is None else (unlike[: len(wrong)], unlike[len(wrong) :])
    _print(console, "Pictures that are no axial chest slice", wrong, away[0], options.network)
    _print(console, "Real and generated axial chest slices", real, away[1], options.network)
    if options.missed:
        for one in wrong:
            if one.verdict.accepted and one.half == REPORTED:
                console.print(f"missed: {one.kind}, {one.name}")
        for one in real:
            if not one.verdict.accepted:
                console.print(f"refused: {one.kind}, {one.name}: {one.verdict.reason}")


def _card(name: str) -> Card:
    return list_networks(Settings.from_environment().network_folders)[name][0]


def _judge(one: Picture, size: int) -> Judged:
    """As pages do it; with a size, what a network of that size would be shown too."""
    seen = resize_slice(one.pixels, size) if size else None
    return Judged(one.kind, one.name, one.half, judge_picture(one.pixels, one.hounsfield), seen)


def _unlike(card: Card, items: list[Judged]) -> np.ndarray:
    """Whether each lies beyond the limit of the network's own check."""
    from covid_core.explain.pooled_channels import PooledChannels  # starts TensorFlow
    from covid_core.models.familiarity import FEATURES
    from covid_core.models.familiarity_files import load_familiarity
    from covid_core.models.library import load_network

    known = load_familiarity(card)
    if known is None:
        raise SystemExit(f"{card.key} has no check: python -m covid_core.explain.familiarity --dataset FOLDER")
    channels = PooledChannels(load_network(card))
    (layer,) = (layer for layer in channels.layers if layer.name == FEATURES)
    seen = np.stack([one.seen for one in items])[..., None]
    return known[0].distances(channels.means(seen, [layer])[layer.number]) > known[0].limit


def _print(console: Console, title: str, items: list[Judged], unlike: np.ndarray | None, network: str | None) -> None:
    more = ["far from training"] if unlike is not None else []
    table = Table(
        "kind", "half", "pictures", "refused", *more, "by reason", title=title, box=None, title_justify="left"
    )
    refused = np.array([not one.verdict.accepted for one in items])
    for half in (REPORTED, TUNED):
        kinds = dict.fromkeys(one.kind for one in items)
        for kind in kinds:
            part = np.array([one.kind == kind and one.half == half for one in items])
            if part.any():
                _add_row(table, kind, half, part, refused, unlike, items)
        part = np.array([one.half == half for one in items])
        if part.any():
            _add_row(table, "all", half, part, refused, unlike, items)
    console.print(table)
    if unlike is not None:
        console.print(f"Far from training: beyond the limit in the features of {network}; pages warn of it.")


def _add_row(
    table: Table,
    kind: str,
    half: str,
    part: np.ndarray,
    refused: np.ndarray,
    unlike: np.ndarray | None,
    items: list[Judged],
) -> None:
    reasons = Counter(str(one.verdict.reason) for one in np.array(items, object)[part] if one.verdict.reason)
    star = "*" if kind in NEVER_TUNED or kind == UNTOUCHED else ""
    shares = [refused] if unlike is None else [refused, unlike]
    table.add_row(
        kind + star,
        half,
        str(part.sum()),
        *(_share(int(share[part].sum()), int(part.sum())) for share in shares),
        ", ".join(f"{reason} {count}" for reason, count in reasons.most_common(4)),
    )


def _share(hits: int, count: int) -> str:
    found = share_interval(hits, count)
    return f"{found.mean:.1%} ({found.low:.1%} to {found.high:.1%})"


def _wrong(options: argparse.Namespace) -> Iterator[Picture]:
    yield from generated(range(FRESH, FRESH + options.seeds))
    yield from photographs()
    yield from other_photographs()
    for volume, half in _volumes(options.data):
        real = half == TUNED or "generated" not in volume.name
        yield from other_planes(volume, half, 24 if real else 8)
        yield from projections(volume, half, (-10, -5, 0, 5, 10) if real else (0, 6))
    phantoms = [one.pixels for number in range(10) for one in patient_slices(FRESH + number, number % 2 == 0, 6)]
    yield from panels(phantoms, 10, 60, REPORTED)
    for name, (pictures, halves) in _folders(options.data).items():
        if name == UNTOUCHED:
            continue
        slices = [_pixels(file) for file, half in zip(pictures, halves, strict=True) if half == REPORTED][::6]
        yield from panels(slices, 11, 60, REPORTED)


def _real(options: argparse.Namespace) -> Iterator[Picture]:
    for number in range(FRESH, FRESH + options.seeds):
        for one in patient_slices(number, number % 2 == 0, slices=4):
            yield Picture("generated", f"{one.patient} at {one.position:.2f}", np.float32(one.pixels), REPORTED)
    for name, (files, halves) in _folders(options.data).items():
        for file, half in islice(zip(files, halves, strict=True), None, None, options.every):
            yield Picture(name, file.name, _pixels(file), half)
    for volume, half in _volumes(options.data):
        if "generated" in volume.name:
            continue
        for number, values in enumerate(volume.hounsfield):
            yield Picture(f"every slice of {volume.name}", str(number), Volume.windowed(values), half, values)


def _folders(data: Path | None) -> dict[str, tuple[list[Path], list[str]]]:
    """Data sets of pictures that are there: files, and the half of each by its patient."""
    found = {}
    for name, patients in (("sars-cov-2-ct", REPOSITORY_GROUPS), ("covid-ct", None), (UNTOUCHED, None)):
        folder = data / name if data else None
        if folder is None or not folder.is_dir():
            continue
        if name == UNTOUCHED:
            files = sorted((folder / "ct").glob("*.png"))
            found[name] = (files, [REPORTED] * len(files))
            continue
        with (patients or folder / "patients.csv").open(newline="", encoding="utf-8") as file:
            rows = sorted((row["path"], row["patient"]) for row in csv.DictReader(file))
        halves = [(TUNED, REPORTED)[zlib.crc32(patient.encode()) % 2] for _, patient in rows]
        found[name] = ([folder / path for path, _ in rows], halves)
    return found


def _volumes(data: Path | None) -> Iterator[tuple[Volume, str]]:
    """The NIfTI volume was looked at, the DICOM series not."""
    for number in range(6):
        yield phantom_volume(FRESH + number), REPORTED
    if data is None:
        return
    for file in sorted((data / "nifti").glob("*.nii.gz")):
        if "msk" not in file.name:
            yield nifti_volume(file), TUNED
    if (data / "dicom" / "lung-series").is_dir():
        yield dicom_volume(data / "dicom" / "lung-series"), REPORTED


def _pixels(file: Path) -> np.ndarray:
    try:
        return read_slice(file).pixels
    except SliceError:  # a file that is no slice to the reader: shown as it is, to be judged all the same
        return cv2.imread(str(file), cv2.IMREAD_GRAYSCALE).astype(np.float32)


if __name__ == "__main__":
    main()
