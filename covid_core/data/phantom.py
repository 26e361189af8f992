"""Generated axial chest CT slices with lung masks, lesion masks and patient ids.

Nobody's picture: every slice is drawn from a seed. They stand in for real slices in tests, in the dashboard's samples
and in quick training runs. They teach nothing about the disease, and a network that tells them apart is no evidence
about real slices.
"""

from __future__ import annotations

import csv
import json
import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from covid_core.data.chest.anatomy import Anatomy
from covid_core.data.chest.exposure import Exposure
from covid_core.data.chest.lesions import KINDS, sample_foci
from covid_core.data.chest.patient import Patient
from covid_core.data.chest.scanner import scan
from covid_core.data.chest.vessels import grow_vessels
from covid_core.errors import DatasetError

POSITIVE, NEGATIVE = "COVID", "non-COVID"
COLUMNS = ("path", "label", "patient", "position", "lungs", "lesions")
TOP, BOTTOM = 0.14, 0.94  # the part of the chest that slices are taken from
VERSION = 1  # raise it when the same arguments give another picture


@dataclass(frozen=True, eq=False)
class PhantomSlice:
    """One generated slice.

    Args:
        pixels: uint8 ``(H, W)``, lung window, 0 is air.
        lungs: bool ``(H, W)``.
        lesions: bool ``(H, W)``, inside the lungs; all False for a negative patient.
        patient: Id of the patient, e.g. ``"phantom-0007"``.
        label: ``"COVID"`` or ``"non-COVID"``.
        position: Height along the chest, 0 at the apex of the lungs to 1 at their base.
    """

    pixels: np.ndarray
    lungs: np.ndarray
    lesions: np.ndarray
    patient: str
    label: str
    position: float


def patient_slices(patient: int, positive: bool, slices: int, size: int = 256, seed: int = 0) -> list[PhantomSlice]:
    """Scan one patient from the top of the chest to the bottom.

    The same number and seed always give the same patient, whoever else is scanned; healthy and ill, it is the same
    person on the same scanner, and only the lesions differ. Patients 0, 3, 6 … tend to ground glass, 1, 4, 7 … to
    consolidation, 2, 5, 8 … to crazy paving.

    Args:
        patient: Number of the patient, 0 or more.
        positive: Whether the patient has COVID-19 pneumonia; if so, every slice shows some.
        slices: How many, 1 or more, evenly spaced.
        size: Side of the square slices in pixels, 16 or more.
        seed: Of the whole population, 0 or more.

    Raises:
        ValueError: A number is out of its range.
    """
    if slices < 1:
        raise ValueError(f"Expected one slice or more. Received: slices={slices}. Ask for slices=1 for the middle one.")
    person = _patient(patient, positive, seed)
    positions = np.linspace(TOP, BOTTOM, slices) if slices > 1 else [(TOP + BOTTOM) / 2.0]
    return [_slice(person, patient, positive, float(position), size) for position in positions]


def sample_slices(size: int = 380, seed: int = 0) -> tuple[PhantomSlice, ...]:
    """Six examples of different patients at different heights.

    Args:
        size: Side in pixels, 16 or more.
        seed: Of the population.

    Returns:
        Three positive slices, mostly ground glass, consolidation and crazy paving in this order, and three negative.
    """
    choices = [(12, True, 0.36), (4, True, 0.7), (2, True, 0.46), (3, False, 0.3), (7, False, 0.53), (6, False, 0.76)]
    return tuple(
        _slice(_patient(number, positive, seed), number, positive, position, size)
        for number, positive, position in choices
    )


def write_dataset(
    root: str | os.PathLike[str], patients: int = 20, slices_per_patient: int = 8, size: int = 192, seed: int = 0
) -> Path:
    """Write a data set in the layout of the Kaggle download, with masks and a manifest.

    ``COVID/`` and ``non-COVID/`` hold 8-bit grey PNGs; ``masks/lungs/`` and ``masks/lesions/`` hold a picture of 0 and
    255 under the same class folder and name for each; ``manifest.csv`` has the columns path, label, patient, position,
    lungs, lesions, its paths relative to ``root``. ``phantom.json`` is written first, marked incomplete, and replaced
    in one step at the end: a write that was killed is noticed and done again.

    Args:
        root: Folder to write to; made if missing.
        patients: How many, 2 or more; even numbers (from 0) are positive, odd ones negative.
        slices_per_patient: 1 or more.
        size: Side of the square slices in pixels, 16 or more.
        seed: Of the population; the same arguments give the same bytes.

    Returns:
        ``root``.

    Raises:
        DatasetError: ``root`` is a file, or holds anything but a phantom of these arguments.
        ValueError: A number is out of its range.
    """
    if patients < 2:
        raise ValueError(f"Expected two patients or more, one of each class. Received: patients={patients}.")
    root = Path(root)
    parameters = {
        "phantom": VERSION,
        "patients": patients,
        "slices_per_patient": slices_per_patient,
        "size": size,
        "seed": seed,
    }
    if _is_complete(root, parameters):
        return root
    _mark(root, parameters, complete=False)
    rows = []
    for number in range(patients):
        for index, item in enumerate(patient_slices(number, number % 2 == 0, slices_per_patient, size, seed)):
            name = f"{item.label}/{item.patient}-{index:03d}.png"
            row = {
                "path": name,
                "label": item.label,
                "patient": item.patient,
                "position": f"{item.position:.4f}",
                "lungs": f"masks/lungs/{name}",
                "lesions": f"masks/lesions/{name}",
            }
            _write_png(root / row["path"], item.pixels)
            _write_png(root / row["lungs"], item.lungs.astype(np.uint8) * 255)
            _write_png(root / row["lesions"], item.lesions.astype(np.uint8) * 255)
            rows.append(row)
    with (root / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    _mark(root, parameters, complete=True)
    return root


def _patient(number: int, positive: bool, seed: int) -> Patient:
    if number < 0 or seed < 0:
        raise ValueError(f"Expected numbers of 0 or more. Received: patient={number}, seed={seed}.")
    # One stream for each part: disease must not change the rest of the body.
    anatomy = Anatomy.sample(np.random.default_rng([seed, number, 10]))
    return Patient(
        anatomy=anatomy,
        exposure=Exposure.sample(anatomy, np.random.default_rng([seed, number, 11])),
        vessels=grow_vessels(anatomy, np.random.default_rng([seed, number, 12])),
        foci=sample_foci(KINDS[number % len(KINDS)], np.random.default_rng([seed, number, 13])) if positive else (),
        seed=(seed, number),
    )


def _slice(person: Patient, number: int, positive: bool, position: float, size: int) -> PhantomSlice:
    if size < 16:
        raise ValueError(f"Expected a side of 16 pixels or more. Received: size={size}.")
    grey, lungs, lesions = (_resample(picture, size) for picture in scan(person, position))
    inside = lungs >= 0.5
    return PhantomSlice(
        pixels=np.clip(np.round(grey), 0, 255).astype(np.uint8),
        lungs=inside,
        lesions=(lesions >= 0.5) & inside,
        patient=f"phantom-{number:04d}",
        label=POSITIVE if positive else NEGATIVE,
        position=position,
    )


def _resample(picture: np.ndarray, size: int) -> np.ndarray:
    interpolation = cv2.INTER_AREA if size < len(picture) else cv2.INTER_CUBIC
    return cv2.resize(picture, (size, size), interpolation=interpolation)


def _write_png(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded, data = cv2.imencode(".png", picture)
    if not encoded:
        raise DatasetError(f"Expected to encode a PNG of shape {picture.shape}. OpenCV refused to; check its build.")
    path.write_bytes(data.tobytes())


def _is_complete(root: Path, parameters: dict[str, int]) -> bool:
    """Whether ``root`` already holds this phantom; False if it may be written, DatasetError if it must not be."""
    if root.exists() and not root.is_dir():
        raise DatasetError(f"Expected a folder for the phantom. Received a file: {root}. Name another place.")
    if not root.exists() or not any(root.iterdir()):
        return False
    try:
        found = json.loads((root / "phantom.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or {**found, "complete": None} != {**parameters, "complete": None}:
        raise DatasetError(
            f"Expected an empty folder, or a phantom with {parameters}. {root} holds "
            f"{'a phantom with ' + str(found) if found else 'other files'}. Name another folder, or delete this one."
        )
    return found.get("complete") is True and _has_all_files(root)


def _has_all_files(root: Path) -> bool:
    manifest = root / "manifest.csv"
    if not manifest.is_file():
        return False
    with manifest.open(newline="", encoding="utf-8") as file:
        return all(
            (root / row[column]).is_file() for row in csv.DictReader(file) for column in ("path", "lungs", "lesions")
        )


def _mark(root: Path, parameters: dict[str, int], complete: bool) -> None:
    root.mkdir(parents=True, exist_ok=True)
    draft = root / "phantom.json.part"
    draft.write_text(json.dumps({**parameters, "complete": complete}, indent=2) + "\n", encoding="utf-8")
    os.replace(draft, root / "phantom.json")
