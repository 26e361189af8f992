"""What an audit measured, as a record that leaves and enters as JSON; no pixel is in it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from covid_core.data.audit.facts import Unreadable
from covid_core.data.audit.scores import Estimate
from covid_core.data.audit.told import Gap, Told
from covid_core.errors import DatasetError

FORMAT = 1
"""Of the JSON; raise it when a reader of the old one would misread the new one."""


@dataclass(frozen=True)
class Pair:
    """Two slices that are one picture, exactly or nearly.

    Args:
        first: Relative POSIX path.
        second: The same.
        similarity: Correlation of the aligned pictures; 1 where all grey values are equal.
        exact: Whether all decoded grey values are equal.
        across: Whether they stand in different classes.
    """

    first: str
    second: str
    similarity: float
    exact: bool
    across: bool


@dataclass(frozen=True)
class Groups:
    """Which slices count as one patient.

    Args:
        known: Whether the data set names patients; guessed from how alike slices are otherwise.
        likeness: Similarity from which slices were taken for one patient; None where patients are known.
        count: Number of groups.
        of_class: Class to number of groups that hold it.
        median: Slices a group.
        largest: Slices in the largest group.
        shared: Share of the distinct pictures whose group holds another distinct one.
        neighbours: Mean correlation, at 16 × 16 pixels, of slices whose names follow each other; None where no
            class has two.
        shuffled: The same in random order.
        in_order: Whether the former is higher than chance explains, as where series are numbered through.
        recognition: Balanced accuracy of a nearest neighbour on 16 × 16 thumbnails by slice less that by group, on
            distinct pictures; None where groups hold one picture each, or are too few.
    """

    known: bool
    likeness: float | None
    count: int
    of_class: dict[str, int]
    median: float
    largest: int
    shared: float
    neighbours: float | None
    shuffled: float | None
    in_order: bool
    recognition: Estimate | None


@dataclass(frozen=True)
class Audit:
    """Everything that an audit measured.

    Args:
        name: Of the data set.
        digest: Of the data set, hex.
        positive: Name of the positive class.
        classes: Class to number of slices that can be read; the positive one is the last.
        unreadable: Files that cannot be read.
        pairs: Slices that are one picture; each copy with the first of its kind.
        groups: Which slices count as one patient.
        told: How well the label can be told from each cue.
        gaps: Between both splits.
        described: Cue to class to what its slices look like, in words.
        provenance: When, with what, and from what seed it was measured.
    """

    name: str
    digest: str
    positive: str
    classes: dict[str, int]
    unreadable: tuple[Unreadable, ...]
    pairs: tuple[Pair, ...]
    groups: Groups
    told: tuple[Told, ...]
    gaps: tuple[Gap, ...]
    described: dict[str, dict[str, str]]
    provenance: dict[str, str]

    @property
    def slices(self) -> int:
        """How many can be read."""
        return sum(self.classes.values())

    def pairs_of(self, exact: bool, across: bool) -> tuple[Pair, ...]:
        """Pairs of one kind."""
        return tuple(one for one in self.pairs if (one.exact, one.across) == (exact, across))

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"format": FORMAT, **asdict(self)}


def from_json(text: str, name: str) -> Audit:
    """The audit that ``as_dict`` made JSON of; whatever else stands there is passed over.

    Args:
        text: The JSON.
        name: Of the file, for messages.

    Raises:
        DatasetError: It is no audit, or one of another format.
    """
    try:
        data = json.loads(text)
        if data["format"] != FORMAT:
            raise DatasetError(f"Expected an audit of format {FORMAT} in {name}. Received: {data['format']!r}.")
        groups = data["groups"]
        return Audit(
            name=_text(data["name"]),
            digest=_text(data["digest"]),
            positive=_text(data["positive"]),
            classes={_text(key): int(value) for key, value in data["classes"].items()},
            unreadable=tuple(Unreadable(**one) for one in data["unreadable"]),
            pairs=tuple(Pair(**one) for one in data["pairs"]),
            groups=Groups(**{**groups, "recognition": _estimate(groups["recognition"])}),
            told=tuple(
                Told(**{**one, **{key: _estimate(one[key]) for key in ("balanced_accuracy", "auc")}})
                for one in data["told"]
            ),
            gaps=tuple(Gap(**{**one, "difference": _estimate(one["difference"])}) for one in data["gaps"]),
            described=data["described"],
            provenance=data["provenance"],
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"Expected an audit as JSON in {name}, as --json writes it. Received something else: {error!r}. "
            "Audit the folder again."
        ) from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text expected, not {value!r}")
    return value


def _estimate(values: Any) -> Estimate | None:
    return None if values is None else Estimate(*map(float, values))
