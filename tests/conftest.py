"""Fixtures that every kind of test shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real CT data, which cannot be part of the repository; skips where it is absent."""
    folder = Path(os.environ.get("COVID_TEST_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"real CT data not at {folder}; set COVID_TEST_DATA to run this test")
    return folder


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--renew-screenshots", action="store_true", help="write the screenshots' baselines instead of comparing"
    )
