"""Fixtures that several files share."""

from __future__ import annotations

import pytest


@pytest.fixture
def places(tmp_path, monkeypatch):
    """An installation of its own: nothing of the repository's store, results or networks."""
    for name in ("networks", "results", "cache"):
        monkeypatch.setenv(f"COVID_{name.upper()}", str(tmp_path / name))
    monkeypatch.setenv("COVID_STORE", f"sqlite:///{tmp_path / 'store.sqlite'}")
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path
