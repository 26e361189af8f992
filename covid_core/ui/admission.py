"""Which slices a network is asked about: an upload that is no axial chest slice gets a reason, no probability, no map.

Generated slices, and those of a data set of chest slices, are not judged.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import streamlit as st

from covid_core.data.refusal import judge_picture
from covid_core.errors import SliceError
from covid_core.ui.chosen import ChosenSlice
from covid_core.ui.errors import error_box, plain
from covid_core.ui.networks import ChosenNetwork

VERDICTS_KEPT = 512

_VERDICTS = "verdicts"


def refusal_of(chosen: ChosenSlice) -> str:
    """Why no network is asked about a slice, by its picture alone; empty where one may be. Kept in this session."""
    if not chosen.uploaded or chosen.is_chest:
        return ""
    known: OrderedDict[str, str] = st.session_state.setdefault(_VERDICTS, OrderedDict())
    key = chosen.digest
    if key not in known:
        known[key] = judge_picture(chosen.pixels, chosen.hounsfield).text
        if len(known) > VERDICTS_KEPT:
            known.popitem(last=False)
    return known[key]


def check_picture(chosen: ChosenSlice) -> None:
    """Stand in front of everything that asks a network.

    Raises:
        SliceError: The slice is refused by its picture.
    """
    reason = refusal_of(chosen)
    if reason:
        raise SliceError(reason)


def admitted(chosen: ChosenSlice, network: ChosenNetwork | None = None) -> bool:
    """Whether networks are asked about the slice; if not, the reason and the slice are drawn.

    Args:
        chosen: The slice.
        network: The one to be asked: how far the slice lies from its training slices is said too, which starts
            TensorFlow. None leaves it out.

    Raises:
        LibraryError: The network, or what is known of its training slices, is damaged.
    """
    reason = refusal_of(chosen)
    if not reason:
        if network is not None and network.card is not None and chosen.uploaded and not chosen.is_chest:
            _compare_with_training(network, chosen)
        return True
    error_box(SliceError(reason))
    grey = np.clip(np.rint(chosen.pixels), 0, 255).astype(np.uint8)
    st.image(grey, caption=plain(f"{chosen.name}: refused, no network was asked"))
    return False


def admit(network: ChosenNetwork | None, *slices: ChosenSlice) -> None:
    """Stop the page at the first slice that is refused, with the reason and the slice.

    Args:
        network: As for ``admitted``.
        slices: What the page is about to ask networks about.
    """
    for one in slices:
        if not admitted(one, network):
            st.stop()


def _compare_with_training(network: ChosenNetwork, chosen: ChosenSlice) -> None:
    """Say where a slice lies far from the network's training slices, or that it cannot be known.

    No refusal: beyond the limit lie wrong pictures and chest slices of other hospitals alike.
    """
    from covid_core.ui import inference  # starts TensorFlow

    found = inference.unfamiliar(network, chosen)
    if found is None:
        st.caption(
            f"{network.spec.name} has no check of how far a slice lies from those that it was trained on; only the "
            "picture was judged."
        )
    elif found:
        st.warning(found, icon=":material/warning:")
