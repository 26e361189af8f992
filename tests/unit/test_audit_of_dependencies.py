from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

AUDIT = Path(__file__).resolve().parents[2] / ".ci" / "audit.py"
CLEAN = {"name": "numpy", "version": "2.4.6", "vulns": []}
HIT = {"name": "pillow", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}
UNKNOWN = {"name": "local", "skip_reason": "Dependency not found on PyPI and could not be audited: local (1)"}


def audit(text: str, *options: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(AUDIT), *options], input=text, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ([CLEAN], 0, "Audited 1 packages: 0 known"),
        ([CLEAN, HIT], 1, "pillow 1.0: PYSEC-1, repaired in 1.1"),
        ([CLEAN, UNKNOWN], 0, "Audited 1 of 2 packages. Not in the advisory database: local"),
        ([UNKNOWN], 0, "NOT audited"),
    ],
)
def test_the_report_says_what_was_found_and_what_could_not_be_asked(packages, code, said):
    done, text = audit(json.dumps({"dependencies": packages, "fixes": []}))
    assert said in text
    assert done == code


@pytest.mark.parametrize("text", ["", json.dumps({"dependencies": [UNKNOWN]})])
def test_without_advisories_lint_goes_on_and_says_so(text):
    code, said = audit(text)
    assert code == 0
    assert "NOT audited" in said
    assert audit(text, "--required")[0] == 1
