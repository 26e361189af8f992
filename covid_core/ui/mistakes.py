"""The slices that a network is wrong about: a table, and where the data set is at hand the slices themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
import streamlit as st

from covid_core.data.stored import stored_slices
from covid_core.errors import DatasetError
from covid_core.models.library import Card
from covid_core.results.metrics import THRESHOLD
from covid_core.results.mistakes import ALARMS, MISSED, worst_mistakes
from covid_core.results.network_answers import NetworkAnswers
from covid_core.ui.background import start_tensorflow
from covid_core.ui.choices import choose, tick
from covid_core.ui.data_folders import dataset_of
from covid_core.ui.errors import plain
from covid_core.ui.one_network import Asked
from covid_core.ui.tables import probability_text

SHOWN, COLUMNS = 8, 4
MOVED = 0.02
"""How far a probability may be from the stored one: rounding weights moves one by 0.005, another machine by less."""


@dataclass(frozen=True, eq=False)
class Mistake:
    """One slice that was called wrongly.

    Args:
        name: Path in the data set.
        probability: Of the positive class, in 0-1.
        pixels: ``(H, W)``, grey values 0-255.
        card: The weights that gave it; None where they are not on this machine.
        fold: What they were trained on, for people.
    """

    name: str
    probability: float
    pixels: np.ndarray
    card: Card | None
    fold: str


def draw_mistakes(asked: Asked, answers: NetworkAnswers, cards: Sequence[Card], positive: str) -> None:
    """Draw the choice of a kind of mistakes, the table of all, and the surest ones as slices.

    Args:
        asked: Whose answers they are.
        answers: The answers.
        cards: Trained weights of the network on this machine.
        positive: Name of the positive class.
    """
    kinds = {f"Missed {positive} slices": MISSED, "False alarms": ALARMS}
    label = choose(st.segmented_control, "Mistakes", list(kinds), "mistakes", default=next(iter(kinds)), required=True)
    kind = kinds[label]
    table = worst_mistakes(answers.rows, kind)
    of_class = answers.rows["label"] == int(kind == MISSED)
    asked_slices = answers.rows.loc[of_class, "slice"].nunique()
    what = f"{positive} slices" if kind == MISSED else f"slices without {positive}"
    if table.empty:
        st.success(
            f"None of the {asked_slices} {what} was called wrongly." if asked_slices else f"There are no {what} here.",
            icon=":material/check:",
        )
        return
    st.dataframe(
        _rows(table, positive),
        key="mistakes_table",
        hide_index=True,
        height="content" if len(table) <= 10 else 390,  # half a row more: there is something to scroll to
        column_config={
            "Slice": st.column_config.TextColumn(width=220),
            "Round": st.column_config.NumberColumn(width=60),
            "Fold": st.column_config.NumberColumn(width=50),
        },
    )
    st.caption(
        f"{len(table)} of {asked_slices} {what}, the surest mistakes first, called at a probability of {THRESHOLD}. "
        "Another threshold makes the list longer or shorter at its end only. A sure mistake can be the network's or "
        "the label's: a patient's slice need not show the disease."
    )
    dataset = dataset_of(answers.dataset, answers.dataset_digest, positive)
    if dataset is None:
        return
    position = {path: number for number, path in enumerate(dataset.paths)}
    unknown = [name for name in table["slice"].head(SHOWN) if name not in position]
    if unknown:  # results from elsewhere may call them otherwise
        raise DatasetError(
            f"Expected the slices by the names that the answers have. Received: {dataset.name} without {unknown[0]!r}. "
            "The answers were imported under other names; the table above is all that can be shown."
        )
    with stored_slices(dataset) as read:
        mistakes = [
            Mistake(
                name=row.slice,
                probability=float(row.probability),
                pixels=read(position[row.slice]),
                card=card_of(asked, cards, row.round, row.fold),
                fold=f"round {row.round}, fold {row.fold}",
            )
            for row in table.head(SHOWN).itertuples()
        ]
    maps = {}
    if tick("Where the network looked: Grad-CAM of these slices", False, "maps"):
        maps = _maps(asked, mistakes, kind)
    for start in range(0, len(mistakes), COLUMNS):
        for column, mistake in zip(st.columns(COLUMNS), mistakes[start : start + COLUMNS], strict=False):
            grey = np.clip(np.rint(mistake.pixels), 0, 255).astype(np.uint8)
            # above the picture, whose heights differ
            column.caption(
                f"**{probability_text(mistake.probability)}** · {plain(PurePosixPath(mistake.name).name)}"
                + (f" · {mistake.fold}" if answers.folds > 1 else "")
            )
            column.image(grey, width="stretch")
            if mistake.name in maps:
                column.image(maps[mistake.name], width="stretch")
    st.caption(
        f"The number is the probability of {positive} that was stored when the slice was tested."
        + (" Each map is on its own scale; a slice that stays grey has an empty map." if maps else "")
    )


def card_of(asked: Asked, cards: Sequence[Card], round_: int, fold: int) -> Card | None:
    """The weights that gave an answer, if they are on this machine.

    Args:
        asked: Whose answers they are.
        cards: Trained weights of the network.
        round_: Of the answer.
        fold: Of the answer.
    """
    if asked.elsewhere:
        return next((card for card in cards if card.sha256 == asked.sha256), None)
    wanted = (asked.place, round_, fold)
    return next((card for card in cards if (card.experiment, card.round, card.fold) == wanted), None)


def _maps(asked: Asked, mistakes: Sequence[Mistake], kind: str) -> dict[str, np.ndarray]:
    """Overlays by path, of the mistakes whose weights are here; says what is missing."""
    missing = sorted({mistake.fold for mistake in mistakes if mistake.card is None})
    if missing:
        st.info(
            f"Weights of {asked.model} that gave these answers are not on this machine: {'; '.join(missing)}. A "
            "campaign keeps those of its first fold; with `--save all` it keeps every fold's. Training again with the "
            "same settings, into another store, makes them up to chance:",
            icon=":material/info:",
        )
        st.code(
            f"python train_all.py --networks {asked.model} --save all --store sqlite:///again.sqlite --dataset FOLDER",
            language="bash",
            wrap_lines=True,
        )
    if len(missing) == len({mistake.fold for mistake in mistakes}):
        return {}
    classes = next(mistake.card.classes for mistake in mistakes if mistake.card)
    named = choose(
        st.segmented_control, "Map for", list(classes), f"{kind}_map",
        default=classes[-1] if kind == ALARMS or len(classes) > 2 else classes[0], required=True,
    )  # fmt: skip
    start_tensorflow()
    from covid_core.ui.mistake_maps import overlays

    maps, now = overlays([mistake for mistake in mistakes if mistake.card], classes.index(named))
    moved = [one for one in mistakes if abs(now.get(one.name, one.probability) - one.probability) > MOVED]
    if moved:
        st.warning(
            f"The weights here do not give what was stored: {plain(moved[0].name)} has a probability of "
            f"{probability_text(now[moved[0].name])} now, {probability_text(moved[0].probability)} then"
            + (f", and {len(moved) - 1} more moved." if len(moved) > 1 else ".")
            + " They were trained again, or see the slices otherwise; the maps are theirs.",
            icon=":material/warning:",
        )
    return maps


def _rows(table: pd.DataFrame, positive: str) -> pd.DataFrame:
    rows = pd.DataFrame(
        {
            "Slice": table["slice"],
            f"Probability of {positive}": [probability_text(value) for value in table["probability"]],
            "Round": table["round"],
            "Fold": table["fold"],
        }
    )
    if table["asked"].max() > 1:
        rows["Called wrongly"] = [f"{row.wrong} of {row.asked} times" for row in table.itertuples()]
    return rows
