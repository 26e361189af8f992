"""The web server around the pages: what a request must pass before Streamlit sees it, and what every answer carries."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from urllib.parse import SplitResult, urlsplit

from google.protobuf.message import DecodeError
from starlette.datastructures import Headers, MutableHeaders
from starlette.formparsers import MultiPartParser
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose
from streamlit import get_option, runtime
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.runtime.app_session import AppSession
from streamlit.starlette import App

from covid_core.ui.doors import Doors, Refusal, doors
from covid_core.ui.log import keep_messages_out

GRACE_SECONDS = 30.0
"""How long the session of a closed tab is kept, for a connection that was only interrupted."""

HEADERS = {
    # All that the pages need comes from this server, and nothing may be sent to another one. Vega compiles its
    # expressions ('unsafe-eval'), and Streamlit's front end writes its styles and one script into the document.
    "content-security-policy": "; ".join(
        [
            "default-src 'self'",
            "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self' data: blob:",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",  # no page of somebody else's around this one: clicks could be stolen
        ]
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""What every answer carries."""

UNWANTED = frozenset(
    ["clear_cache", "debug_disconnect_websocket", "debug_shutdown_runtime", "load_git_info", "set_run_on_save"]
)
"""Kinds of messages that are dropped."""

logger = logging.getLogger(__name__)
_UPLOAD = re.compile(r"/_stcore/upload_file/(?P<session>[^/]+)/(?P<file>[^/]+)$")
# Not tables: Streamlit's download button asks for its file and leaves the answer unread, and an answer that may not be
# kept then holds its connection for good. Tables hold numbers, never slices.
_PICTURES = re.compile(r"/media/[^/]+(?<!\.csv)$")
_MULTIPART_BYTES = 2**20  # what a request may have beside the file itself, as Streamlit allows it


class AnswerHeaders:
    """Adds ``HEADERS`` to every answer, and keeps pictures made from uploads out of the browser's cache on disk."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                if _PICTURES.search(scope["path"]):
                    headers["cache-control"] = "no-store"
            await send(message)

        await self._app(scope, receive, send_with_headers)


class OriginGate:
    """Refuses requests that a page of another site makes, unless ``server.corsAllowedOrigins`` names it.

    Streamlit refuses them too, but first asks an outside service for this machine's address, and all visitors wait
    meanwhile: up to two seconds a request where there is no way out.
    """

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or connection."""
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            origin = urlsplit(headers.get("origin") or f"//{headers.get('host')}")
            if origin.netloc != headers.get("host") and not _is_allowed(origin):
                refusal = PlainTextResponse("Expected a request of this site's pages. Received: one of another.", 403)
                await (refusal if scope["type"] == "http" else WebSocketClose(1008))(scope, receive, send)
                return
        await self._app(scope, receive, send)


class MessageGate:
    """Drops messages that no page of this dashboard sends.

    Streamlit lets every connected browser, before any gate too, empty the caches of all visitors and ask for the names
    of changed files in the server's git checkout.
    """

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return

        async def receive_wanted() -> Message:
            while True:
                message = await receive()
                if message["type"] != "websocket.receive" or _kind(message.get("bytes") or b"") not in UNWANTED:
                    return message

        await self._app(scope, receive_wanted, send)


class UploadGate:
    """Lets a file in only where ``Doors`` has room for it; what is refused is not read."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        asked = _UPLOAD.search(scope["path"]) if scope["type"] == "http" and scope["method"] == "PUT" else None
        if asked is None:
            await self._app(scope, receive, send)
            return
        session, file = asked["session"], asked["file"]
        held = doors()
        refusal = _enter(held, session, file, Headers(scope=scope).get("content-length", ""))
        if refusal:
            await PlainTextResponse(refusal.reason, refusal.status)(scope, receive, send)
            return
        arrived = False

        async def send_and_look(message: Message) -> None:
            nonlocal arrived
            if message["type"] == "http.response.start":
                arrived = message["status"] < 300
            await send(message)

        try:
            await self._app(scope, receive, send_and_look)
        finally:
            if not held.leave(session, file, arrived):  # its session ended meanwhile
                runtime.get_instance().uploaded_file_mgr.remove_session_files(session)


MIDDLEWARE = (Middleware(AnswerHeaders), Middleware(OriginGate), Middleware(MessageGate), Middleware(UploadGate))
"""What every request passes, in this order."""


def lifespan(grace_seconds: float = GRACE_SECONDS) -> Callable[[App], AbstractAsyncContextManager[None]]:
    """What goes on beside the requests while the server runs, as ``App`` takes it.

    Sessions of tabs that were closed are ended: Streamlit keeps them for ``server.disconnectedSessionTTL`` seconds and,
    after that, until the next visitor comes.

    Args:
        grace_seconds: How long the session of a closed tab is kept.
    """

    @asynccontextmanager
    async def running(_app: App) -> AsyncGenerator[None]:
        # The parser of requests writes files above 1 MiB to the temporary folder, and Streamlit has no setting for
        # that. Nothing uploaded may reach a disk.
        MultiPartParser.spool_max_size = _most_bytes() + _MULTIPART_BYTES
        keep_messages_out()
        task = asyncio.create_task(_forget_the_gone(grace_seconds))
        try:
            yield
        finally:
            task.cancel()

    return running


def _most_bytes() -> int:
    return get_option("server.maxUploadSize") * 2**20


def _is_allowed(origin: SplitResult) -> bool:
    return f"{origin.scheme}://{origin.netloc}" in get_option("server.corsAllowedOrigins")


def _kind(data: bytes) -> str | None:
    try:
        return BackMsg.FromString(data).WhichOneof("type")
    except DecodeError:
        return None  # Streamlit ends the connection


def _enter(held: Doors, session: str, file: str, length: str) -> Refusal | None:
    if not (length.isascii() and length.isdigit()):  # the server reads no more of a request than it announces
        return Refusal(411, "Expected a request that says its length. Received: one without. Use the page's uploader.")
    if int(length) > _most_bytes() + _MULTIPART_BYTES:
        return Refusal(413, f"Expected a file of at most {_most_bytes() // 2**20} MiB. Received: a larger one.")
    return held.enter(session, file, int(length))


async def _forget_the_gone(grace_seconds: float) -> None:
    seen: dict[str, tuple[float, AppSession | None]] = {}
    while True:
        await asyncio.sleep(min(1.0, grace_seconds / 2))
        held, streamlit, now = doors(), runtime.get_instance(), time.monotonic()
        sessions = held.sessions
        seen = {session: seen.get(session, (now, None)) for session in sessions}
        ended = False
        for session in sessions:
            since, last = seen[session]
            if streamlit.is_active_session(session):
                seen[session] = now, streamlit.get_app_session(session)
            elif now - since > grace_seconds:
                held.close(session)
                try:
                    streamlit.close_session(session)
                    if last:
                        _empty(last)
                except Exception:  # of whatever one session holds: those of the others must still end
                    logger.exception("A session could not be ended")
                ended = True
        last = None
        seen = {session: one for session, one in seen.items() if session in held.sessions}
        if ended:
            _collect()


def _empty(session: AppSession) -> None:
    """Let go of what a session holds: Streamlit's main loop keeps the last one until another visitor comes."""
    session.session_state.clear()
    session._fragment_storage.clear()  # parts of pages that run by themselves, with what they draw


def _collect() -> None:
    """Free the objects of ended sessions, which refer to each other in circles.

    Those of sessions that were open when TensorFlow was imported are frozen with it (``background.py``), and would stay
    for good.
    """
    frozen = gc.get_freeze_count()
    gc.unfreeze()
    gc.collect()
    if frozen:
        gc.freeze()
