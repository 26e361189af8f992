"""From the figures of an audit to findings by name and a verdict in words.

A finding on a cue needs both an effect that matters and significance: by chance alone, no more than one clean data set
in a hundred should be accused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from covid_core.data.audit.cues import CUES, LEAST_EFFECT, NEAREST
from covid_core.data.audit.record import Audit, Pair
from covid_core.data.audit.scores import Estimate, detectable
from covid_core.data.audit.told import GROUP, SLICE, Told

SERIOUS, WARNING, NOTE = "serious", "warning", "note"

ALPHA = 0.01
"""Over all cues together (Bonferroni): clean data sets that are accused of a cue by chance."""

SERIOUS_EFFECT = 0.75
"""Balanced accuracy from which a shortcut alone would look like a fair classifier."""

MARGIN = 0.10
"""Balanced accuracy by which a border has to exceed brightness where that was found: it holds the picture's too."""

LEAST_SHARED = 0.10
"""Share of the slices whose patient has another one, from which patients have many slices."""

LEAST_GUESSED = 0.25
"""The same where patients are guessed: in small sets of one slice a patient up to 0.15 look alike by chance."""

LEAST_BALANCE = 0.25
"""Slices of the smallest class for one of the largest, from which a class is scarce: an accuracy of 0.80 is then had
by always naming the larger class."""

LEAST_GROUPS = 10
"""Patients of a class from which anything can be judged: with fewer, chance and shortcut look alike."""

_LEAST = {cue.name.removeprefix("8 × 8 ").removeprefix("16 × 16 "): cue.least_effect for cue in CUES}
_ADVICE = {
    "format": "Write every slice in the same format, from sources that do not differ between the classes.",
    "size": "Take slices of one size, or see that sizes do not differ between the classes; resizing leaves traces.",
    "aspect ratio": "Take slices of one shape, or pad them to one: stretching to a square shows what the shape was.",
    "brightness": "Export both classes in the same lung window, and check whether they come from different scanners.",
    "border": "Look for frames, letters, rulers or another crop in one class, and cut them off.",
    "thumbnail": "Find out what differs between the sources of the classes; fine detail of lungs is not needed here.",
}


@dataclass(frozen=True)
class Finding:
    """One thing that makes scores on a data set mean less than they seem to.

    Args:
        name: Short and fixed, such as ``"border"``.
        severity: ``"serious"``, ``"warning"`` or ``"note"``; a note alone passes.
        text: What was seen, with its figures.
        advice: What to do about it.
    """

    name: str
    severity: str
    text: str
    advice: str


def findings(audit: Audit) -> tuple[Finding, ...]:
    """What is wrong with a data set, the worst first."""
    found = [*_unreadable(audit), *_copies(audit), *_groups(audit), *_balance(audit), *_cues(audit), *_power(audit)]
    return tuple(sorted(found, key=lambda one: (SERIOUS, WARNING, NOTE).index(one.severity)))


def passes(found: Sequence[Finding]) -> bool:
    """Whether there is nothing but notes."""
    return all(one.severity == NOTE for one in found)


def verdict(audit: Audit, found: Sequence[Finding]) -> str:
    """The outcome in a few sentences."""
    groups = f"{audit.groups.count} {'patients' if audit.groups.known else 'patient-like groups'}"
    over = f"{audit.slices} slices of {groups}"
    weighty = [one for one in found if one.severity != NOTE]
    if weighty:
        return f"Does not pass: {', '.join(one.name for one in weighty)} ({over})."
    if any(one.name == "too few" for one in found):
        return f"Nothing was found, and little could be ({over})."
    return (
        f"Passes: no shortcut was found in {over}. One that tells the label with a balanced accuracy below "
        f"{smallest_effect(audit):.2f} may have gone unseen."
    )


def judged_split(audit: Audit) -> str:
    """The split whose figures are held against chance: by group where slices of one patient could help."""
    return GROUP if any(one.split == GROUP for one in audit.told) else SLICE


def smallest_effect(audit: Audit) -> float:
    """Balanced accuracy that the audit would have told from chance with a probability of 80 %."""
    counts = audit.groups.of_class
    others = sum(count for name, count in counts.items() if name != audit.positive)
    return max(LEAST_EFFECT, detectable(counts[audit.positive], others, ALPHA / max(1, len(_tests(audit)))))


def estimate_text(one: Estimate, signed: bool = False) -> str:
    """``0.94 (0.92 to 0.95)``."""
    value, low, high = (f"{number:{'+' if signed else ''}.2f}".replace("-", "−") for number in one)
    return f"{value} ({low} to {high})"


def _unreadable(audit: Audit) -> Iterator[Finding]:
    if audit.unreadable:
        first = audit.unreadable[0]
        yield Finding(
            "unreadable",
            WARNING,
            f"{_number(len(audit.unreadable), 'file')} cannot be read. The first, {first.path}: {first.reason}",
            "Fetch or export these files again, or remove them; training refuses to start with them.",
        )


def _copies(audit: Audit) -> Iterator[Finding]:
    across = [one for one in audit.pairs if one.across]
    if across:
        exact = sum(one.exact for one in across)
        yield Finding(
            "duplicates across classes",
            SERIOUS,
            f"{_number(len(across), 'pair')} of slices in two classes, yet of one picture ({exact} with equal grey "
            f"values, {len(across) - exact} nearly so), such as {_example(across)}: at least one label is wrong.",
            "Look at each pair and remove one or both of its slices.",
        )
    for name, exact, what in (("duplicates", True, "equal"), ("near-duplicates", False, "nearly equal")):
        pairs = audit.pairs_of(exact, across=False)
        if pairs:
            yield Finding(
                name,
                WARNING,
                f"{_number(len(pairs), 'pair')} of slices of one class with {what} pictures, "
                f"such as {_example(pairs)}. A split by slice puts copies on both sides.",
                "Keep one of each, or split by group.",
            )


def _groups(audit: Audit) -> Iterator[Finding]:
    groups = audit.groups
    gap = groups.recognition
    proven = gap is not None and gap.low > 0
    # guessed groups are no proof by themselves: alike slices may be of different patients
    if groups.shared < (LEAST_SHARED if groups.known else LEAST_GUESSED) or not (groups.known or proven):
        return
    whose = "patient" if groups.known else "patient-like group (guessed: slices that look alike)"
    text = (
        f"{groups.shared:.0%} of the slices share their {whose} with others; {groups.count} groups, "
        f"{groups.median:g} slices in the median one, {groups.largest} in the largest."
    )
    if gap is not None:
        by_slice, by_group = (
            next(
                one.balanced_accuracy.value
                for one in audit.told
                if (one.cue, one.classifier, one.split) == ("16 × 16 thumbnail", NEAREST, split)
            )
            for split in (SLICE, GROUP)
        )
        text += (
            f" A nearest neighbour on 16 × 16 thumbnails has a balanced accuracy of {by_slice:.2f} by slice and of "
            f"{by_group:.2f} with groups kept apart. Copies left out, having seen other slices of a group is worth "
            f"{estimate_text(gap, signed=True)}{'' if proven else ', which chance explains'}."
        )
    yield Finding(
        "many slices per patient",
        SERIOUS if proven else WARNING,
        text,
        "Name patients in a table and split by them (--split group): scores by slice reward recognising a patient.",
    )


def _balance(audit: Audit) -> Iterator[Finding]:
    small, large = min(audit.classes.values()), max(audit.classes.values())
    if small < LEAST_BALANCE * large:
        counts = ", ".join(f"{name} {count}" for name, count in audit.classes.items())
        yield Finding(
            "class balance",
            WARNING,
            f"The smallest class has {small / large:.2f} of the slices of the largest ({counts}).",
            "Read sensitivity and specificity, not accuracy; weigh the classes in training.",
        )


def _cues(audit: Audit) -> Iterator[Finding]:
    if min(audit.groups.of_class.values()) < LEAST_GROUPS:
        return
    tests = _tests(audit)
    level = ALPHA / max(1, len(tests))
    reached: dict[str, float] = {}
    for name in _ADVICE:
        least = _LEAST[name]
        if name == "border":
            least = max(least, reached.get("brightness", 0.0) + MARGIN)
        proven = [
            one
            for one in tests
            if one.cue.endswith(name)
            and one.p <= level
            and one.balanced_accuracy.low > 0.5
            and one.balanced_accuracy.value >= least
        ]
        if not proven:
            continue
        if name == "thumbnail" and reached:
            continue  # it holds every simpler cue, and says something new only where none of them was found
        best = max(proven, key=lambda one: one.balanced_accuracy.value)
        reached[name] = best.balanced_accuracy.value
        severity = SERIOUS if reached[name] >= SERIOUS_EFFECT and name != "thumbnail" else WARNING
        yield Finding(name, severity, _told_text(audit, best), _ADVICE[name])


def _told_text(audit: Audit, best: Told) -> str:
    split = "patients kept apart" if best.split == GROUP else "split by slice"
    text = (
        f"A {best.classifier} tells the label from the {best.cue} with a balanced accuracy of "
        f"{estimate_text(best.balanced_accuracy)} and an AUC of {estimate_text(best.auc)}, {split}; chance is 0.50."
    )
    if best.split == GROUP and not audit.groups.known:
        text += " Patients are guessed, so slices of one may still stand on both sides."
    words = {name: said for name, said in audit.described.get(best.cue, {}).items() if said}
    return text + (" " + "; ".join(f"{name}: {said}" for name, said in words.items()) + "." if words else "")


def _power(audit: Audit) -> Iterator[Finding]:
    fewest = min(audit.groups.of_class.values())
    if fewest < LEAST_GROUPS:
        yield Finding(
            "too few",
            NOTE,
            f"One class has {_number(fewest, 'patient')} or patient-like groups; cues are not judged below "
            f"{LEAST_GROUPS}, where chance and shortcut look alike.",
            "Audit the whole data set, not a sample of it.",
        )


def _tests(audit: Audit) -> list[Told]:
    split = judged_split(audit)
    return [one for one in audit.told if one.split == split and not one.constant]


def _example(pairs: Sequence[Pair]) -> str:
    return f"{pairs[0].first} and {pairs[0].second}"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
