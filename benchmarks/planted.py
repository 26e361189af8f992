"""A clean data set of generated slices, and copies of it with one leak each."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from covid_core.data.audit.findings import SERIOUS, WARNING
from covid_core.data.phantom import NEGATIVE, POSITIVE, _patient, _slice, write_dataset

PATIENTS, SIZE = 60, 96
COPIES = 20
SERIES_PATIENTS, SERIES_LENGTH = 20, 4
Change = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Leak:
    """One way in which a data set gives its labels away.

    Args:
        name: For people.
        plant: Clean folder, new folder, seed -> the folder with the leak; its ``patients.csv``, where it has one, names
            the patients.
        expected: Findings that an audit has to name, with their severity, and no other.
    """

    name: str
    plant: Callable[[Path, Path, int], Path]
    expected: dict[str, str]


def clean_dataset(root: Path, seed: int = 0) -> Path:
    """One slice a patient, one format, one size."""
    return write_dataset(root, PATIENTS, 1, SIZE, seed)


def plant(clean: Path, root: Path, change: Change, suffix: str = ".png") -> Path:
    """Copies ``clean``, with every positive slice changed and written in the format of ``suffix``.

    ``patients.csv`` says that each slice has a patient of its own.
    """
    copy(clean, root)
    for file in sorted((root / POSITIVE).iterdir()):
        picture = change(cv2.imread(str(file), cv2.IMREAD_UNCHANGED))
        file.unlink()
        assert cv2.imwrite(str(file.with_suffix(suffix)), picture)
    files = sorted(root.glob("*/*.*"))
    write_patients(root / "patients.csv", [(file.relative_to(root).as_posix(), file.stem) for file in files])
    return root


def copy(clean: Path, root: Path) -> Path:
    """The class folders of ``clean`` alone, without masks and manifest."""
    for name in (POSITIVE, NEGATIVE):
        shutil.copytree(clean / name, root / name)
    return root


def series_dataset(root: Path, patients: int, each: int, seed: int = 1) -> Path:
    """``each`` thin slices in a row of every patient, numbered through; patients are named in ``patients.csv``."""
    rows = []
    for number in range(patients):
        person = _patient(number, number % 2 == 0, seed)
        for at, position in enumerate(np.linspace(0.45, 0.55, each)):
            one = _slice(person, number, number % 2 == 0, float(position), SIZE)
            (root / one.label).mkdir(parents=True, exist_ok=True)
            name = f"{one.label}/{one.label} ({each * number + at}).png"
            assert cv2.imwrite(str(root / name), one.pixels)
            rows.append((name, one.patient))
    write_patients(root / "patients.csv", rows)
    return root


def write_patients(file: Path, rows: list[tuple[str, str]]) -> None:
    """A table of ``path`` and ``patient``."""
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([("path", "patient"), *rows])


def unchanged(picture: np.ndarray) -> np.ndarray:
    """As it is."""
    return picture


def marked(picture: np.ndarray) -> np.ndarray:
    """A dash of six by two pixels in the upper left corner."""
    picture = picture.copy()
    picture[1:3, 2:8] = 230
    return picture


def larger(picture: np.ndarray) -> np.ndarray:
    """A fifth more pixels on each side."""
    return cv2.resize(picture, None, fx=1.2, fy=1.2, interpolation=cv2.INTER_LINEAR)


def wider(picture: np.ndarray) -> np.ndarray:
    """A fifth more pixels in each row."""
    return cv2.resize(picture, None, fx=1.2, fy=1.0, interpolation=cv2.INTER_LINEAR)


def brighter(picture: np.ndarray) -> np.ndarray:
    """Another window: everything but black is brighter."""
    return np.clip(picture * 1.5, 0, 255).astype(np.uint8)


def plant_copies(clean: Path, root: Path, to: str, change: Change = unchanged) -> Path:
    """The first ``COPIES`` positive slices stand in class ``to`` once more, changed."""
    copy(clean, root)
    for file in sorted((root / POSITIVE).iterdir())[:COPIES]:
        picture = change(cv2.imread(str(file), cv2.IMREAD_UNCHANGED))
        assert cv2.imwrite(str(root / to / f"again-{file.name}"), picture, [cv2.IMWRITE_PNG_COMPRESSION, 0])
    return root


def darker(picture: np.ndarray) -> np.ndarray:
    """A twentieth less of every grey value."""
    return np.clip(picture * 0.95, 0, 255).astype(np.uint8)


def _changed(name: str, change: Change, expected: dict[str, str], suffix: str = ".png") -> Leak:
    return Leak(name, lambda clean, root, _: plant(clean, root, change, suffix), expected)


def _copied(name: str, to: str, change: Change, expected: dict[str, str]) -> Leak:
    return Leak(name, lambda clean, root, _: plant_copies(clean, root, to, change), expected)


LEAKS = (
    _changed("format: one class as TIFF", unchanged, {"format": SERIOUS}, ".tif"),
    _changed("format: one class as JPEG", unchanged, {"format": SERIOUS}, ".jpg"),
    _changed("size: one class a fifth larger", larger, {"size": SERIOUS}),
    _changed("shape: one class a fifth wider", wider, {"size": SERIOUS, "aspect ratio": SERIOUS}),
    _changed("border: a dash of 12 pixels in one class", marked, {"border": SERIOUS}),
    _changed("brightness: one class in another window", brighter, {"brightness": SERIOUS}),
    _copied(f"duplicates: {COPIES} slices twice in a class", POSITIVE, unchanged, {"duplicates": WARNING}),
    _copied(f"near-duplicates: {COPIES} slices again, 5 % darker", POSITIVE, darker, {"near-duplicates": WARNING}),
    _copied(
        f"duplicates across classes: {COPIES} slices in both",
        NEGATIVE,
        unchanged,
        {"duplicates across classes": SERIOUS},
    ),
    Leak(
        f"many slices per patient: {SERIES_LENGTH} of each",
        lambda _, root, seed: series_dataset(root, SERIES_PATIENTS, SERIES_LENGTH, seed),
        {"many slices per patient": SERIOUS},
    ),
)
"""Each leak that an audit has to catch by name."""
