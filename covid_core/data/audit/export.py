"""An audit as JSON for other programs, for the dashboard and for keeping."""

from __future__ import annotations

import json
from dataclasses import asdict

from covid_core.data.audit.findings import findings, passes, verdict
from covid_core.data.audit.record import Audit


def as_json(audit: Audit) -> str:
    """All figures, and what follows from them in words; ``record.from_json`` reads the figures back."""
    found = findings(audit)
    words = {
        "passes": passes(found),
        "verdict": verdict(audit, found),
        "findings": [asdict(one) for one in found],
    }
    return json.dumps(audit.as_dict() | words, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
