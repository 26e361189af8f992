"""The steps of the Dockerfile in a clean folder, for machines without a container engine: ``make hosted-check``.

Copies what the image would hold, installs what it would install, takes the right to write away, starts the server as
another user (where this one is root) with the image's environment, opens pages in Chromium, and says what was written.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shlex
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from covid_core.settings import REPOSITORY

NOBODY = 65534
LANDMARKS = {"leaderboard": "stVegaLiteChart", "gradcam": "stImage"}


@dataclass(frozen=True)
class Image:
    """What the Dockerfile says of the image.

    Args:
        copies: Sources of what lies in /app, relative to the repository, and where each goes.
        environment: Of the running server.
        command: What it runs.
    """

    copies: tuple[tuple[str, str], ...]
    environment: Mapping[str, str]
    command: tuple[str, ...]


def read_dockerfile(text: str) -> Image:
    """The parts of a Dockerfile in the form that ours has."""
    lines = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    build, run = [part.splitlines() for part in re.split(r"^FROM .*$", "\n".join(lines), flags=re.MULTILINE)[1:]]
    copies = [words[1:] for line in build if (words := shlex.split(line)) and words[0] == "COPY"]
    environment = dict(
        pair.split("=", 1) for line in run if line.startswith("ENV ") for pair in shlex.split(line.removeprefix("ENV "))
    )
    command = next(line for line in run if line.startswith("CMD "))
    return Image(
        tuple((source, target) for *sources, target in copies for source in sources if target.startswith("/app")),
        environment,
        tuple(re.findall(r'"([^"]*)"', command)),
    )


def main() -> int:
    """0 if the pages opened and nothing was written beside the places for it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "--python", type=Path, help="an interpreter with the requirements; a new one is made otherwise"
    )
    options.add_argument("--store", help="SQLAlchemy URL of the results store; the image's own file otherwise")
    chosen = options.parse_args()
    image = read_dockerfile((REPOSITORY / "Dockerfile").read_text())
    with tempfile.TemporaryDirectory(prefix="hosted-") as name:
        root = Path(name)
        root.chmod(0o755)
        copy_files(image, root)
        python = chosen.python or install(root)
        before = facts(root / "app")
        environment = {
            key: re.sub(r"(?<![\w.])/(app|data|tmp)\b", rf"{root}/\1", value)
            for key, value in image.environment.items()
        }
        # a sqlite URL has its path behind three slashes
        environment["COVID_STORE"] = chosen.store or f"sqlite:///{root}/data/store.sqlite"
        environment["PATH"] = f"{python.parent}:/usr/bin:/bin"
        environment["TMPDIR"] = environment["HOME"]
        with served(root, [str(python), "-m", *image.command], environment) as url:
            for page, landmark in LANDMARKS.items():
                print(f"{page}: shown after {open_page(url, page, landmark):.1f} s")
        changed = sorted(set(facts(root / "app").items()) ^ set(before.items()))
        print("written in the code's folder:", changed or "nothing")
        for place in ("data", "tmp"):
            print(
                f"written in {place}:", sorted(str(one.relative_to(root)) for one in facts(root / place)) or "nothing"
            )
    return 1 if changed else 0


def copy_files(image: Image, root: Path) -> None:
    """Fill ``root`` as the image, without the right to write outside data and tmp."""
    for source, target in image.copies:
        place = root / target.lstrip("/")
        if target.endswith("/"):
            place = place / Path(source).name
        place.parent.mkdir(parents=True, exist_ok=True)
        if (REPOSITORY / source).is_dir():
            shutil.copytree(REPOSITORY / source, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(REPOSITORY / source, place)
    for path in (root / "app", *(root / "app").rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    for place in ("data", "tmp"):
        (root / place).mkdir(exist_ok=True)
        if os.getuid() == 0:
            os.chown(root / place, NOBODY, NOBODY)


def install(root: Path) -> Path:
    """The interpreter of a new environment with the image's requirements."""
    subprocess.run([sys.executable, "-m", "venv", root / "venv"], check=True)
    python = root / "venv" / "bin" / "python"
    started = time.monotonic()
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]
    subprocess.run([*command, REPOSITORY / "requirements-hosted.txt"], check=True)
    print(f"requirements installed in {time.monotonic() - started:.0f} s")
    return python


@contextlib.contextmanager
def served(root: Path, command: list[str], environment: Mapping[str, str]) -> Iterator[str]:
    """The address of the server, until the block ends; its log is printed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    user = {}
    if os.getuid() == 0 and others_may_run(Path(command[0])):
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    elif os.getuid() == 0:
        print(f"{command[0]} may be run by root alone, so root runs it: rights to write are not checked")
    environment = {**environment, "STREAMLIT_SERVER_PORT": str(port)}
    log = root / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=root / "app", env=environment, stdout=out, stderr=subprocess.STDOUT, **user
        )
        try:
            started = time.monotonic()
            while not healthy(port):
                if process.poll() is not None or time.monotonic() - started > 120:
                    raise SystemExit(f"Expected a server that starts. Its log:\n{log.read_text()}")
                time.sleep(0.2)
            print(f"healthy after {time.monotonic() - started:.1f} s, as user {os.stat(f'/proc/{process.pid}').st_uid}")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)
            print(log.read_text())


def others_may_run(python: Path) -> bool:
    """Whether a user without rights reaches the interpreter and what it links to."""
    program = python.resolve()
    return all(place.stat().st_mode & stat.S_IXOTH for place in (program, *program.parents, *python.absolute().parents))


def healthy(port: int) -> bool:
    """What the image's health check asks."""
    with contextlib.suppress(OSError):
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=4).status == 200
    return False


def open_page(url: str, page: str, landmark: str) -> float:
    """Seconds from the disclaimer to what the page shows."""
    names = ("chromium", "chromium-browser", "google-chrome")
    installed = next((path for path in map(shutil.which, names) if path), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=installed, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page()
        tab.goto(f"{url}/{page}")
        tab.get_by_role("button", name="I understand").click(timeout=60_000)
        started = time.monotonic()
        expect(tab.get_by_test_id(landmark).first).to_be_visible(timeout=180_000)
        if tab.get_by_test_id("stException").count() or tab.get_by_test_id("stAlertContentError").count():
            raise SystemExit(f"Expected the page {page}. Received: {tab.get_by_test_id('stMain').inner_text()[:500]}")
        seconds = time.monotonic() - started
        browser.close()
    return seconds


def facts(folder: Path) -> dict[Path, tuple[int, int]]:
    """Files below ``folder`` with what changes when they are written: time and size."""
    found = {}
    for path in folder.rglob("*"):
        state = path.lstat()
        if stat.S_ISREG(state.st_mode):
            found[path] = (state.st_mtime_ns, state.st_size)
    return found


if __name__ == "__main__":
    sys.exit(main())
