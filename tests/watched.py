"""The dashboard as ``app.py`` serves it, with an address that says what its process has written and still holds."""

from __future__ import annotations

import gc
import os
import sys
from collections import Counter

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from streamlit.runtime.uploaded_file_manager import UploadedFileRec
from streamlit.starlette import App

from covid_core.data.slices import Slice
from covid_core.settings import REPOSITORY
from covid_core.ui.chosen import ChosenSlice
from covid_core.ui.server import MIDDLEWARE, lifespan

GRACE_SECONDS = 3.0


class Written:
    """Every file that Python code of this process opened for writing, made or renamed."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def __call__(self, event: str, arguments: tuple) -> None:
        """Hear of one event of the interpreter, as ``sys.addaudithook`` tells it."""
        if event == "open":
            path, mode, flags = arguments
            if set(mode or "") & set("wax+") or (mode is None and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
                self.paths.append(str(path))
        elif event in ("tempfile.mkdtemp", "tempfile.mkstemp", "os.rename", "os.link", "os.symlink"):
            self.paths.append(str(arguments[0]))


def held() -> dict[str, int]:
    """Things made from uploads that are still in memory, counted by kind."""
    gc.collect()
    kinds = (UploadedFileRec, Slice, ChosenSlice)
    found = [one for one in gc.get_objects() if isinstance(one, kinds)]
    return dict(Counter(type(one).__name__ for one in found if not isinstance(one, ChosenSlice) or one.uploaded))


async def watched(_request: Request) -> JSONResponse:
    """What there is to say."""
    return JSONResponse({"written": written.paths, "held": held()})


written = Written()
sys.addaudithook(written)
app = App(
    REPOSITORY / "app.py", middleware=MIDDLEWARE, lifespan=lifespan(GRACE_SECONDS), routes=[Route("/watched", watched)]
)
