"""Trained networks on their way between machines that share no disk: one archive, cut into parts of limited size.

    networks.zip.001, networks.zip.002 …    joined, a ZIP of <network>/<name>.json and <network>/<name>.npz

Files of several networks in few parts, because what carries them may limit the number of files as well as their size.
Cards carry the checksum of their weights, so what has arrived is what was sent, or is refused.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from covid_core.archive import ARCHIVE_ERRORS, is_stored, write_archive
from covid_core.errors import LibraryError
from covid_core.models import zoo
from covid_core.models.library import Card, list_networks

PART_BYTES = 16 * 2**20
LARGEST_MIB = 32
"""Default of the largest weights that travel: about 16 million of them in float16, as of EfficientNetB3 or VGG16."""

_NAME = "networks.zip"
_PARTS = f"{_NAME}.[0-9][0-9][0-9]"
_MEMBER = re.compile(r"([A-Za-z0-9-]+)/([A-Za-z0-9_-][A-Za-z0-9._-]*)\.(json|npz)")
_MAX_MEMBERS = 20_000
_MAX_CARD_BYTES = 2**20


@dataclass(frozen=True)
class Transport:
    """What became of each network, by its card.

    Args:
        taken: Written.
        left: Not written: too large to send, or there already.
        files: The parts, when sending.
    """

    taken: tuple[Card, ...]
    left: tuple[Card, ...]
    files: tuple[Path, ...] = ()


def export_networks(
    library: str | Path,
    experiment: str,
    folder: str | Path,
    largest_bytes: int = LARGEST_MIB * 2**20,
    part_bytes: int = PART_BYTES,
) -> Transport:
    """Writes an experiment's networks as parts; older parts in the folder are replaced.

    Args:
        library: Folder of trained networks.
        experiment: Id that their cards name.
        folder: Made if absent.
        largest_bytes: Weights above this size stay.
        part_bytes: Size of a part.

    Raises:
        LibraryError: Weights that are missing or damaged, or a folder that cannot be written.
    """
    cards = [card for found in list_networks([library]).values() for card in found if card.experiment == experiment]
    taken = [card for card in cards if _size(card) <= largest_bytes]
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(_PARTS):
            old.unlink()
        with tempfile.TemporaryFile(dir=folder) as whole:
            write_archive(whole, _members(taken))
            whole.seek(0)
            files = _cut(whole, folder, part_bytes) if taken else []
    except OSError as error:
        raise LibraryError(
            f"Expected to write networks to {folder}. Received: {error}. Name another folder."
        ) from error
    return Transport(tuple(taken), tuple(card for card in cards if card not in taken), tuple(files))


def import_networks(folder: str | Path, library: str | Path) -> Transport:
    """Joins the parts in ``folder``, checks every network, and adds those that ``library`` does not have.

    Everything is checked before anything is added. A folder without parts adds nothing.

    Raises:
        LibraryError: A part is missing, the archive or a network is damaged, or the library cannot be written.
    """
    folder, library = Path(folder), Path(library)
    parts = sorted(folder.glob(_PARTS))
    if not parts:
        return Transport((), ())
    missing = next((n for n, part in enumerate(parts, start=1) if part.suffix != f".{n:03d}"), None)
    if missing:
        raise LibraryError(f"Expected {_NAME}.001 to {parts[-1].name} in {folder}. Received: no {_NAME}.{missing:03d}.")
    try:
        library.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library, prefix=".import-") as staging:
            return _add(_unpack(parts, Path(staging)), library)
    except OSError as error:
        raise LibraryError(f"Expected to write networks to {library}. Received: {error}. Free some space.") from error


def _size(card: Card) -> int:
    try:
        return card.weights_path.stat().st_size
    except OSError as error:
        raise LibraryError(f"Expected the weights of {card.key}. Received: {error}. Remove its card.") from error


def _members(cards: list[Card]) -> Iterator[tuple[str, bytes]]:
    for card in cards:
        weights = card.weights_path.read_bytes()
        _check(card, hashlib.sha256(weights).hexdigest())
        yield f"{card.model}/{card.path.name}", card.path.read_bytes()
        yield f"{card.model}/{card.weights}", weights


def _cut(whole: BinaryIO, folder: Path, part_bytes: int) -> list[Path]:
    files = []
    while data := whole.read(part_bytes):
        files.append(folder / f"{_NAME}.{len(files) + 1:03d}")
        files[-1].write_bytes(data)
    return files


def _unpack(parts: list[Path], staging: Path) -> list[Card]:
    """Cards of the networks in the joined parts, unpacked below ``staging`` and checked."""
    joined = staging / _NAME
    with joined.open("wb") as whole:
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, whole)
    try:
        with zipfile.ZipFile(joined) as archive:
            members = archive.infolist()
            _check_names(members, parts)
            for member in members:
                with archive.open(member) as source, _made(staging / member.filename).open("wb") as target:
                    shutil.copyfileobj(source, target)
    except ARCHIVE_ERRORS as error:
        raise LibraryError(
            f"Expected {len(parts)} parts of one archive, {parts[0]} to {parts[-1].name}. Received: {error}. A part is "
            f"missing, damaged, or of another export: copy them again."
        ) from error
    cards = [card for found in list_networks([staging]).values() for card in found]
    for card in cards:
        with card.weights_path.open("rb") as file:
            _check(card, hashlib.file_digest(file, "sha256").hexdigest())
    return cards


def _check_names(members: list[zipfile.ZipInfo], parts: list[Path]) -> None:
    pairs: dict[tuple[str, str], set[str]] = {}
    for member in members[: _MAX_MEMBERS + 1]:
        match = _MEMBER.fullmatch(member.filename)
        if not match or match[1] not in zoo.ALL or not is_stored(member):
            raise LibraryError(
                f"Expected networks as <network>/<name>.json and .npz, stored as they are, in {parts[0]}. "
                f"Received: {member.filename[:200]!r}. Export them again."
            )
        if match[3] == "json" and member.file_size > _MAX_CARD_BYTES:
            raise LibraryError(f"Expected a card of at most {_MAX_CARD_BYTES >> 20} MiB. {member.filename} is larger.")
        pairs.setdefault((match[1], match[2]), set()).add(match[3])
    alone = next((name for name, kinds in pairs.items() if len(kinds) < 2), None)
    if alone or len(members) != 2 * len(pairs):
        raise LibraryError(
            f"Expected one card and its weights for each network in {parts[0]}. Received: "
            f"{'only one of both for ' + '/'.join(alone) if alone else f'{len(members)} files'}. Export them again."
        )


def _add(cards: list[Card], library: Path) -> Transport:
    taken, left = [], []
    for card in cards:
        place = library / card.model / card.path.name
        if place.exists():
            left.append(card)
            continue
        _made(place)
        card.weights_path.replace(place.with_name(card.weights))
        card.path.replace(place)  # last: a card stands for a complete network
        taken.append(card)
    return Transport(tuple(taken), tuple(left))


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _check(card: Card, digest: str) -> None:
    if digest != card.sha256 or card.weights != f"{card.path.stem}.npz" or card.path.parent.name != card.model:
        raise LibraryError(
            f"Expected weights of {card.key} with the SHA-256 {card.sha256[:12]}…. Received: {card.weights} with "
            f"{digest[:12]}…: damaged, or of another network. Copy the file again, or train it again: {card.command}"
        )
