"""What a data set gives away beside the disease."""

import pandas as pd
import streamlit as st

from covid_core.charts.audit import told_from
from covid_core.data.audit.export import as_json
from covid_core.data.audit.findings import NOTE, SERIOUS, WARNING, findings, passes, verdict
from covid_core.data.audit.html import as_html
from covid_core.data.audit.tables import CAPTION, CUE_COLUMNS, chart_rows, cue_rows, facts, how_guessed, provenance_text
from covid_core.ui.audits import audits, draw_runner, has_own, may_name_folders
from covid_core.ui.choices import choose
from covid_core.ui.errors import plain, shown_errors
from covid_core.ui.frame import frame

COMMAND = "python -m covid_core.data.audit FOLDER --json results/measured/NAME/audit.json --html audit.html"
COLOURS = {SERIOUS: "red", WARNING: "orange", NOTE: "blue"}
MOST_PAIRS = 200

frame(
    "Data audit",
    "A network takes whatever tells the classes apart: the disease, or the hospital's file format. The audit looks for "
    "everything that gives a label away without a look at the lungs, and for what makes scores too good.",
)

with shown_errors():
    known = audits()

if known:
    if has_own():
        label = choose(st.selectbox, "Data set", list(known), "audit_or_own", bind=None, width=560)
    else:
        label = choose(st.selectbox, "Data set", list(known), "audit", width=560)
    one = known[label]
    found = findings(one)

    box = st.success if passes(found) else st.error
    box(plain(verdict(one, found)), icon=":material/verified:" if passes(found) else ":material/report:")
    for finding in found:
        with st.container(border=True):
            st.markdown(f"**{plain(finding.name)}** :{COLOURS[finding.severity]}-badge[{finding.severity}]")
            st.markdown(plain(finding.text))
            st.caption(f"**What to do:** {plain(finding.advice)}")

    st.subheader("What was counted", anchor=False)
    counts = dict(facts(one))
    columns = st.columns(4)
    columns[0].metric("Slices", one.slices, help=plain(counts["Slices"]), border=True)
    columns[1].metric(
        "Patients" if one.groups.known else "Patients, guessed",
        one.groups.count,
        help=f"Slices per patient: median {one.groups.median:g}, most {one.groups.largest}",
        border=True,
    )
    columns[2].metric("Pairs of copies", len(one.pairs), help=plain(counts["Pairs of copies"]), border=True)
    columns[3].metric("Unreadable files", len(one.unreadable), border=True)
    st.caption(
        plain(
            f"Slices: {counts['Slices']}. Slices per patient: {counts['Slices per patient']}. Pairs of copies: "
            f"{counts['Pairs of copies']}." + ("" if one.groups.known else f" Patients are {how_guessed(one)}.")
        )
    )

    st.subheader("How well the label can be told", anchor=False)
    rows = pd.DataFrame(chart_rows(one))
    if rows.empty:
        st.info("Nothing differs between the slices, or they are too few to split.", icon=":material/info:")
    else:
        st.altair_chart(
            told_from(rows), key="told", alt="Balanced accuracy of simple classifiers by cue, with 95 % intervals"
        )
        # the same header twice is no data frame: the second AUC belongs to the second split
        columns = [*CUE_COLUMNS[:3], "AUC by slice", CUE_COLUMNS[4], "AUC by patient", CUE_COLUMNS[6]]
        st.dataframe(pd.DataFrame(cue_rows(one), columns=columns), key="cues", hide_index=True)
        st.caption(CAPTION)

    if one.pairs:
        worst = sorted(one.pairs, key=lambda pair: (not pair.across, -pair.similarity))[:MOST_PAIRS]
        with st.expander(f"Pairs of slices that are one picture, {len(worst)} of {len(one.pairs)}"):
            st.dataframe(
                pd.DataFrame(
                    {
                        "Slice": [pair.first for pair in worst],
                        "Copy": [pair.second for pair in worst],
                        "Correlation": ["equal" if pair.exact else f"{pair.similarity:.3f}" for pair in worst],
                        "Classes": ["two" if pair.across else "one" for pair in worst],
                    }
                ),
                key="pairs",
                hide_index=True,
            )
    if one.unreadable:
        with st.expander(f"Files that cannot be read, {len(one.unreadable)}"):
            st.dataframe(
                pd.DataFrame([(file.path, file.reason) for file in one.unreadable], columns=["File", "Why"]),
                key="unreadable",
                hide_index=True,
            )
    with st.container(horizontal=True):
        for title, suffix, kind, text in (
            ("Report as HTML", "html", "text/html", as_html),
            ("Figures as JSON", "json", "application/json", as_json),
        ):
            st.download_button(
                title,
                lambda text=text: text(one).encode(),
                f"audit-{one.name}.{suffix}",
                kind,
                key=f"download_{suffix}",
                icon=":material/download:",
                on_click="ignore",
            )
    st.caption(plain(provenance_text(one)))
else:
    st.info("No data set has been audited yet. One command audits a folder:", icon=":material/info:")
    st.code(COMMAND, language="bash")

st.subheader("Audit a folder", anchor=False)
if may_name_folders():
    draw_runner()
    st.caption("Nothing leaves this machine; the audit is this session's until you download it.")
else:
    st.caption(
        "Folders can be named here only where the dashboard answers to its own machine alone, as `make run` starts it "
        "(`--server.address localhost`). The command does the same:"
    )
    st.code(COMMAND, language="bash")
