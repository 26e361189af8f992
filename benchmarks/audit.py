"""How often an audit catches a planted leak by name, and how often it accuses a clean data set.

    python -m benchmarks.audit --seeds 10

Every seed draws other patients. A clean set has one slice a patient, one format and one size, and must pass, patients
known or guessed. Into copies of it one leak each is planted (``benchmarks.planted``); the audit has to name that leak
and nothing else.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.planted import LEAKS, PATIENTS, SIZE, clean_dataset
from covid_core.data.audit.findings import findings
from covid_core.data.audit.run import audit
from covid_core.data.dataset import load_dataset
from covid_core.results.intervals import interval_text, share_interval

CLEAN = {True: "none, patients known", False: "none, patients guessed"}


def main() -> None:
    """Plants, audits and prints."""
    flags = argparse.ArgumentParser(description="Planted leaks that an audit catches, clean sets that it accuses.")
    flags.add_argument("--seeds", type=int, default=10, help="populations of generated patients")
    flags.add_argument("--first-seed", type=int, default=1000, help="the tests use small ones")
    options = flags.parse_args()
    console = Console(soft_wrap=True, width=160)
    seen: dict[str, list[dict[str, str]]] = defaultdict(list)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    for seed in track(list(seeds), "auditing", console=console, transient=True):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            clean = clean_dataset(folder / "clean", seed)
            for known, name in CLEAN.items():
                seen[name].append(named(clean, clean / "manifest.csv" if known else None))
            for number, leak in enumerate(LEAKS):
                root = leak.plant(clean, folder / str(number), seed)
                patients = root / "patients.csv"
                seen[leak.name].append(named(root, patients if patients.is_file() else None))
    expected = {name: {} for name in CLEAN.values()} | {leak.name: leak.expected for leak in LEAKS}
    console.print(f"{options.seeds} populations, clean sets of {PATIENTS} patients, {SIZE} × {SIZE} pixels")
    table = Table(
        "planted", "has to be named", "named", "and nothing else", "as a share (95 %)", "named besides", box=None
    )
    for name, wanted in expected.items():
        found = seen[name]
        caught = sum(wanted.items() <= one.items() for one in found)
        alone = sum(wanted == one for one in found)
        besides = Counter(other for one in found for other in one.keys() - wanted.keys())
        table.add_row(
            name,
            ", ".join(wanted) or "nothing",
            f"{caught} of {len(found)}" if wanted else "",
            f"{alone} of {len(found)}",
            interval_text(*share_interval(alone, len(found)), digits=2),
            ", ".join(f"{other} ({times})" for other, times in besides.most_common()),
        )
    console.print(table)


def named(root: Path, patients: Path | None) -> dict[str, str]:
    """Findings of an audit of ``root``, name to severity."""
    measured = audit(load_dataset(root, patients=patients), datetime.now(UTC).isoformat())
    return {one.name: one.severity for one in findings(measured)}


if __name__ == "__main__":
    main()
