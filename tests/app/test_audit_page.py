"""The audit page: nothing audited, the shipped audit, a folder audited in the background, and who may name one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from streamlit import config

from covid_core.data.audit.export import as_json
from covid_core.data.audit.findings import findings, verdict
from covid_core.data.audit.run import audit
from covid_core.data.audit.tables import cue_rows
from covid_core.data.dataset import load_dataset

SECONDS = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Slices of noise, those of one class in another format; a copy, and a file that is no picture."""
    root = tmp_path_factory.mktemp("data") / "some_folder"
    rng = np.random.default_rng(0)
    for name, suffix in (("COVID", ".png"), ("non-COVID", ".tif")):
        (root / name).mkdir(parents=True)
        for number in range(12):
            picture = cv2.resize(rng.integers(0, 255, (8, 8)).astype(np.uint8), (64, 64))
            assert cv2.imwrite(str(root / name / f"{number}{suffix}"), picture)
    (root / "COVID" / "copy.png").write_bytes((root / "COVID" / "0.png").read_bytes())
    (root / "COVID" / "text_*bold*.png").write_text("no picture")
    return root


@pytest.fixture
def audited(places: Path, folder: Path):
    """The folder's audit, stored where the dashboard looks for audits."""
    measured = audit(load_dataset(folder), "2026-01-01T00:00:00+00:00")
    (places / "results" / "some").mkdir(parents=True)
    (places / "results" / "some" / "audit.json").write_text(as_json(measured), encoding="utf-8")
    return measured


@pytest.fixture
def local() -> Iterator[None]:
    """As where the dashboard was started for its own machine alone."""
    before = config.get_option("server.address")
    config.set_option("server.address", "localhost")
    yield
    config.set_option("server.address", before)


def texts(app) -> str:
    return " ".join(one.value for one in [*app.caption, *app.markdown, *app.info, *app.error])


def test_nothing_audited_names_the_command(open_page):
    app = open_page("audit")
    assert "No data set has been audited yet" in app.info[0].value
    assert "covid_core.data.audit FOLDER" in app.code[0].value
    assert not app.dataframe


def test_the_figures_are_those_of_the_audit(open_page, audited):
    app = open_page("audit")
    assert app.error[0].value.replace("\\", "") == verdict(audited, findings(audited))
    shown = texts(app).replace("\\", "")
    assert {"format", "duplicates", "unreadable"} <= {one.name for one in findings(audited)}
    for one in findings(audited):
        assert one.text in shown
        assert one.advice in shown
    assert app.dataframe[0].value.to_numpy().tolist() == [list(row) for row in cue_rows(audited)]
    assert [metric.value for metric in app.metric] == ["25", str(audited.groups.count), "1", "1"]
    assert app.query_params == {}


def test_a_damaged_audit_is_an_error_that_says_so(open_page, places):
    (places / "results" / "some").mkdir(parents=True)
    (places / "results" / "some" / "audit.json").write_text('{"format": 1}')
    app = open_page("audit")
    assert "Expected an audit as JSON in some/audit.json" in app.error[0].value


def wait_for_audit(app) -> None:
    """Until this session's audit has ended, if one was begun, and the page shows it."""
    if "audit_run" in app.session_state:
        assert app.session_state["audit_run"].job.wait(SECONDS)
        app.run()


def test_a_folder_is_audited_in_the_background(open_page, local, folder):
    app = open_page("audit")
    app.text_input(key="audit_folder").set_value(str(folder))
    app.button(key="audit_start").click().run()
    wait_for_audit(app)
    assert not app.exception
    assert app.metric[0].value == "25"
    assert app.selectbox[0].value.startswith("some_folder · 25 slices")
    assert app.query_params == {}, "what somebody audited is not in the address"
    assert "Does not pass" in app.error[0].value


@pytest.mark.parametrize(
    ("name", "message"), [("", "Expected the path of a folder"), ("/no/such/folder", "which is not there")]
)
def test_a_folder_that_cannot_be_audited_is_refused_and_can_be_corrected(open_page, local, name, message):
    app = open_page("audit")
    app.text_input(key="audit_folder").set_value(name)
    app.button(key="audit_start").click().run()
    wait_for_audit(app)
    assert message in app.error[0].value
    assert app.text_input(key="audit_folder")


def test_a_dashboard_on_a_network_or_behind_a_proxy_lets_nobody_name_a_folder(open_page, monkeypatch, request):
    app = open_page("audit")
    assert not app.text_input
    assert "only where the dashboard answers to its own machine alone" in texts(app)
    request.getfixturevalue("local")
    assert open_page("audit").text_input
    monkeypatch.setattr("streamlit.runtime.context.ContextProxy.headers", {"X-Forwarded-For": "192.0.2.1"})
    assert not open_page("audit").text_input


def test_the_shipped_audit_is_there_at_first_start(open_page, places, monkeypatch):
    monkeypatch.delenv("COVID_RESULTS")
    app = open_page("audit")
    assert app.selectbox[0].value.startswith("sars-cov-2-ct · 2481 slices")
    assert "many slices per patient" in texts(app)
