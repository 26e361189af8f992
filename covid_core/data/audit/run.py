"""From a folder to an audit."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

import numpy as np

from covid_core.data.audit.copies import NEAR, Pairs, components, identical, likeness_limit, similar
from covid_core.data.audit.cues import CUES
from covid_core.data.audit.facts import SliceFacts, read_facts
from covid_core.data.audit.order import Order, name_order
from covid_core.data.audit.record import Audit, Groups, Pair
from covid_core.data.audit.told import recognition_gap, tell
from covid_core.data.sources import Dataset

READ, COMPARE, TELL = "Reading slices", "Comparing slices", "Telling the label"
STAGES = (READ, COMPARE, TELL)

Observe = Callable[[str, int, int], None]


def audit(dataset: Dataset, when: str, seed: int = 0, observe: Observe | None = None) -> Audit:
    """Measure what a data set gives away.

    Args:
        dataset: Slices as files.
        when: Time of the audit, for its provenance.
        seed: Of the splits.
        observe: Called with (one of ``STAGES``, how much of it is done, how much there is).

    Raises:
        DatasetError: The data set is packed, or a class has no slice that can be read.
    """
    observe = observe or (lambda stage, done, total: None)
    facts, unreadable = read_facts(dataset, lambda done, total: observe(READ, done, total))
    exact = identical(facts.digests)
    distinct = _first_of_each(components(len(facts), exact))
    alike = similar(facts.compared[distinct], facts.labels[distinct], lambda done, total: observe(COMPARE, done, total))
    limit = likeness_limit(alike, facts.labels[distinct])
    alike = Pairs(distinct[alike.first], distinct[alike.second], alike.similarity)
    near = alike.at_least(NEAR)
    likeness = None if facts.patients is not None else limit
    order = name_order(facts.paths, facts.labels, facts.thumbnails_16, seed)
    links = [alike.at_least(limit), order.pairs] if facts.patients is None else [identical(facts.patients)]
    copies = components(len(facts), exact, near)
    # a picture that two patients share joins them: apart, one could be recognised by the other
    groups = components(len(facts), *links, exact, near)
    told, gaps = tell(facts, groups, seed, lambda done, total: observe(TELL, done, total))
    return Audit(
        name=dataset.name,
        digest=dataset.digest,
        positive=dataset.classes[dataset.positive],
        classes={name: int((facts.labels == label).sum()) for label, name in enumerate(dataset.classes)},
        unreadable=unreadable,
        pairs=(*_named(facts, exact, True), *_named(facts, near, False)),
        groups=_groups(dataset, facts, groups, _first_of_each(copies), likeness, order, seed),
        told=told,
        gaps=gaps,
        described={
            cue.name: {name: cue.describe(facts, facts.labels == label) for label, name in enumerate(dataset.classes)}
            for cue in CUES
        },
        provenance={
            "measured": when,
            "seed": str(seed),
            **{name: version(name) for name in ("numpy", "scikit-learn", "opencv-python-headless", "pillow")},
        },
    )


def _groups(
    dataset: Dataset,
    facts: SliceFacts,
    groups: np.ndarray,
    distinct: np.ndarray,
    likeness: float | None,
    order: Order,
    seed: int,
) -> Groups:
    sizes = np.bincount(groups)
    pictures = np.bincount(groups[distinct], minlength=len(sizes))
    shared = float((pictures[groups[distinct]] > 1).mean())
    return Groups(
        known=likeness is None,
        likeness=likeness,
        count=len(sizes),
        of_class={name: len(np.unique(groups[facts.labels == label])) for label, name in enumerate(dataset.classes)},
        median=float(np.median(sizes)),
        largest=int(sizes.max()),
        shared=shared,
        neighbours=order.neighbours,
        shuffled=order.shuffled,
        in_order=bool(len(order.pairs.first)),
        recognition=recognition_gap(facts, distinct, groups, seed) if shared else None,
    )


def _first_of_each(numbers: np.ndarray) -> np.ndarray:
    return np.sort(np.unique(numbers, return_index=True)[1])


def _named(facts: SliceFacts, pairs: Pairs, exact: bool) -> list[Pair]:
    return [
        Pair(
            facts.paths[first],
            facts.paths[second],
            round(float(similarity), 4),
            exact,
            bool(facts.labels[first] != facts.labels[second]),
        )
        for first, second, similarity in zip(*pairs, strict=True)
    ]
