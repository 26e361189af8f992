"""A dashboard that runs as a process of its own, as a fresh clone would serve it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
WATCHED = ("-m", "streamlit", "run", str(Path(__file__).with_name("watched.py")))


@dataclass
class Server:
    """A running dashboard."""

    process: subprocess.Popen
    url: str
    log: Path

    def loaded(self, library: str) -> bool:
        """Whether the process has mapped a library's file into memory."""
        return library in Path(f"/proc/{self.process.pid}/maps").read_text()

    def watched(self) -> dict:
        """What a server that runs ``WATCHED`` says of itself."""
        with urllib.request.urlopen(f"{self.url}/watched", timeout=60) as answer:
            return json.load(answer)

    def wait_until_nothing_is_held(self, seconds: float = 60) -> None:
        """Until a server that runs ``WATCHED`` has freed all that was made from uploads."""
        end = time.monotonic() + seconds
        while held := self.watched()["held"]:
            assert time.monotonic() < end, held
            time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running_server(
    folder: Path,
    *,
    port: int | None = None,
    program: Sequence[str] = ("-m", "streamlit", "run", "app.py"),
    environment: Mapping[str, str] | None = None,
    settings: Sequence[str] = (),
) -> Iterator[Server]:
    """Serves the dashboard with a store of its own in ``folder`` until the block ends.

    Args:
        folder: For its store and its log.
        port: Where it listens; any free one by default.
        program: What Python runs.
        environment: Added to this process's.
        settings: Further options of Streamlit.
    """
    port = port or free_port()
    log = folder / "server.log"
    # the repository's own networks and results, not those that someone trained into this checkout
    places = {"COVID_STORE": f"sqlite:///{folder / 'store.sqlite'}", "COVID_NETWORKS": str(REPOSITORY / "trained")}
    places |= {"COVID_DATA": "", "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, *program, "--server.port", str(port), "--server.address", "127.0.0.1", *settings]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env=os.environ | places | (environment or {}),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_healthy(process, url, log)
            yield Server(process, url, log)
        finally:
            process.terminate()
            process.wait(20)


def _wait_until_healthy(process: subprocess.Popen, url: str, log: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:
            if answer.status == 200:
                return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)
