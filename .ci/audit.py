"""Reads pip-audit's JSON from standard input and says what it means: ``make audit``.

Advisories come from the network. Without them nothing can be said, and that is said; with ``--required`` it is a
failure.
"""

from __future__ import annotations

import argparse
import json
import sys


def main() -> int:
    """0 for no known vulnerability, 1 for some, 1 with ``--required`` where packages could not be looked up."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--required", action="store_true", help="fail where packages could not be looked up")
    required = options.parse_args().required
    try:
        packages = json.load(sys.stdin)["dependencies"]
    except json.JSONDecodeError:
        packages = []
    known = [one for one in packages if "vulns" in one]
    found = [(one, vulnerability) for one in known for vulnerability in one["vulns"]]
    lines = [
        f"{one['name']} {one['version']}: {vulnerability['id']}, repaired in "
        f"{', '.join(vulnerability['fix_versions']) or 'no version yet'}"
        for one, vulnerability in found
    ]
    if not known:
        lines.append("Dependencies were NOT audited: the advisory database cannot be reached from here.")
    elif len(known) < len(packages):
        unknown = ", ".join(one["name"] for one in packages if "vulns" not in one)
        lines.append(f"Audited {len(known)} of {len(packages)} packages. Not in the advisory database: {unknown}.")
    else:
        lines.append(f"Audited {len(known)} packages: {len(found)} known vulnerabilities.")
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if found or (required and not known) else 0


if __name__ == "__main__":
    sys.exit(main())
