"""An audit as one HTML file: no script, nothing to load, every text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from covid_core.data.audit.findings import Finding, findings, passes, verdict
from covid_core.data.audit.record import Audit
from covid_core.data.audit.tables import CAPTION, CUE_COLUMNS, chart_rows, cue_rows, facts, provenance_text

MOST_PAIRS, MOST_FILES = 50, 50
"""Rows of a table in the file; the JSON holds all."""

NOTICE = "Research software, not a medical device. The audit judges a data set, not a patient."

_STYLE = """
:root { color-scheme: light dark; --ink: #1b2b34; --soft: #4a5b66; --line: #d9e2e7; --paper: #fff; --box: #f2f6f8;
  --serious: #b3372f; --warning: #a8680f; --note: #5b6fb5; --good: #2f7d4f; --slice: #d08a2e; --patient: #0b6b78; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4ecef; --soft: #a9b8c0; --line: #35464f; --paper: #12191d;
  --box: #1b252b; --serious: #ef8078; --warning: #e3ad58; --note: #9fb0ee; --good: #74c795; --patient: #4db4c2; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0; }
main { max-width: 68rem; margin: 0 auto; padding: 2rem 1.25rem 3rem; }
h1 { font-size: 1.7rem; margin: 0 0 .25rem; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
.lead, footer, figcaption { color: var(--soft); font-size: .92rem; }
.verdict { font-size: 1.1rem; font-weight: 600; border-left: 5px solid var(--serious); background: var(--box);
  padding: .8rem 1rem; margin: 1.2rem 0; } .verdict.pass { border-color: var(--good); }
article { border: 1px solid var(--line); border-radius: 6px; padding: .7rem 1rem; margin: .7rem 0; }
article h3 { margin: 0 0 .3rem; font-size: 1.02rem; } article p { margin: .2rem 0; overflow-wrap: anywhere; }
.tag { font-size: .78rem; font-weight: 600; padding: .08rem .5rem; border-radius: 99px; margin-left: .5rem;
  border: 1px solid currentColor; }
.serious { color: var(--serious); } .warning { color: var(--warning); } .note { color: var(--note); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; width: 100%; }
th, td { text-align: left; padding: .35rem .7rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; } td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.facts td:first-child { white-space: nowrap; padding-right: 1.5rem; }
figure { margin: 0 0 1.4rem; } svg { width: 100%; height: auto; max-width: 54rem; display: block; }
svg text { fill: var(--ink); }
"""

_LEFT, _RIGHT, _STEP, _TOP = 290, 700, 34, 30  # of the chart, in its own units


def as_html(audit: Audit) -> str:
    """The whole page."""
    found = findings(audit)
    title = escape(f"Audit of {audit.name}")
    parts = [
        f"<h1>{title}</h1>",
        f'<p class="lead">{escape(NOTICE)}</p>',
        f'<p class="verdict{" pass" if passes(found) else ""}">{escape(verdict(audit, found))}</p>',
        *map(_finding, found),
        "<h2>What was counted</h2>",
        _table(("", ""), facts(audit), "facts"),
        "<h2>How well the label can be told</h2>",
        *([_chart(audit)] if chart_rows(audit) else []),
        _table(CUE_COLUMNS, cue_rows(audit)),
        *_pairs(audit),
        *_unreadable(audit),
        f"<footer><p>{escape(provenance_text(audit))}</p></footer>",
    ]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style>"
    )
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body><main>\n{body}\n</main></body></html>\n'


def _finding(one: Finding) -> str:
    return (
        f'<article><h3 class="{one.severity}">{escape(one.name)} <span class="tag">{escape(one.severity)}</span></h3>'
        f"<p>{escape(one.text)}</p><p><strong>What to do:</strong> {escape(one.advice)}</p></article>"
    )


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    head = f"<thead>{_row(columns, 'th')}</thead>" if any(columns) else ""
    body = "".join(_row(row, "td") for row in rows)
    return f'<div class="scroll"><table class="{kind}">{head}<tbody>{body}</tbody></table></div>'


def _row(cells: Sequence[str], kind: str) -> str:
    return "<tr>" + "".join(f"<{kind}>{escape(cell)}</{kind}>" for cell in cells) + "</tr>"


def _chart(audit: Audit) -> str:
    rows = chart_rows(audit)
    labels = list(dict.fromkeys(str(row["label"]) for row in rows))
    start = min(0.4, *(float(row["low"]) for row in rows))
    bottom = _TOP + _STEP * len(labels)

    def x(value: float) -> float:
        return _LEFT + (value - start) / (1 - start) * (_RIGHT - _LEFT)

    parts = [
        f'<line x1="{x(0.5):.1f}" y1="{_TOP - 8}" x2="{x(0.5):.1f}" y2="{bottom}" stroke="currentColor" '
        f'stroke-dasharray="4 3"/><text x="{x(0.5):.1f}" y="{_TOP - 14}" text-anchor="middle">chance</text>'
    ]
    for tick in (tick / 10 for tick in range(11)):
        if start <= tick <= 1:
            parts.append(f'<text x="{x(tick):.1f}" y="{bottom + 18}" text-anchor="middle">{tick:.1f}</text>')
    for row in rows:
        by_slice = row["split"] == "by slice"
        y = _TOP + _STEP * labels.index(str(row["label"])) + (11 if by_slice else 21)
        low, value, high = (x(float(row[key])) for key in ("low", "value", "high"))
        colour = "var(--slice)" if by_slice else "var(--patient)"
        parts.append(
            f'<line x1="{low:.1f}" y1="{y}" x2="{high:.1f}" y2="{y}" stroke="{colour}" stroke-width="3"/>'
            f'<circle cx="{value:.1f}" cy="{y}" r="4.5" fill="{colour}"/>'
        )
    for at, label in enumerate(labels):
        parts.append(f'<text x="{_LEFT - 14}" y="{_TOP + _STEP * at + 20}" text-anchor="end">{escape(label)}</text>')
    legend = (
        '<span style="color:var(--slice)">●</span> split by slice &nbsp; '
        '<span style="color:var(--patient)">●</span> split by patient'
    )
    return (
        f'<figure><svg viewBox="0 0 {_RIGHT + 20} {bottom + 30}" font-size="13" role="img" '
        f'aria-label="Balanced accuracy by cue, with intervals">{"".join(parts)}</svg>'
        f"<figcaption>{legend}<br>{escape(CAPTION)}</figcaption></figure>"
    )


def _pairs(audit: Audit) -> list[str]:
    if not audit.pairs:
        return []
    worst = sorted(audit.pairs, key=lambda one: (not one.across, -one.similarity))
    rows = [
        (
            one.first,
            one.second,
            "equal" if one.exact else f"{one.similarity:.3f}",
            "in two classes" if one.across else "in one class",
        )
        for one in worst[:MOST_PAIRS]
    ]
    return [
        f"<h2>Pairs of slices that are one picture{_shown(len(rows), len(worst))}</h2>",
        _table(("Slice", "Slice", "Correlation", ""), rows),
    ]


def _unreadable(audit: Audit) -> list[str]:
    if not audit.unreadable:
        return []
    rows = [(one.path, one.reason) for one in audit.unreadable[:MOST_FILES]]
    return [
        f"<h2>Files that cannot be read{_shown(len(rows), len(audit.unreadable))}</h2>",
        _table(("File", "Why"), rows),
    ]


def _shown(shown: int, count: int) -> str:
    return "" if shown == count else f", {shown} of {count}"
