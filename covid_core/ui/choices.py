"""Widgets whose value stands in the URL and comes back when the reader returns to the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

_REMEMBERED = "remembered"
_PAGE = "page_drawn"
_ARRIVED = "arrived"


def arrive(page: str) -> None:
    """Note which page is drawn: on a page that the reader has just come to, choices are made again.

    Args:
        page: Name of the page.
    """
    # widgets made again since then, each once: a part of the page that runs again by itself has not arrived anew
    st.session_state[_ARRIVED] = set() if st.session_state.get(_PAGE) != page else None
    st.session_state[_PAGE] = page


def choose(widget: Callable[..., Any], label: str, options: Sequence[str], key: str, **settings: Any) -> Any:
    """A widget of Streamlit that picks from ``options``, bound to the query parameter ``key``.

    Options are texts, shown and put into the URL as they are (with ``format_func`` the URL would hold its result).
    A parameter in the URL that is none of the options is dropped by Streamlit, and the default stands. Streamlit
    forgets the widgets of a page that is left; the last choice is therefore kept here, and is made again when the
    reader comes back without a parameter of their own, or opens another page that asks the same question.

    Args:
        widget: ``st.selectbox``, ``st.segmented_control``, ``st.pills``, ``st.multiselect``, …
        label: Label.
        options: What can be picked. It may differ from run to run; a choice that is gone falls back to the default.
        key: Name of the widget and of the query parameter.
        settings: Passed on to the widget; ``bind=None`` keeps the choice out of the URL.

    Returns:
        What the widget returns.
    """
    default = options[settings.get("index", 0)] if widget == st.selectbox and options else settings.get("default")
    _recall(key, lambda value: _within(value, options), lambda value: _left_of(value, options, default))
    value = widget(label, options, key=key, **{"bind": "query-params"} | settings)
    if value is None:  # an empty parameter (?key=) empties buttons, even those where a choice is required
        value = settings.get("default")
    _remember(key, value)
    return value


def slide(label: str, low: float, high: float, value: float, key: str, **settings: Any) -> Any:
    """``st.slider`` from ``low`` to ``high``, bound and remembered as ``choose`` does."""
    _recall(key, lambda known: low <= known <= high, lambda _: value)
    chosen = st.slider(label, low, high, value, key=key, bind="query-params", **settings)
    _remember(key, chosen)
    return chosen


def tick(label: str, value: bool, key: str, **settings: Any) -> bool:
    """``st.toggle``, bound and remembered as ``choose`` does."""
    _recall(key, lambda known: isinstance(known, bool), lambda _: value)
    chosen = st.toggle(label, value, key=key, bind="query-params", **settings)
    _remember(key, chosen)
    return chosen


def _recall(key: str, fits: Callable[[Any], bool], otherwise: Callable[[Any], Any]) -> None:
    kept = st.session_state.setdefault(_REMEMBERED, {})
    made = st.session_state.get(_ARRIVED)
    if made is not None and key not in made and key in kept and fits(kept[key]):
        # A parameter in the address still wins: Streamlit lets it override this when the widget is new. And only
        # then: assigning while the reader clicks would take the click back.
        st.session_state[key] = kept[key]
    elif key in st.session_state and not fits(st.session_state[key]):
        # assigned and not deleted: the browser would go on to show what it had
        st.session_state[key] = otherwise(st.session_state[key])
    if made is not None:
        made.add(key)


def _remember(key: str, value: Any) -> None:
    st.session_state[_REMEMBERED][key] = value


def _left_of(value: Any, options: Sequence[Any], default: Any) -> Any:
    """What remains of several choices; where nothing does, and in place of a single one that is gone, the default."""
    return [one for one in value if one in options] or list(default or ()) if isinstance(value, list) else default


def _within(value: Any, options: Sequence[Any]) -> bool:
    return all(one in options for one in value) if isinstance(value, list) else value in options
