"""Slices with what is drawn on them: lungs, lesions, and which of them belong to one patient."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from covid_core.data import phantom
from covid_core.data.dataset import PICTURE_SUFFIXES, load_dataset
from covid_core.data.lungs import find_lungs
from covid_core.data.slices import DECODING_ERRORS, read_slice
from covid_core.data.sources import file_digest
from covid_core.errors import DatasetError

PHANTOM_PATIENTS, PHANTOM_SLICES, PHANTOM_SIZE = 24, 4, 256
FOUND, DRAWN = "found by data.lungs", "drawn"


@dataclass(frozen=True, eq=False)
class AnnotatedSlice:
    """One slice with its masks.

    Args:
        pixels: ``(H, W)``, grey values 0-255, as stored.
        lungs: bool ``(H, W)``, or None where none were found.
        lesions: bool ``(H, W)``, or None where nobody drew any.
    """

    pixels: np.ndarray
    lungs: np.ndarray | None
    lesions: np.ndarray | None


@dataclass(frozen=True, eq=False)
class AnnotatedDataset:
    """Slices by name, read when they are asked for.

    Args:
        name: Short name for people.
        digest: SHA-256 over names, labels and contents, masks included, hex.
        names: Relative POSIX paths, sorted; neighbours in a volume are neighbours here.
        labels: int8 ``(N,)``: 1 for the positive class, 0 for every other.
        groups: int64 ``(N,)``: slices of one patient have one number.
        groups_are: What the groups are, for people.
        lungs_are: Where the lung masks come from, for people.
        has_lesions: Whether lesions are drawn.
        read: Position to slice; raises SliceError for a file that cannot be read.
    """

    name: str
    digest: str
    names: tuple[str, ...]
    labels: np.ndarray
    groups: np.ndarray
    groups_are: str
    lungs_are: str
    has_lesions: bool
    read: Callable[[int], AnnotatedSlice]

    def __len__(self) -> int:
        return len(self.names)


def generated(patients: int = PHANTOM_PATIENTS, size: int = PHANTOM_SIZE, seed: int = 0) -> AnnotatedDataset:
    """The phantom's slices, with their true masks; every second patient is positive.

    Args:
        patients: How many, of four slices each.
        size: Side of the square slices in pixels.
        seed: Of the population.
    """
    slices = [
        one
        for number in range(patients)
        for one in phantom.patient_slices(number, number % 2 == 0, PHANTOM_SLICES, size, seed)
    ]
    names = tuple(f"{one.label}/{one.patient}-{at % PHANTOM_SLICES:03d}.png" for at, one in enumerate(slices))
    facts = (phantom.VERSION, patients, PHANTOM_SLICES, size, seed)
    return AnnotatedDataset(
        name="phantom",
        digest=hashlib.sha256(repr(facts).encode()).hexdigest(),
        names=names,
        labels=np.array([one.label == phantom.POSITIVE for one in slices], np.int8),
        groups=np.arange(len(slices)) // PHANTOM_SLICES,
        groups_are="patient",
        lungs_are=DRAWN,
        has_lesions=True,
        read=lambda at: AnnotatedSlice(slices[at].pixels, slices[at].lungs, slices[at].lesions),
    )


def from_folder(
    root: str | Path, lesions: str | Path | None = None, lungs: str | Path | None = None, neighbours: int = 1
) -> AnnotatedDataset:
    """A folder of slices with folders of masks beside it.

    Args:
        root: A data set as ``load_dataset`` takes it, or a folder of pictures, which then are all positive.
        lesions: Folder with lesion masks under the slices' names (0 and 255); None where there are none.
        lungs: The same with lung masks; None finds them by ``data.lungs``.
        neighbours: How many slices that follow each other count as one patient, where patients are not known.

    Raises:
        DatasetError: Nothing there, or a mask is missing.
    """
    root = Path(root)
    flat = root.is_dir() and not any(path.is_dir() and not path.name.startswith(".") for path in root.iterdir())
    if flat:
        names = sorted(path.name for path in root.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)
        labels, patients, name = np.ones(len(names), np.int8), None, root.resolve().name
        # a folder called ct says little: its parent names the data set
        name = f"{root.resolve().parent.name}/{name}"
        digests = [file_digest(root / one) for one in names]
    else:
        dataset = load_dataset(root)
        if dataset.packing:
            raise DatasetError(f"Expected a folder or a table of slices. Received: the packed {root}; unpack it.")
        names, labels, patients, name = list(dataset.paths), dataset.binary_labels, dataset.groups, dataset.name
        root, digests = dataset.root, [dataset.digest]
    if not names:
        raise DatasetError(f"Expected a folder with PNG, JPEG or TIFF slices. Received: {root}, which has none.")
    folders = {kind: Path(folder) for kind, folder in (("lesion", lesions), ("lung", lungs)) if folder is not None}
    for kind, folder in folders.items():
        missing = [one for one in names if not (folder / one).is_file()]
        if missing:
            raise DatasetError(
                f"Expected a {kind} mask for each of {len(names)} slices in {folder}. Received: none for "
                f"{len(missing)}, first {missing[0]!r}."
            )
        digests += [file_digest(folder / one) for one in names]
    if patients is None:
        groups = np.arange(len(names)) // neighbours
        meaning = "slice" if neighbours == 1 else f"{neighbours} neighbouring slices"
    else:
        groups, meaning = np.unique(patients, return_inverse=True)[1], "patient"
    return AnnotatedDataset(
        name=name,
        digest=hashlib.sha256(repr((names, labels.tolist(), digests)).encode()).hexdigest(),
        names=tuple(names),
        labels=labels,
        groups=groups,
        groups_are=meaning,
        lungs_are=DRAWN if lungs is not None else FOUND,
        has_lesions=lesions is not None,
        read=partial(_read, root, tuple(names), folders.get("lung"), folders.get("lesion")),
    )


def spread(dataset: AnnotatedDataset, limit: int | None) -> list[int]:
    """Positions of at most ``limit`` slices, evenly spaced over the whole data set."""
    count = len(dataset) if limit is None else min(limit, len(dataset))
    return np.unique(np.linspace(0, len(dataset) - 1, count).round().astype(int)).tolist()


def _read(root: Path, names: Sequence[str], lungs: Path | None, lesions: Path | None, at: int) -> AnnotatedSlice:
    pixels = read_slice(root / names[at]).pixels
    if lungs is None:
        found = find_lungs(pixels)
        lung_mask = found.mask if found.found else None
    else:
        lung_mask = _mask(lungs / names[at], pixels.shape)
    return AnnotatedSlice(pixels, lung_mask, _mask(lesions / names[at], pixels.shape) if lesions else None)


def _mask(file: Path, shape: tuple[int, ...]) -> np.ndarray:
    # not by read_slice, which refuses a picture of one grey: a slice without a lesion has such a mask
    try:
        with Image.open(file) as picture:
            mask = np.asarray(picture.convert("L")) > 127
    except DECODING_ERRORS as error:
        raise DatasetError(f"Expected a mask that can be read. Received: {file}: {error}. Export it again.") from error
    if mask.shape != shape:
        raise DatasetError(f"Expected a mask of {shape}, the size of its slice. Received: {file} of {mask.shape}.")
    return mask
