"""The audit as a command, as JSON and as HTML."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from covid_core.data.audit.__main__ import main
from covid_core.data.audit.export import as_json
from covid_core.data.audit.findings import findings, verdict
from covid_core.data.audit.html import as_html
from covid_core.data.audit.record import from_json
from covid_core.data.audit.run import audit
from covid_core.data.audit.tables import CUE_COLUMNS, chart_rows, cue_rows, facts
from covid_core.data.dataset import load_dataset
from covid_core.errors import DatasetError

SCRIPT = "<script>alert('x')<"  # a slash cannot be in a name


def noise_folder(root: Path, suffix: str = ".png", count: int = 12) -> Path:
    """Slices of noise; those of the negative class in the format of ``suffix``."""
    rng = np.random.default_rng(0)
    for name, ending in (("COVID", ".png"), ("non-COVID", suffix)):
        (root / name).mkdir(parents=True)
        for number in range(count):
            picture = cv2.resize(rng.integers(0, 255, (8, 8)).astype(np.uint8), (64, 64))
            assert cv2.imwrite(str(root / name / f"{number}{ending}"), picture)
    return root


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory):
    """An audit with findings of several kinds, and names of files that are HTML and console markup."""
    root = noise_folder(tmp_path_factory.mktemp("data") / "a_[bold]_&_<b>", ".tif")
    (root / "COVID" / f"{SCRIPT}.png").write_text("no picture")
    (root / "COVID" / "[red]copy.png").write_bytes((root / "COVID" / "0.png").read_bytes())
    return audit(load_dataset(root), "2026-01-01T00:00:00+00:00")


def test_json_gives_the_audit_back_and_holds_no_path_of_the_machine(measured):
    text = as_json(measured)
    assert from_json(text, "audit.json") == measured
    data = json.loads(text)
    assert data["verdict"] == verdict(measured, findings(measured))
    assert data["passes"] is False
    assert [one["name"] for one in data["findings"]] == ["format", "unreadable", "duplicates"]
    assert "/tmp" not in text
    assert str(Path.home()) not in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.pop("groups"), "KeyError"),
        (lambda data: data.update(format=99), "Expected an audit of format 1 in audit.json. Received: 99"),
        (lambda data: data.update(name=3), "a text expected"),
        (lambda data: data["told"][0].update(auc=[1]), "TypeError"),
        (lambda data: data["told"][0].update(odd=1), "TypeError"),
        (lambda data: data["classes"].update(COVID="many"), "ValueError"),
    ],
)
def test_json_that_is_no_audit_is_refused(measured, change, message):
    data = json.loads(as_json(measured))
    change(data)
    with pytest.raises(DatasetError, match=re.escape(message)):
        from_json(json.dumps(data), "audit.json")
    with pytest.raises(DatasetError, match="Audit the folder again"):
        from_json("[1, 2", "audit.json")


def test_html_says_everything_loads_nothing_and_escapes_names(measured):
    page = as_html(measured)
    assert SCRIPT not in page
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;" in page
    assert "a_[bold]_&amp;_&lt;b&gt;" in page
    assert not re.search(r"<script|src=|href=|url\(|@import|https?://", page)
    for row in cue_rows(measured):
        assert all(f"<td>{cell}</td>" in page for cell in row)
    for one in findings(measured):
        assert f'<h3 class="{one.severity}">{one.name}' in page
    assert page.count("<circle") == len(chart_rows(measured))


def test_the_tables_are_the_figures(measured):
    rows = cue_rows(measured)
    assert {len(row) for row in rows} == {len(CUE_COLUMNS)}
    assert rows[0][:3] == ("File format", "shallow tree", "1.00 (0.83 to 1.00)")
    assert rows[1] == ("Picture size", "shallow tree", "the same in all slices", "–", "–", "–", "–")
    counted = dict(facts(measured))
    assert counted["Slices"] == "25: 12 non-COVID, 13 COVID"
    assert counted["Pairs of copies"] == "1 equal and 0 nearly so in one class, 0 across classes"
    assert counted["Unreadable files"] == "1"


def test_the_command_tells_pass_findings_and_refusal_by_its_exit_code(tmp_path, capsys):
    clean = noise_folder(tmp_path / "clean")
    assert main([str(clean)]) == 0
    assert "Passes: no shortcut was found in 24 slices" in capsys.readouterr().out
    leaky = noise_folder(tmp_path / "leaky", ".tif")
    files = ["--json", str(tmp_path / "out" / "audit.json"), "--html", str(tmp_path / "out" / "audit.html")]
    assert main([str(leaky), *files]) == 1
    out = capsys.readouterr().out
    assert "Does not pass: format (24 slices of 24 patient-like groups)." in out
    assert "non-COVID: TIFF L 100%; COVID: PNG L 100%" in out
    stored = from_json((tmp_path / "out" / "audit.json").read_text(encoding="utf-8"), "audit.json")
    assert (tmp_path / "out" / "audit.html").read_text(encoding="utf-8") == as_html(stored)
    assert main([str(tmp_path / "nowhere")]) == 2
    assert main([str(clean), "--positive", "flu"]) == 2
    assert main([str(clean), "--html", str(clean / "COVID" / "0.png" / "x.html")]) == 2
    out = capsys.readouterr().out
    assert "which is not there" in out
    assert "Expected a class named 'flu'" in out
    assert "Name another place" in out


def test_the_command_prints_names_as_they_are(tmp_path, capsys):
    root = noise_folder(tmp_path / "x")
    (root / "COVID" / "[red]copy.png").write_bytes((root / "COVID" / "0.png").read_bytes())
    (root / "COVID" / "[bold].png").write_text("no picture")
    assert main([str(root)]) == 1
    out = capsys.readouterr().out
    assert "COVID/[red]copy.png" in out
    assert "COVID/[bold].png" in out
