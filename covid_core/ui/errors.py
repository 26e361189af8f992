"""How an error that the core raised on purpose looks on a page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from covid_core.errors import CovidCoreError


def error_box(error: CovidCoreError) -> None:
    """One box with the error's own text. It is shown as it is: names of files may hold marks of Markdown."""
    st.error(plain(str(error)), icon=":material/error:")


@contextmanager
def shown_errors() -> Iterator[None]:
    """Show an error of the core in a box and end the page there; any other exception passes through."""
    try:
        yield
    except CovidCoreError as error:
        error_box(error)
        st.stop()


def plain(text: str) -> str:
    """``text`` with every mark of Markdown escaped, for texts that hold names of files and the like."""
    for mark in "\\`*_[]<>$#:~|":
        text = text.replace(mark, "\\" + mark)
    return text
