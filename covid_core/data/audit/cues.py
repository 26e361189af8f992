"""What a label may be told from without looking at the lungs, and the simple classifiers that try."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from covid_core.data.audit.facts import SliceFacts

if TYPE_CHECKING:  # scikit-learn takes about a second to import, and a page that shows an audit does not need it
    from sklearn.base import ClassifierMixin

MOST_KINDS = 5
"""Sizes that are listed one by one."""

LEAST_EFFECT = 0.60
"""Balanced accuracy from which format, size, aspect ratio and border are findings. The disease is in none of them, so
anything above chance is a shortcut; less than this hardly moves a score."""

LEAST_BRIGHTNESS = 0.75
"""The same for mean grey, which the disease itself raises a little: lesions are brighter than lung."""

LEAST_THUMBNAIL = 0.80
"""The same for thumbnails, where large lesions can be seen: on generated slices of one patient each they reach 0.7."""

TREE, LOGISTIC, NEAREST = "shallow tree", "logistic regression", "nearest neighbour"


@dataclass(frozen=True)
class Cue:
    """One thing that a label may be told from.

    Args:
        name: For findings.
        label: For people.
        features: Facts to float32 ``(N, d)``.
        classifiers: Names of those that try.
        least_effect: Balanced accuracy from which the cue is a finding.
        describe: Facts and a selection of slices to a few words.
    """

    name: str
    label: str
    features: Callable[[SliceFacts], np.ndarray]
    classifiers: tuple[str, ...]
    least_effect: float
    describe: Callable[[SliceFacts, np.ndarray], str]


def classifier(name: str) -> ClassifierMixin:
    """A new classifier; classes weigh the same, so that 0.5 is chance for the balanced accuracy.

    Args:
        name: ``TREE``, ``LOGISTIC`` or ``NEAREST``.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    if name == TREE:
        return DecisionTreeClassifier(max_depth=3, min_samples_leaf=3, class_weight="balanced", random_state=0)
    if name == LOGISTIC:
        # strong shrinkage: there are up to 256 features, often for fewer slices
        return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=500))
    return KNeighborsClassifier(1)


def _format(facts: SliceFacts) -> np.ndarray:
    kinds, numbers = np.unique(facts.formats, return_inverse=True)
    return np.eye(len(kinds), dtype=np.float32)[numbers]


def _sizes(facts: SliceFacts) -> np.ndarray:
    return facts.sizes.astype(np.float32)


def _aspect(facts: SliceFacts) -> np.ndarray:
    return (facts.sizes[:, :1] / facts.sizes[:, 1:]).astype(np.float32)


def _brightness(facts: SliceFacts) -> np.ndarray:
    return facts.brightness[:, None].astype(np.float32)


def _borders(facts: SliceFacts) -> np.ndarray:
    return facts.borders


def _thumbnails_8(facts: SliceFacts) -> np.ndarray:
    return facts.thumbnails_8.reshape(len(facts), -1).astype(np.float32)


def _thumbnails_16(facts: SliceFacts) -> np.ndarray:
    return facts.thumbnails_16.reshape(len(facts), -1).astype(np.float32)


def _common(values: Sequence[str], most: int = 3) -> str:
    kinds, counts = np.unique(values, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    rest = f", {len(kinds) - most} more" if len(kinds) > most else ""
    return ", ".join(f"{kinds[at]} {counts[at] / len(values):.0%}" for at in order) + rest


def _middle_half(values: np.ndarray, digits: int) -> str:
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return f"median {middle:.{digits}f} (middle half {low:.{digits}f} to {high:.{digits}f})"


def _sizes_in_words(facts: SliceFacts, chosen: np.ndarray) -> str:
    sizes = facts.sizes[chosen]
    if len(np.unique(sizes, axis=0)) <= MOST_KINDS:
        return _common([f"{width} × {height}" for width, height in sizes])
    width, height = np.median(sizes, axis=0)
    return f"median {width:.0f} × {height:.0f} pixels"


def _format_in_words(facts: SliceFacts, chosen: np.ndarray) -> str:
    return _common(np.array(facts.formats)[chosen])


def _aspect_in_words(facts: SliceFacts, chosen: np.ndarray) -> str:
    return f"width over height {_middle_half(_aspect(facts)[chosen], 2)}"


def _brightness_in_words(facts: SliceFacts, chosen: np.ndarray) -> str:
    return f"mean grey {_middle_half(facts.brightness[chosen], 0)}"


def _border_in_words(facts: SliceFacts, chosen: np.ndarray) -> str:
    return f"mean grey of the border {_middle_half(facts.borders[chosen].mean(axis=1), 0)}"


def _no_words(facts: SliceFacts, chosen: np.ndarray) -> str:
    return ""


CUES = (
    Cue("format", "File format", _format, (TREE,), LEAST_EFFECT, _format_in_words),
    Cue("size", "Picture size", _sizes, (TREE,), LEAST_EFFECT, _sizes_in_words),
    Cue("aspect ratio", "Aspect ratio", _aspect, (TREE,), LEAST_EFFECT, _aspect_in_words),
    Cue("brightness", "Mean grey", _brightness, (TREE,), LEAST_BRIGHTNESS, _brightness_in_words),
    Cue("border", "Border pixels", _borders, (TREE, LOGISTIC), LEAST_EFFECT, _border_in_words),
    Cue("8 × 8 thumbnail", "8 × 8 thumbnail", _thumbnails_8, (NEAREST, LOGISTIC), LEAST_THUMBNAIL, _no_words),
    Cue("16 × 16 thumbnail", "16 × 16 thumbnail", _thumbnails_16, (NEAREST, LOGISTIC), LEAST_THUMBNAIL, _no_words),
)
"""From the simplest to the one that holds most of a slice."""
