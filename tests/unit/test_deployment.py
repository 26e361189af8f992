"""What the image, the compose file and the README say of one another."""

from __future__ import annotations

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from benchmarks.hosted import read_dockerfile
from covid_core.settings import REPOSITORY

DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
IMAGE = read_dockerfile(DOCKERFILE)
COMPOSE = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())
README = (REPOSITORY / "README.md").read_text()


def kept() -> list[str]:
    """What .dockerignore lets through."""
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    return [line.removeprefix("!") for line in lines if line.startswith("!")]


def test_the_linter_finds_nothing_in_the_dockerfile():
    command = [Path(sys.executable).parent / "hadolint", REPOSITORY / "Dockerfile"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_runs_as_somebody_without_rights_and_is_watched():
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER (?!0)\d+$", last, flags=re.MULTILINE)
    assert "/_stcore/health" in re.search(r"^HEALTHCHECK(.*\n)+?\s+CMD .*$", last, flags=re.MULTILINE)[0]
    assert all(re.search(r":\d", name) for name in re.findall(r"^FROM (\S+)", DOCKERFILE, flags=re.MULTILINE))
    assert IMAGE.command == ("streamlit", "run", "app.py")


def test_the_image_holds_what_the_dashboard_needs_and_nothing_that_is_not_in_git():
    sources = [*(source for source, _ in IMAGE.copies), "requirements.txt", "requirements-hosted.txt"]
    assert all((REPOSITORY / source).exists() for source in sources)
    assert all(any(fnmatch(source, pattern) for pattern in kept()) for source in sources)
    assert sorted(kept()) == sorted(sources)
    assert (REPOSITORY / ".dockerignore").read_text().splitlines()[1] == "*"
    held = {"app.py", "covid_core", "pages", "trained", "results/measured", ".streamlit/config.toml"}
    assert held < set(sources)


def test_nothing_is_written_outside_the_volume_and_the_folder_in_memory():
    service = COMPOSE["services"]["dashboard"]
    assert service["read_only"] is True
    assert [one.partition(":")[0] for one in service["tmpfs"]] == ["/tmp"]
    assert [one.partition(":")[2] for one in service["volumes"]] == ["/data"]
    assert IMAGE.environment["HOME"] == "/tmp"
    for variable in ("COVID_STORE", "COVID_CACHE"):
        assert "/data/" in IMAGE.environment[variable]
    assert IMAGE.environment["COVID_NETWORKS"].split(":")[-1].startswith("/data/")  # the last one is written to


def test_the_dashboard_has_no_rights_that_it_does_not_need():
    service = COMPOSE["services"]["dashboard"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["ulimits"]["core"] == 0
    assert service["mem_limit"] == service["memswap_limit"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert COMPOSE["networks"]["inside"]["internal"] is True
    assert COMPOSE["services"]["store"]["networks"] == ["inside"]
    assert "ports" not in COMPOSE["services"]["store"]


def test_no_password_is_written_down():
    text = (REPOSITORY / "compose.yaml").read_text()
    for value in re.findall(r"PASSWORD: (.*)", text):
        assert value.startswith("${POSTGRES_PASSWORD:?")


@pytest.mark.parametrize("variable", sorted(set(re.findall(r"\$\{(\w+)", str(COMPOSE)))))
def test_the_readme_explains_every_variable(variable):
    assert f"`{variable}`" in README


def test_pinned_versions_are_the_same_everywhere():
    pins: dict[str, set[str]] = {}
    for file in REPOSITORY.glob("requirements*.txt"):
        if file.name != "requirements-benchmark.txt":  # an environment of its own
            for name, version in re.findall(r"^([a-z][\w.\[\]-]*)==([\w.]+)", file.read_text(), flags=re.MULTILINE):
                pins.setdefault(name, set()).add(version)
    assert {name: found for name, found in pins.items() if len(found) > 1 and name != "torch"} == {}
