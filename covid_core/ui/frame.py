"""The frame around every page: the page list, the login where one is asked for, the disclaimer, the sidebar."""

from __future__ import annotations

import importlib
import threading

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from covid_core.settings import REPOSITORY
from covid_core.ui.choices import arrive
from covid_core.ui.doors import doors
from covid_core.ui.errors import shown_errors
from covid_core.ui.login import draw_login, draw_logout, logged_in

NAME = "COVID-19 CT Explorer"
DISCLAIMER = """
This dashboard shows what convolutional neural networks make of chest CT slices. It is **research software, not a
medical device**: nobody has approved it for clinical use, and none of its numbers or pictures may guide the care of
a patient.

The networks have seen small public data sets of single slices. Slices from another scanner, another hospital or a
photograph of a screen can give any probability. Remove names and other identifying marks before you upload a slice;
uploads stay in this session's memory and are not stored.
"""

# Lungs with one lit patch
_LUNGS = """
<rect width="64" height="64" rx="14" fill="#0b6b78"/>
<path d="M29 15v27c0 6-5 9-11 9-5 0-7-3-7-8 0-12 6-23 12-23 3 0 6 2 6 6" fill="#d7eaee"/>
<path d="M35 15v27c0 6 5 9 11 9 5 0 7-3 7-8 0-12-6-23-12-23-3 0-6 2-6 6" fill="#d7eaee"/>
<circle cx="45" cy="40" r="5" fill="#d08a2e"/>
"""
_ICON = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" width="64" height="64">{_LUNGS}</svg>'
_LOGO = f"""
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 64" width="400" height="64">{_LUNGS}
<text x="80" y="44" font-family="sans-serif" font-size="30" font-weight="600" fill="#1b2b34">COVID-19 CT Explorer</text>
</svg>
""".strip()

_ACCEPTED = "disclaimer_accepted"
_ROUTED = "routed"


def navigation() -> st.Page:
    """Register the pages and return the one that the URL asks for; ``app.py`` runs it.

    The first page answers at the root. ``/leaderboard`` is kept as a second address of it, so that every file in
    ``pages/`` has a link of its own name.
    """
    st.session_state[_ROUTED] = True
    folder = REPOSITORY / "pages"
    # no icons in the list: Streamlit fetches a page's icon from a font service as soon as the page opens
    leaderboard = st.Page(folder / "leaderboard.py", title="Leaderboard", url_path="home", default=True)

    def home() -> None:
        # to_dict() would keep the last of several values of one parameter
        st.switch_page(leaderboard, query_params={name: st.query_params.get_all(name) for name in st.query_params})

    return st.navigation(
        [
            leaderboard,
            st.Page(folder / "comparison.py", title="Comparison"),
            st.Page(folder / "network.py", title="One network"),
            st.Page(folder / "tables.py", title="Tables and figures"),
            st.Page(folder / "published.py", title="Published numbers"),
            st.Page(folder / "external.py", title="External test"),
            st.Page(folder / "audit.py", title="Data audit"),
            st.Page(folder / "gradcam.py", title="Grad-CAM"),
            st.Page(folder / "methods.py", title="Methods"),
            st.Page(folder / "evidence.py", title="Can the maps be trusted?"),
            st.Page(folder / "activations.py", title="Activations"),
            st.Page(folder / "figures.py", title="Figures"),
            st.Page(folder / "studies.py", title="Map studies"),
            st.Page(folder / "training.py", title="Training"),
            st.Page(home, title="Leaderboard", url_path="leaderboard", visibility="hidden"),
        ],
        expanded=True,
    )


def admitted() -> bool:
    """Whether this visitor has passed the gate: logged in, where that is asked for, and the disclaimer accepted."""
    with shown_errors():
        return logged_in() and st.session_state.get(_ACCEPTED, False)


def gate(title: str) -> None:
    """Draw the frame with the login, or else the disclaimer, in place of the page.

    Args:
        title: The page's heading.
    """
    _shell(title)
    if not logged_in():
        with st.container(border=True, key="login", width=760):
            draw_login()
        return
    with st.container(border=True, key="disclaimer", width=760):
        st.subheader("Before you start", anchor=False)
        st.markdown(DISCLAIMER)
        st.button("I understand", key="accept", type="primary", on_click=_accept)
    _warm_up()


def frame(title: str, lead: str) -> None:
    """Draw what every page starts with; for a visitor who has not passed the gate the page ends here.

    Args:
        title: The page's heading.
        lead: One sentence under it.
    """
    # On a server that nobody has visited, a link to a file in pages/ runs that file without app.py. Registering the
    # pages switches the server over; the rerun then comes through app.py like every other.
    if _ROUTED not in st.session_state:
        navigation()
        st.rerun()
    if not admitted():
        gate(title)
        st.stop()
    arrive(title)
    _shell(title)
    st.markdown(lead)


def _shell(title: str) -> None:
    st.set_page_config(page_title=f"{title} · {NAME}", page_icon=_ICON, layout="wide")
    st.logo(_LOGO, size="large", icon_image=_ICON)
    with st.sidebar:
        st.caption(
            "Research software, not a medical device. Networks and protocol follow Garg et al., "
            "[arXiv 2012.11860](https://arxiv.org/abs/2012.11860v1)."
        )
        draw_logout()
    st.badge("Research software, not a medical device: not for patient care", color="gray")
    st.title(title, anchor=False)


def _accept() -> None:
    st.session_state[_ACCEPTED] = True
    doors().open(get_script_run_ctx().session_id)


@st.cache_resource(show_spinner=False)
def _warm_up() -> threading.Thread:
    """Load what the leaderboard draws with while the first reader of a fresh server reads the disclaimer."""

    def load() -> None:
        for module in ("pyarrow", "covid_core.charts", "covid_core.ui.results"):  # pyarrow: Streamlit's tables
            importlib.import_module(module)

    thread = threading.Thread(target=load, name="warm-up", daemon=True)
    thread.start()
    return thread
