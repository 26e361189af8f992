"""The figures of an audit as texts, the same on a terminal, in HTML and on a page."""

from __future__ import annotations

from covid_core.data.audit.cues import CUES
from covid_core.data.audit.findings import estimate_text
from covid_core.data.audit.record import Audit
from covid_core.data.audit.told import GROUP, SLICE

CUE_COLUMNS = ("Cue", "Classifier", "By slice", "AUC", "By patient", "AUC", "Gap")
"""Balanced accuracy and AUC under both splits, and how much higher the former is by slice."""

NOTHING = "–"

CAPTION = (
    "Balanced accuracy and AUC of simple classifiers on slices that were held out, with 95 % intervals over patients; "
    "chance is 0.50. Gap: what a split by slice adds because slices of one patient stand on both sides."
)

_LABELS = {cue.name: cue.label for cue in CUES}


def label_of(cue: str) -> str:
    """A cue's name for people."""
    return _LABELS.get(cue, cue)


def cue_rows(audit: Audit) -> list[tuple[str, ...]]:
    """One row a cue and classifier, cells as in ``CUE_COLUMNS``."""
    told = {(one.cue, one.classifier, one.split): one for one in audit.told}
    gaps = {(one.cue, one.classifier): one.difference for one in audit.gaps}
    rows = []
    for cue, name in dict.fromkeys((one.cue, one.classifier) for one in audit.told):
        by_slice, by_group = told.get((cue, name, SLICE)), told.get((cue, name, GROUP))
        if (by_slice or by_group).constant:
            rows.append((label_of(cue), name, "the same in all slices", *[NOTHING] * 4))
            continue
        cells = [
            text
            for one in (by_slice, by_group)
            for text in ((estimate_text(one.balanced_accuracy), estimate_text(one.auc)) if one else (NOTHING, NOTHING))
        ]
        gap = gaps.get((cue, name))
        rows.append((label_of(cue), name, *cells, estimate_text(gap, signed=True) if gap else NOTHING))
    return rows


def facts(audit: Audit) -> list[tuple[str, str]]:
    """What was counted: a name and its value."""
    groups = audit.groups
    noun = "Patients" if groups.known else "Patient-like groups"
    across = sum(one.across for one in audit.pairs)
    return [
        ("Slices", f"{audit.slices}: " + _by_class(audit.classes)),
        (noun, f"{groups.count}: " + _by_class(groups.of_class) + ("" if groups.known else "; " + how_guessed(audit))),
        ("Slices per patient", f"median {groups.median:g}, most {groups.largest}"),
        ("Unreadable files", str(len(audit.unreadable))),
        (
            "Pairs of copies",
            f"{len(audit.pairs_of(True, False))} equal and {len(audit.pairs_of(False, False))} nearly so in one class, "
            f"{across} across classes",
        ),
    ]


def how_guessed(audit: Audit) -> str:
    """How patients were guessed where the data set does not name them."""
    groups = audit.groups
    text = f"guessed: slices that correlate by {groups.likeness:.2f} or more once aligned count as one patient"
    if groups.in_order:
        text += (
            ", as do slices that follow each other by name where they look alike (neighbours correlate by "
            f"{groups.neighbours:.2f}, slices in random order by {groups.shuffled:.2f})"
        )
    return text + "; a guess can join patients, and part slices of one"


def _by_class(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def chart_rows(audit: Audit) -> list[dict[str, str | float]]:
    """Balanced accuracies to draw: ``label``, ``split``, ``value``, ``low``, ``high``; cues that vary only."""
    names = {SLICE: "by slice", GROUP: "by patient"}
    return [
        {
            "label": f"{label_of(one.cue)}, {one.classifier}",
            "split": names[one.split],
            "value": one.balanced_accuracy.value,
            "low": one.balanced_accuracy.low,
            "high": one.balanced_accuracy.high,
        }
        for one in audit.told
        if not one.constant
    ]


def provenance_text(audit: Audit) -> str:
    """When and with what it was measured, in one line."""
    facts = [f"{name} {value}" for name, value in audit.provenance.items()]
    return ", ".join([*facts, f"data set {audit.digest[:16]}"])
