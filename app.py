"""The dashboard: ``streamlit run app.py``."""

from covid_core.ui.frame import accepted, gate, navigation

page = navigation()
if accepted():
    page.run()
else:
    gate(page.title)  # nothing of the page is even imported behind it
