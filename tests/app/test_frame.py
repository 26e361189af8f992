"""The frame: disclaimer first, nothing behind it, and the same navigation on every way in."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from covid_core.data.series import MAX_FILE_BYTES

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted(path.stem for path in (REPOSITORY / "pages").glob("*.py"))
RESULTS = [
    "audit",
    "comparison",
    "evidence",
    "external",
    "leaderboard",
    "network",
    "published",
    "studies",
    "tables",
    "training",
]


def test_these_are_the_pages():
    assert set(PAGES) == {*RESULTS, "activations", "figures", "gradcam", "methods"}


@pytest.mark.parametrize("page", PAGES)
def test_the_disclaimer_stands_alone_until_it_is_accepted(open_page, page):
    app = open_page(page, accept=False)
    assert any("not a\nmedical device" in text.value for text in app.markdown)
    assert [button.key for button in app.button] == ["accept"]
    assert not app.selectbox
    assert not app.dataframe
    app.button(key="accept").click().run()
    assert "accept" not in [button.key for button in app.button]
    assert app.selectbox or app.info or app.table


def test_it_is_accepted_once_a_session(open_page):
    app = open_page("leaderboard")
    app.switch_page("pages/training.py").run()
    assert not app.button or app.button[0].key != "accept"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_file_that_runs_without_the_entry_point_shows_the_frame(places, page):
    """What a cold server does for a deep link, as near as AppTest comes to it; the browser tests do the rest."""
    app = AppTest.from_file(REPOSITORY / "pages" / f"{page}.py", default_timeout=60).run()
    assert not app.exception
    assert [button.key for button in app.button] == ["accept"]


def test_pages_of_results_import_no_deep_learning_library(places):
    """One interpreter walks through them all: a module stays imported, so the first page that is named is to blame."""
    code = f"""
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file("app.py", default_timeout=60).run()
app.button(key="accept").click().run()
for page in {RESULTS}:
    app.switch_page(f"pages/{{page}}.py").run()
    assert not app.exception and app.title[0].value, app.exception
    print(page, sorted({{"tensorflow", "keras", "jax", "torch"}} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-len(RESULTS) :] == [f"{page} []" for page in RESULTS]


def test_configuration_sends_nothing_away_and_limits_uploads():
    config = tomllib.loads((REPOSITORY / ".streamlit" / "config.toml").read_text())
    assert config["browser"]["gatherUsageStats"] is False
    assert config["server"]["maxUploadSize"] == MAX_FILE_BYTES // 2**20
