"""The running server, asked directly: what it lets in before the gate and after it, and which settings are in force."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from serving import REPOSITORY, WATCHED, Server, running_server
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from visitor import Visitor, ask, elements, visitor
from websockets.exceptions import ConnectionClosed, InvalidStatus

from covid_core.data.series import MAX_FILE_BYTES

ACCEPT = "I understand"
GRACE_SECONDS = 3.0  # of watched.py
RAISES = """
import streamlit as st
from streamlit.starlette import App

if __name__ == "__main__":
    raise ValueError("a message that quotes patient-7")
else:
    from covid_core.ui.server import MIDDLEWARE, lifespan

    app = App(__file__, middleware=MIDDLEWARE, lifespan=lifespan())
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    hosts = {"STREAMLIT_SERVER_ALLOWED_HOSTS": "127.0.0.1 ct.example.org"}
    with running_server(tmp_path_factory.mktemp("server"), program=WATCHED, environment=hosts) as shared:
        yield shared


@pytest.fixture
def tab(server: Server) -> Iterator[Visitor]:
    with visitor(server.url) as one:
        yield one


def accepted(tab: Visitor) -> Visitor:
    tab.press(tab.run(), ACCEPT)
    return tab


def test_nothing_is_uploaded_before_the_disclaimer_is_accepted(tab):
    messages = tab.run()
    assert not elements(messages, "file_uploader")
    status, text = tab.put(b"slice")
    assert status == 403
    assert "passed the gate" in text
    tab.press(messages, ACCEPT)
    assert tab.put(b"slice")[0] == 204


@pytest.mark.parametrize("page", ["gradcam", "figures", "audit"])
def test_a_deep_link_and_a_forged_click_stay_before_the_gate(server, page):
    with visitor(server.url) as tab:
        messages = tab.run(page)
        assert [one.label for one in elements(messages, "button")] == [ACCEPT]
        # an id as Streamlit makes it for a button that was not drawn
        forged = elements(messages, "button")[0].id.replace("accept", "remove_upload")
        messages = tab.run(page, [WidgetState(id=forged, trigger_value=True)])
        assert [one.label for one in elements(messages, "button")] == [ACCEPT]
        assert tab.put(b"slice")[0] == 403


def test_an_unknown_session_and_that_of_somebody_before_the_gate_get_the_same_answer(server, tab):
    accepted(tab)
    with visitor(server.url) as other:
        other.run()
        assert tab.put(b"slice", session=other.session) == tab.put(b"slice", session="no-such-session")


def test_a_request_without_the_token_against_forgery_is_refused(tab):
    accepted(tab)
    assert tab.put(b"slice", token=False)[0] == 403
    assert tab.put(b"", token=False, method="DELETE")[0] == 403


@pytest.mark.parametrize("length", [MAX_FILE_BYTES + 2**21, 10**15])
def test_a_file_over_the_limit_is_refused_before_its_bytes_are_sent(tab, length):
    accepted(tab)
    started = time.monotonic()
    status, text = tab.put(b"", length=length)
    assert status == 413
    assert "128 MiB" in text
    assert time.monotonic() - started < 5


def test_a_request_that_hides_its_length_is_refused(tab):
    accepted(tab)
    path = f"/_stcore/upload_file/{tab.session}/file"
    status, text, _ = ask(tab.url, "PUT", path, {"Transfer-Encoding": "chunked"}, None)
    assert status == 411
    assert "length" in text


def test_a_session_fills_up_and_has_room_again_when_a_file_is_removed(tab):
    accepted(tab)
    data = bytes(32 * 2**20 - 1000)  # the request that carries it is larger
    answers = [tab.put(data, file=f"file-{number}") for number in range(9)]
    assert [status for status, _ in answers] == [204] * 8 + [413]
    assert "256 MiB" in answers[-1][1]
    assert tab.put(b"", file="file-0", method="DELETE")[0] == 204
    assert tab.put(data, file="file-9")[0] == 204


def test_a_file_is_parsed_in_memory(server, tab):
    accepted(tab)
    before = len(server.watched()["written"])
    assert tab.put(bytes(8 * 2**20))[0] == 204
    assert server.watched()["written"][before:] == []
    assert server.watched()["held"]["UploadedFileRec"] >= 1


def test_the_files_of_a_closed_tab_are_freed_and_those_of_an_interrupted_one_are_kept(server):
    with visitor(server.url) as tab:
        accepted(tab)
        assert tab.put(b"slice")[0] == 204
    with visitor(server.url, session=tab.session) as again:
        again.run()
        assert again.session == tab.session
        time.sleep(2 * GRACE_SECONDS)
        assert server.watched()["held"]["UploadedFileRec"] >= 1
        assert again.put(b"slice")[0] == 204
    server.wait_until_nothing_is_held()
    with visitor(server.url) as other:
        other.run()
        assert other.put(b"slice", session=tab.session)[0] == 403


def test_no_visitor_empties_the_caches_of_all_or_asks_for_the_checkout(server, tab):
    accepted(tab)
    for order in (BackMsg(clear_cache=True), BackMsg(load_git_info=True), BackMsg(set_run_on_save=True)):
        tab.send(order)
    messages = tab.run()
    assert not any(one.WhichOneof("type") == "git_info_changed" for one in messages)
    assert not any(one.session_status_changed.run_on_save for one in messages)
    # clearing empties the session too, which would be before the gate again
    assert ACCEPT not in [one.label for one in elements(messages, "button")]


def test_what_is_no_message_ends_the_connection(server, tab):
    tab.socket.send(b"\xff" * 100)
    with pytest.raises(ConnectionClosed):
        tab.receive()


def test_a_message_above_the_limits_ends_the_connection(server, tab):
    tab.socket.send(bytes(2 * 2**20))  # of a widget's state
    with pytest.raises(ConnectionClosed) as closed:
        tab.receive()
    assert closed.value.rcvd.code == 1009
    with visitor(server.url) as other:
        with contextlib.suppress(ConnectionClosed):
            other.socket.send(bytes(65 * 2**20))  # of a message
        with pytest.raises(ConnectionClosed):  # before its reason can be read, or after
            other.receive()


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "http://127.0.0.1:1", "null"])
def test_another_sites_page_opens_no_session_and_reads_nothing(server, origin):
    started = time.monotonic()
    with pytest.raises(InvalidStatus), visitor(server.url, origin=origin):
        pass
    for path in ("/", "/_stcore/health", "/media/none.png"):
        status, _, headers = ask(server.url, "GET", path, {"Origin": origin})
        assert status == 403
        assert "access-control-allow-origin" not in headers
    assert time.monotonic() - started < 1  # nobody outside was asked for this machine's address


@pytest.mark.parametrize(("host", "status"), [("ct.example.org", 101), ("rebound.example", 403)])
def test_a_server_that_knows_its_name_takes_connections_under_no_other(server, host, status):
    headers = {"Host": host, "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    headers["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    assert ask(server.url, "GET", "/_stcore/stream", headers)[0] == status


def test_the_token_against_forgery_stays_on_this_site(server):
    assert "SameSite=Strict" in ask(server.url, "GET", "/_stcore/health")[2]["set-cookie"]


def test_every_answer_names_what_a_browser_may_do(server):
    for path in ("/", "/gradcam", "/_stcore/health", "/media/none.png"):
        headers = ask(server.url, "GET", path)[2]
        assert "frame-ancestors 'none'" in headers["content-security-policy"], path
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"  # a picture, or none


def test_nothing_is_served_but_the_pages(server):
    assert json.loads(ask(server.url, "GET", "/_stcore/host-config")[1])["allowedOrigins"] == []
    status, text, _ = ask(server.url, "POST", "/_stcore/agent/interact", {"Content-Type": "application/json"}, b"{}")
    assert status >= 400
    assert "does not serve" in text
    source = (REPOSITORY / "app.py").read_text()
    for path in (
        "/app/static/app.py",
        "/static/../../app.py",
        "/../app.py",
        "/%2e%2e/app.py",
        "/app.py",
        "//etc/passwd",
    ):
        with socket.create_connection(("127.0.0.1", urlsplit(server.url).port), 10) as raw:  # as written
            raw.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda raw=raw: raw.recv(65536), b"")).decode(errors="replace")
        assert source[:200] not in answer, path
        assert "root:" not in answer, path


def test_a_failure_leaves_its_kind_and_place_in_the_log_and_its_message_nowhere(tmp_path: Path):
    script = tmp_path / "raises.py"
    script.write_text(RAISES)
    options = ("-m", "streamlit", "run", str(script))
    with running_server(tmp_path, program=options) as server:
        with visitor(server.url) as tab:
            shown = elements(tab.run(), "exception")
        log = server.log.read_text()
    assert [one.type for one in shown] == ["ValueError"]
    assert not any("patient-7" in one.message or one.stack_trace for one in shown)
    assert "ValueError" in log
    assert f"{script}" in log
    assert "patient-7" not in log.replace('raise ValueError("a message that quotes patient-7")', "")
