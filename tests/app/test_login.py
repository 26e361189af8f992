"""The login: off by default, first of all where it is on, never open by mistake, and once against a real provider."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
import streamlit as st
from identity_provider import CLIENT, EMAIL, identity_provider
from serving import REPOSITORY, free_port, running_server
from streamlit.testing.v1 import AppTest
from visitor import ask, elements, visitor

PAGES = sorted(path.stem for path in (REPOSITORY / "pages").glob("*.py"))
AUTH = {"client_id": "dashboard", "client_secret": "secret", "cookie_secret": "c" * 32}


def opened(page: str = "leaderboard", auth: dict | None = None, accept: bool = False) -> AppTest:
    app = AppTest.from_file(REPOSITORY / "app.py", default_timeout=60)
    if auth is not None:
        app.secrets["auth"] = auth
    if accept:
        app.session_state["disclaimer_accepted"] = True
    if page != "leaderboard":
        app.switch_page(f"pages/{page}.py")
    return app.run()


def keys(app: AppTest) -> list[str]:
    return [button.key for button in app.button]


def error(app: AppTest) -> str:
    return app.error[0].value.replace("\\", "")  # marks of Markdown are escaped


def test_nobody_is_asked_by_default(places):
    assert keys(opened()) == ["accept"]


@pytest.mark.parametrize("page", PAGES)
def test_the_login_comes_before_the_disclaimer_and_every_page(places, page):
    # a session that has somehow accepted is before the login all the same
    app = opened(page, AUTH, accept=True)
    assert not app.exception
    assert keys(app) == ["login_default"]
    assert not app.selectbox
    assert not app.dataframe


def test_every_provider_has_a_button(places):
    app = opened(auth={"cookie_secret": "c" * 32, "clinic": {"client_id": "a"}, "partner": {"client_id": "b"}})
    assert keys(app) == ["login_clinic", "login_partner"]


def test_who_is_logged_in_accepts_the_disclaimer_and_can_log_out(places, monkeypatch):
    monkeypatch.setattr(st, "user", {"is_logged_in": True})
    app = opened(auth=AUTH)
    assert sorted(keys(app)) == ["accept", "logout"]
    app.button(key="accept").click().run()
    assert not app.exception
    assert "logout" in keys(app)
    assert "accept" not in keys(app)


@pytest.mark.parametrize("claim", [False, "True", 1, None])
def test_only_a_login_is_a_login(places, monkeypatch, claim):
    monkeypatch.setattr(st, "user", {"is_logged_in": claim, "email": EMAIL})
    assert keys(opened(auth=AUTH)) == ["login_default"]


@pytest.mark.parametrize("wanted", ["required", "yes", "Optional"])
def test_a_login_that_is_wanted_and_not_set_up_closes_the_dashboard(places, monkeypatch, wanted):
    monkeypatch.setenv("COVID_LOGIN", wanted)
    app = opened(accept=True)
    assert "COVID_LOGIN asks for a login" in error(app)
    assert not app.button
    assert not app.selectbox


@pytest.mark.parametrize("auth", [{}, {"cookie_secret": "c" * 32}])
def test_a_login_without_a_provider_closes_it_too(places, auth):
    app = opened(auth=auth, accept=True)
    assert "Expected a client_id" in error(app)
    assert not app.button


def test_secrets_that_cannot_be_read_close_it_too(places, tmp_path):
    broken = tmp_path / "secrets.toml"
    broken.write_text("[auth\nclient_id = 'dashboard'\n")
    before = st.get_option("secrets.files")
    st.secrets._reset()
    st.config._set_option("secrets.files", [str(broken)], "this test")
    try:
        app = opened(accept=True)
    finally:
        st.config._set_option("secrets.files", before, "this test")
    assert "can be read" in error(app)
    assert not app.button


def test_a_visitor_logs_in_with_a_provider_and_out_again(tmp_path: Path):
    port = free_port()
    url, secrets = f"http://127.0.0.1:{port}", tmp_path / "secrets.toml"
    with identity_provider() as provider:
        secrets.write_text(
            f"[auth]\nredirect_uri = '{url}/oauth2callback'\ncookie_secret = '{'c' * 32}'\nclient_id = '{CLIENT}'\n"
            f"client_secret = 'secret'\nserver_metadata_url = '{provider}/.well-known/openid-configuration'\n"
        )
        # a login switches the protection against forged requests on, whatever the settings say
        off = ("--secrets.files", str(secrets), "--server.enableXsrfProtection", "false")
        with running_server(tmp_path, port=port, settings=off) as server:
            with visitor(url) as stranger:
                messages = stranger.run("gradcam")
                assert [one.label for one in elements(messages, "button")] == ["Log in"]
                assert stranger.put(b"slice")[0] == 403
                redirects = [one.auth_redirect.url for one in stranger.press(messages, "Log in")]
            cookies = follow(url, next(one for one in redirects if one))
            with visitor(url, cookies=cookies) as known:
                messages = known.run("gradcam")
                assert [one.label for one in elements(messages, "button")] == ["Log out", "I understand"]
                assert known.put(b"slice")[0] == 403
                known.press(messages, "I understand")
                assert known.put(b"slice", token=False)[0] == 403
                assert known.put(b"slice")[0] == 204
                redirects = [one.auth_redirect.url for one in known.press(messages, "Log out")]
                assert any(one.endswith("/auth/logout") for one in redirects)
            changed = dict(cookies, _streamlit_user=cookies["_streamlit_user"][:-2] + "xx")
            with visitor(url, cookies=changed) as forger:
                assert [one.label for one in elements(forger.run(), "button")] == ["Log in"]
            log = server.log.read_text()
    assert EMAIL not in log


def follow(url: str, path: str) -> dict[str, str]:
    """The cookies of a browser that has followed a login's redirects from the dashboard and back to it."""
    cookies: dict[str, str] = {}
    place = url + path
    for _ in range(3):
        root = "{0.scheme}://{0.netloc}".format(urlsplit(place))
        header = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())} if root == url else {}
        status, text, headers = ask(root, "GET", place.removeprefix(root), header)
        assert status == 302, text
        if root == url:
            cookies |= headers_to_cookies(headers)
        place = headers["location"]
    assert place == "/"
    return cookies


def headers_to_cookies(headers: dict[str, str]) -> dict[str, str]:
    pairs = [one.partition(";")[0].partition("=") for one in headers.get("set-cookie", "").split("\n") if one]
    return {name: value for name, _, value in pairs}
