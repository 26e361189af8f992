"""Files of one upload -> series of slices in order: pictures, DICOM files, archives of them, volumes.

Two passes: the first reads tags and headers only, the second decodes the slices that are kept. However large an upload
is, memory holds one file at a time and the slices of the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from covid_core.data.containers import sniff
from covid_core.data.dicom import open_dicom
from covid_core.data.nifti import open_volume
from covid_core.data.places import (
    PICTURES,
    UNNAMED,
    Place,
    by_series,
    gaps,
    has_positions,
    in_order,
    without_doubles,
)
from covid_core.data.slices import MAX_BYTES, MAX_PIXELS, Slice, base_name, read_slice
from covid_core.data.zips import is_zip, open_zip
from covid_core.errors import SliceError

MAX_SLICES = 100
"""Slices kept at once by default; of a longer series every n-th is taken."""

MAX_SERIES_PIXELS = MAX_SLICES * 512 * 512
"""Pixels of all slices kept at once by default."""

MAX_FILE_BYTES = 128 * 2**20
"""Largest archive, volume or multi-frame file."""

MOST_SURVEYED = 20_000
"""Slices that an upload may name before those that are kept are chosen; a file may name thousands in little space."""

MANY_GAPS = 3


@dataclass(frozen=True, eq=False)
class NamedFile:
    """A file of an upload.

    Args:
        name: Its name; folders in it are dropped.
        load: Gives its bytes; called up to twice.
        source: What the caller calls it; slices and refusals carry it.
    """

    name: str
    load: Callable[[], bytes]
    source: str = ""


@dataclass(frozen=True, eq=False)
class Found:
    """A slice, where it lies, and the file that it is from."""

    slice: Slice
    place: Place
    source: str


@dataclass(frozen=True, eq=False)
class Refusal:
    """A file that was not taken.

    Args:
        name: Its name without folders.
        error: Why.
        source: As in ``NamedFile``.
        for_want_of_room: Whether it may be taken once there is room for it.
    """

    name: str
    error: SliceError
    source: str
    for_want_of_room: bool = False


@dataclass(frozen=True, eq=False)
class Reading:
    """What files gave.

    Args:
        found: Slices, in no order.
        notes: Series to what was left out of it; sentences.
        refusals: Files, and slices of files, that were not taken.
    """

    found: tuple[Found, ...]
    notes: Mapping[str, tuple[str, ...]]
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, eq=False)
class Series:
    """Slices of one scan, or pictures.

    Args:
        key: Its name in ``Place.series``.
        title: For a reader; numbers DICOM series, names volumes by their file.
        found: The slices from head to feet; pictures by name.
        warnings: What a reader should know about the series as a whole; sentences.
    """

    key: str
    title: str
    found: tuple[Found, ...]
    warnings: tuple[str, ...]

    @property
    def slices(self) -> tuple[Slice, ...]:
        """The slices, in order."""
        return tuple(one.slice for one in self.found)


def read_series(files: Iterable[NamedFile], **limits: int) -> tuple[tuple[Series, ...], tuple[Refusal, ...]]:
    """``read_files`` and ``arrange`` in one call."""
    reading = read_files(files, **limits)
    return arrange(reading.found, reading.notes), reading.refusals


def read_files(
    files: Iterable[NamedFile],
    *,
    most_slices: int = MAX_SLICES,
    most_pixels: int = MAX_SERIES_PIXELS,
    max_bytes: int = MAX_FILE_BYTES,
    max_pixels: int = MAX_PIXELS,
) -> Reading:
    """Read what can be read; everything else is refused file by file.

    Args:
        files: In any order. Archives are opened, those within archives are not.
        most_slices: Slices to return at most. Pictures beyond are refused; of series and volumes every n-th slice is
            taken.
        most_pixels: Pixels of all slices together, treated alike.
        max_bytes: Largest file; pictures have a lower limit.
        max_pixels: Largest width × height of a slice.
    """
    reader = _Reader(most_slices, most_pixels, max_bytes, max_pixels)
    for file in files:
        reader.survey(file)
    reader.decode()
    return Reading(
        tuple(reader.found), {key: tuple(notes) for key, notes in reader.notes.items()}, tuple(reader.refusals)
    )


def arrange(found: Sequence[Found], notes: Mapping[str, Sequence[str]] | None = None) -> tuple[Series, ...]:
    """Slices as series, in order, from head to feet.

    Args:
        found: Of any number of readings.
        notes: As in ``Reading``.
    """
    places = [one.place for one in found]
    series, dicom = [], 0
    groups = by_series(places)
    several = sum(_is_dicom(key) for key in groups) > 1
    for key, indices in groups.items():
        members = [found[index] for index in indices]
        order = without_doubles([one.place for one in members], in_order([one.place for one in members]))
        ordered = tuple(members[index] for index in order)
        dicom += _is_dicom(key)
        if key == PICTURES:
            title = "Pictures"
        elif key == UNNAMED:
            title = "DICOM slices without a series"
        elif _is_dicom(key):
            title = f"DICOM series {dicom}" if several else "DICOM series"
        else:
            title = f"Volume {ordered[0].slice.name}"
        warnings = [*(notes or {}).get(key, ()), *_order_warnings([one.place for one in ordered], _is_dicom(key))]
        left_out = len(members) - len(ordered)
        if left_out:
            warnings.append(_doubles(left_out))
        count = f"{len(ordered)} slice{'s' * (len(ordered) > 1)}"
        series.append(Series(key, f"{title}, {count}", ordered, tuple(dict.fromkeys(warnings))))
    return tuple(series)


def told(refusals: Sequence[Refusal], most: int = 6) -> list[str]:
    """Refusals as texts: more than three files with the same reason share one, and beyond ``most`` they are counted."""
    by_reason: dict[str, list[str]] = {}
    for refusal in refusals:
        by_reason.setdefault(str(refusal.error), []).append(refusal.name)
    texts: list[str] = []
    for reason, names in by_reason.items():
        if len(names) <= 3:
            texts += [f"{name}: {reason}" if name else reason for name in names]
        else:
            texts.append(f"{names[0]}, {names[1]} and {len(names) - 2} more files: {reason}")
    if len(texts) > most:
        texts[most - 1 :] = [f"{len(texts) - most + 1} more messages about other files are not shown."]
    return texts


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A file whose slices are known and not decoded."""

    file: NamedFile
    name: str
    places: tuple[Place, ...]
    pixels: int
    is_volume: bool


@dataclass(eq=False)
class _Reader:
    room: int
    pixel_room: int
    max_bytes: int
    max_pixels: int
    found: list[Found] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    candidates: list[_Candidate] = field(default_factory=list)
    surveyed: int = 0

    def survey(self, file: NamedFile) -> None:
        """Take a picture at once, note what a scan holds, open an archive."""
        name = base_name(file.name)
        try:
            if self.surveyed > MOST_SURVEYED:
                raise SliceError(
                    f"Expected at most {MOST_SURVEYED:,} slices in an upload. Choose one series of the scan."
                )
            data = self._load(file)
            if is_zip(data):
                for member in open_zip(data, self.max_bytes):  # whose members refuse to be archives
                    self.survey(NamedFile(member.name, member.load, file.source))
                return
            kind = sniff(data)
            if kind == "DICOM":
                opened = open_dicom(data, name, self.max_pixels)
                size = opened.header.rows * opened.header.columns
                self._note(_Candidate(file, name, opened.places, size, is_volume=False))
            elif kind == "NIfTI":
                volume = open_volume(data, name, self.max_pixels)
                size = volume.shape[volume.axes[0]] * volume.shape[volume.axes[1]]
                self._note(_Candidate(file, name, volume.places, size, is_volume=True))
            else:
                self._take_picture(data, name, file.source)
        except SliceError as refusal:
            self.refusals.append(Refusal(name, refusal, file.source))

    def decode(self) -> None:
        """Choose slices of the scans that were surveyed, and decode those."""
        chosen = self._choose()
        for candidate, frames in zip(self.candidates, chosen, strict=True):
            if not frames:
                continue
            try:
                data = self._load(candidate.file)
                if candidate.is_volume:
                    self._read_volume(candidate, data, frames)
                else:
                    self._read_dicom(candidate, data, frames)
            except SliceError as refusal:
                self.refusals.append(Refusal(candidate.name, refusal, candidate.file.source))

    def _note(self, candidate: _Candidate) -> None:
        self.candidates.append(candidate)
        self.surveyed += len(candidate.places)

    def _load(self, file: NamedFile) -> bytes:
        data = file.load()
        if len(data) > self.max_bytes:
            raise SliceError(
                f"Expected a file of at most {self.max_bytes / 2**20:.3g} MiB. This one has "
                f"{len(data) / 2**20:.3g}. Choose the chest series alone, or every second slice of it."
            )
        return data

    def _take_picture(self, data: bytes, name: str, source: str) -> None:
        if self.room < 1 or self.pixel_room < 1:
            self.refusals.append(_no_room(name, source))
            return
        one = read_slice(data, name, max_bytes=min(MAX_BYTES, self.max_bytes), max_pixels=self.max_pixels)
        if one.pixels.size > self.pixel_room and self.found:
            self.refusals.append(_no_room(name, source))
            return
        self._keep(one, Place(name=name), source)

    def _keep(self, one: Slice, place: Place, source: str) -> None:
        self.found.append(Found(one, place, source))
        self.room -= 1
        self.pixel_room -= one.pixels.size

    def _choose(self) -> list[list[int]]:
        """The frames of each candidate that are decoded, so that all of them fit."""
        owners = [(number, frame) for number, one in enumerate(self.candidates) for frame in range(len(one.places))]
        places = [self.candidates[number].places[frame] for number, frame in owners]
        chosen: list[list[int]] = [[] for _ in self.candidates]
        if not owners:
            return chosen
        room = min(self.room, self.pixel_room // max(one.pixels for one in self.candidates))
        orders = {}
        for key, indices in by_series(places).items():
            group = [places[index] for index in indices]
            order = without_doubles(group, in_order(group))
            if len(order) < len(group):
                self.notes.setdefault(key, []).append(_doubles(len(group) - len(order)))
            orders[key] = [indices[index] for index in order]
        longest = max(len(order) for order in orders.values())
        step = max(1, min(longest, sum(len(order) for order in orders.values()) // max(1, room)))
        while step < longest and sum(-(-len(order) // step) for order in orders.values()) > room:
            step += 1
        for key, order in orders.items():
            kept = order[::step][: max(0, room)]
            room -= len(kept)
            if kept and len(kept) < len(order):
                self.notes.setdefault(key, []).append(
                    f"Of {len(order)} slices {len(kept)} were taken, evenly spaced: there is no room for more at once."
                )
            for index in kept:
                number, frame = owners[index]
                chosen[number].append(frame)
            if not kept:
                number, _ = owners[order[0]]
                self.refusals.append(_no_room(self.candidates[number].name, self.candidates[number].file.source))
        return chosen

    def _read_dicom(self, candidate: _Candidate, data: bytes, frames: list[int]) -> None:
        opened = open_dicom(data, candidate.name, self.max_pixels)
        for frame in sorted(frames):
            try:
                self._keep(opened.read(frame), candidate.places[frame], candidate.file.source)
            except SliceError as refusal:
                name = candidate.name if len(candidate.places) == 1 else f"{candidate.name}, frame {frame + 1}"
                self.refusals.append(Refusal(name, refusal, candidate.file.source))

    def _read_volume(self, candidate: _Candidate, data: bytes, frames: list[int]) -> None:
        slices = open_volume(data, candidate.name, self.max_pixels).read(frames)
        for frame, one in zip(frames, slices, strict=True):
            if one is not None:
                self._keep(one, candidate.places[frame], candidate.file.source)
        empty = sum(one is None for one in slices)
        if empty == len(slices):
            raise SliceError(
                "Expected a volume with dark lungs and bright bone. The slices of this one show nothing. Save the CT "
                "volume itself."
            )
        if empty:
            self.notes.setdefault(candidate.places[0].series, []).append(
                f"{empty} slices of the volume show nothing and were left out."
            )


def _is_dicom(key: str) -> bool:
    return key not in (PICTURES, UNNAMED) and not key.startswith("volume ")


def _no_room(name: str, source: str) -> Refusal:
    error = SliceError("Expected less at once. There is no room for more slices; remove some that were taken before.")
    return Refusal(name, error, source, for_want_of_room=True)


def _doubles(count: int) -> str:
    few = "1 slice lies" if count == 1 else f"{count} slices lie"
    return f"{few} where another one lies, as in a second reconstruction or phase; the first was kept."


def _order_warnings(places: Sequence[Place], is_dicom: bool) -> list[str]:
    if is_dicom and len(places) > 1 and not has_positions(places):
        by = "numbers" if all(place.number is not None for place in places) else "names"
        return [f"Not every slice says where it lies; they were ordered by their {by}."]
    missing = gaps(places)
    if not missing:
        return []
    if len(missing) > MANY_GAPS:
        return [f"The slices lie unevenly: at {len(missing)} places some seem to be missing."]
    return [
        f"Between slices {index + 1} and {index + 2} lie {distance:.3g} mm, more than elsewhere: some seem to be "
        "missing."
        for index, distance in missing
    ]
