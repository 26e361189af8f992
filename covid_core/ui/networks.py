"""Choosing a network of the zoo, and one of its trained folds; imports no deep-learning library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from covid_core.models import zoo
from covid_core.models.library import Card, list_networks
from covid_core.models.zoo import ModelSpec
from covid_core.results.metrics import METRIC_LABELS
from covid_core.settings import Settings
from covid_core.ui.choices import choose, tick

RANDOM_SIZE = 128
RANDOM_CLASSES = ("non-COVID", "COVID")
RANDOM_SEED = 0


@dataclass(frozen=True, eq=False)
class ChosenNetwork:
    """A network with the weights to use.

    Args:
        spec: Its row of the zoo.
        card: Its trained weights; None for random ones.
    """

    spec: ModelSpec
    card: Card | None

    @property
    def key(self) -> str:
        """Tells it from every other in a cache."""
        return f"{self.card.path} {self.card.sha256}" if self.card else f"random {self.spec.name}"

    @property
    def input_size(self) -> int:
        """Side of the square slices that it takes, in pixels."""
        return self.card.input_size if self.card else RANDOM_SIZE

    @property
    def interpolation(self) -> str:
        """How slices are resized to it."""
        return self.card.interpolation if self.card else "area"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of its outputs; the positive one is the last."""
        return self.card.classes if self.card else RANDOM_CLASSES


def trained_networks() -> dict[str, list[Card]]:
    """Cards of this installation by network.

    Raises:
        LibraryError: A card cannot be read.
    """
    return list_networks(Settings.from_environment().network_folders)


def pick_network(trained: dict[str, list[Card]]) -> ChosenNetwork | None:
    """Draw the picker and return the network with its weights.

    Args:
        trained: As ``trained_networks`` gives it.

    Returns:
        None if it is not trained here and the reader has not asked for random weights; the picker says how to train it.
    """
    names = [name for name in zoo.ALL if name in trained] + [name for name in zoo.ALL if name not in trained]
    spec = zoo.get(choose(st.selectbox, "Network", names, "network", help=_help(trained)))
    cards = trained.get(spec.name, [])
    if cards:
        labels = card_labels(cards)
        if len(cards) == 1:
            st.caption(f"Trained: {next(iter(labels))}")
            return ChosenNetwork(spec, cards[0])
        return ChosenNetwork(spec, labels[choose(st.selectbox, "Trained fold", list(labels), "fold")])
    untrained_notice(spec)
    if offer_random("Use random weights, to look at the architecture only", "random"):
        return ChosenNetwork(spec, None)
    return None


def offer_random(label: str, key: str, note: str = "") -> bool:
    """Draw the toggle that asks for random weights, and say what they are; whether the reader wants them.

    Args:
        label: Of the toggle.
        key: Of the toggle, and its query parameter.
        note: What else the reader should know of them.
    """
    random = tick(label, False, key)
    if random:
        text = "Random weights: nothing was learned. Probabilities and maps say nothing about the slice."
        st.warning(f"{text} {note}".strip(), icon=":material/shuffle:")
    return random


def untrained_notice(spec: ModelSpec) -> None:
    """Say that a network has no trained weights here, and how to get them."""
    st.info(f"{spec.name} has no trained weights on this machine. Train it on a folder of class folders:")
    st.code(
        f"python train_all.py --networks {spec.name} --rounds 1 --only-fold 1 --dataset FOLDER",
        language="bash",
        wrap_lines=True,
    )


def card_labels(cards: Sequence[Card]) -> dict[str, Card]:
    """A name for people for each card, from its fold, size and data set; the experiment where that is not enough."""
    plain = [f"round {card.round}, fold {card.fold} · {card.input_size} px · {card.dataset}" for card in cards]
    return {
        label if plain.count(label) == 1 else f"{label} · {card.key}": card
        for label, card in zip(plain, cards, strict=True)
    }


def same_fold(card: Card, candidates: Sequence[Card]) -> Card | None:
    """The card to compare ``card`` with: of the same experiment and fold where there is one, else the first."""

    def distance(other: Card) -> tuple[bool, bool, bool]:
        return (
            other.experiment != card.experiment,
            (other.round, other.fold) != (card.round, card.fold),
            other.input_size != card.input_size,
        )

    return min(candidates, key=distance, default=None)


def card_details(card: Card) -> None:
    """Draw everything that is known about trained weights."""
    tp, fp, tn, fn = card.counts
    scores = " · ".join(f"{METRIC_LABELS.get(name, name)} {value:.4f}" for name, value in card.scores.items())
    st.markdown(
        f"**Held-out fold**  \n{scores} · AUC {card.auc:.4f}  \n"
        f"{tp} true and {fp} false positives, {tn} true negatives, {fn} false negatives"
    )
    st.table(
        {
            "Data set": f"{card.dataset}, SHA-256 {card.dataset_digest[:12]}…",
            "Fold": f"round {card.round}, fold {card.fold} of {card.protocol.get('folds', '?')}, held out",
            "Training": f"{card.protocol.get('epochs', '?')} epochs, {card.input_size} × {card.input_size} pixels, "
            f"split by {card.protocol.get('split', 'slice')}",
            "Finished": card.date,
            "Ran on": ", ".join(value for value in card.facts.values() if value),
            "Weights": f"{card.weights_dtype}, {card.weights}; storing them moved no held-out probability by more "
            f"than {card.probability_shift:.4f}",
        },
        hide_header=True,
    )
    st.caption("The command that trains it again")
    st.code(card.command or "not recorded", language="bash", wrap_lines=True)


def _help(trained: dict[str, list[Card]]) -> str:
    if not trained:
        return f"None of the {len(zoo.ALL)} networks is trained on this machine."
    count = f"{len(trained)} of {len(zoo.ALL)} networks"
    return f"{count} are trained on this machine and stand first: {', '.join(trained)}"
