"""Who may come in: everybody, unless ``secrets.toml`` has an ``[auth]`` section for Streamlit's OpenID Connect login.

A mistake must not open the door: a secrets file that cannot be read is refused, and where ``COVID_LOGIN`` says
``required`` a missing section is too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from covid_core.errors import AccessError
from covid_core.settings import Settings


def logged_in() -> bool:
    """Whether this visitor may see the gate's other side: always where no login is asked for.

    Raises:
        AccessError: A login is wanted and cannot be offered.
    """
    return not providers() or _known()


def providers() -> list[str]:
    """Names of the login's providers, ``default`` for the one of ``[auth]`` itself; none where no login is asked for.

    Raises:
        AccessError: A login is wanted and cannot be offered.
    """
    found = st.secrets.load_if_toml_exists()
    unread = [] if found else [path for path in st.get_option("secrets.files") if Path(path).exists()]
    if unread:
        raise AccessError(f"Expected secrets that can be read. Received: {unread[0]}. Correct it, or take it away.")
    section = st.secrets.get("auth") if found else None
    if section is None:
        if Settings.from_environment().login_required:
            raise AccessError(
                "Expected an [auth] section in .streamlit/secrets.toml, since COVID_LOGIN asks for a login. Received: "
                "none. Add it, as SECURITY.md says."
            )
        return []
    names = [name for name, value in section.items() if isinstance(value, Mapping) and "client_id" in value]
    names = (["default"] if "client_id" in section else []) + names
    if not names:
        raise AccessError("Expected a client_id in [auth] of .streamlit/secrets.toml. Received: none. Add a provider.")
    return names


def draw_login() -> None:
    """A button for every provider."""
    st.subheader("Log in", anchor=False)
    st.markdown("This installation is open to people whom its operator knows.")
    names = providers()
    for name in names:
        label = "Log in" if name == "default" else f"Log in with {name}"
        st.button(label, key=f"login_{name}", type="primary", on_click=st.login, args=(name,))
    st.caption("You come back to the first page. A cookie remembers you for 30 days, or until you log out.")


def draw_logout() -> None:
    """A button that ends the session; nothing where nobody is logged in."""
    if providers() and _known():
        st.button("Log out", key="logout", on_click=st.logout)


def _known() -> bool:
    return st.user.get("is_logged_in") is True
