"""The dashboard: ``streamlit run app.py``."""

if __name__ == "__main__":  # Streamlit runs this file under that name for every visitor
    from covid_core.ui.frame import admitted, gate, navigation

    page = navigation()
    if admitted():
        page.run()
    else:
        gate(page.title)  # nothing of the page is even imported behind it
else:  # and imports it once, to serve it
    from streamlit.starlette import App

    from covid_core.ui.server import MIDDLEWARE, lifespan

    app = App(__file__, middleware=MIDDLEWARE, lifespan=lifespan())
