"""A visitor without a browser: speaks with a running server as Streamlit's front end does."""

from __future__ import annotations

import http.client
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.sync.client import ClientConnection, connect

SECONDS = 60


class Visitor:
    """One tab.

    Args:
        socket: Its connection.
        url: Of the server.
        cookies: Name to value.
    """

    def __init__(self, socket: ClientConnection, url: str, cookies: dict[str, str]):
        self.socket = socket
        self.url = url
        self.cookies = cookies
        self.session = ""

    def run(self, page: str = "", widgets: Sequence[WidgetState] = ()) -> list[ForwardMsg]:
        """Run the page's script, and give all messages up to the end of the last run."""
        message = BackMsg()
        message.rerun_script.page_name = page
        message.rerun_script.widget_states.widgets.extend(widgets)
        self.send(message)
        messages = []
        while True:
            messages.append(self.receive())
            kind = messages[-1].WhichOneof("type")
            if kind == "new_session":
                self.session = messages[-1].new_session.initialize.session_id
            if kind == "script_finished" and messages[-1].script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
                return messages

    def press(self, messages: Sequence[ForwardMsg], label: str, page: str = "") -> list[ForwardMsg]:
        """Press a button that stands in ``messages``."""
        button = next(one for one in elements(messages, "button") if one.label == label)
        return self.run(page, [WidgetState(id=button.id, trigger_value=True)])

    def send(self, message: BackMsg) -> None:
        self.socket.send(message.SerializeToString())

    def receive(self) -> ForwardMsg:
        return ForwardMsg.FromString(self.socket.recv(SECONDS))

    def put(
        self,
        data: bytes,
        *,
        session: str | None = None,
        file: str | None = None,
        name: str = "slice.png",
        token: bool = True,
        length: int | None = None,
        method: str = "PUT",
    ) -> tuple[int, str]:
        """Call the upload endpoint; status and text of the answer.

        Args:
            data: The file.
            session: Whose it is; by default this tab's.
            file: Its name for Streamlit; by default a new one.
            name: Its name for the visitor.
            token: Whether to send the token against forged requests.
            length: What the request says of its length, if not the truth.
            method: PUT or DELETE.
        """
        boundary = "end-of-part"
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        body = head.encode() + b"Content-Type: image/png\r\n\r\n" + data + f"\r\n--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Cookie": _cookie_header(self.cookies)}
        headers["Content-Length"] = str(len(body) if length is None else length)
        if token:
            headers["X-Xsrftoken"] = self.cookies["_streamlit_xsrf"]
        path = f"/_stcore/upload_file/{session or self.session}/{file or uuid.uuid4()}"
        return ask(self.url, method, path, headers, body if length is None else b"")[:2]


@contextmanager
def visitor(
    url: str, origin: str | None = None, cookies: dict[str, str] | None = None, session: str | None = None
) -> Iterator[Visitor]:
    """A tab that has connected.

    Args:
        url: Of the server.
        origin: The page that connects; by default the server's own.
        cookies: Those that the browser has beside the token against forged requests.
        session: That of a tab whose connection was interrupted.
    """
    _, _, headers = ask(url, "GET", "/_stcore/health")
    token = headers["set-cookie"].partition(";")[0].partition("=")[2]
    cookies = {"_streamlit_xsrf": token} | (cookies or {})
    with connect(
        f"ws{url.removeprefix('http')}/_stcore/stream",
        origin=origin or url,
        subprotocols=["streamlit", token, *([session] if session else [])],
        additional_headers={"Cookie": _cookie_header(cookies)},
        max_size=None,
        open_timeout=SECONDS,
    ) as socket:
        yield Visitor(socket, url, cookies)


def ask(
    url: str, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
) -> tuple[int, str, dict[str, str]]:
    """Status, text and headers of one request: names in small letters, headers of one name on lines of their own."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=SECONDS)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        headers: dict[str, str] = {}
        for name, value in answer.getheaders():
            headers[name.lower()] = "\n".join(filter(None, [headers.get(name.lower()), value]))
        return answer.status, text, headers
    finally:
        connection.close()


def elements(messages: Sequence[ForwardMsg], kind: str) -> list:
    """All elements of a kind that the messages draw, as Streamlit's messages."""
    drawn = [one.delta.new_element for one in messages if one.WhichOneof("type") == "delta"]
    return [getattr(one, kind) for one in drawn if one.WhichOneof("type") == kind]


def _cookie_header(cookies: dict[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in cookies.items())
