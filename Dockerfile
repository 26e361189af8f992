# The dashboard for others; compose.yaml starts it, the README's "Host it" says how.

FROM python:3.12-slim-trixie AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
COPY requirements.txt requirements-hosted.txt /tmp/
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install -r /tmp/requirements-hosted.txt \
    && /opt/venv/bin/pip uninstall --yes pip
COPY .streamlit/config.toml /app/.streamlit/
COPY app.py train_all.py LICENSE /app/
COPY covid_core /app/covid_core
COPY pages /app/pages
COPY trained /app/trained
COPY results/measured /app/results/measured
# compiled here, because the running user can write nothing beside the code
RUN /opt/venv/bin/python -m compileall -q /app /opt/venv/lib/python3.12/site-packages/streamlit

FROM python:3.12-slim-trixie
# What may be written lies on the volume /data and in /tmp, which compose.yaml keeps in memory; all else may be read-only.
RUN useradd --system --uid 10001 --home-dir /tmp --shell /usr/sbin/nologin covid \
    && install --directory --owner=covid --group=covid --mode=0750 /data
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    COVID_STORE=sqlite:////data/store.sqlite \
    COVID_NETWORKS=/app/trained:/data/networks \
    COVID_CACHE=/data/cache \
    STREAMLIT_SERVER_ADDRESS=0.0.0.0 \
    STREAMLIT_BROWSER_SERVER_ADDRESS=localhost \
    STREAMLIT_SERVER_PORT=8501
WORKDIR /app
USER 10001
VOLUME /data
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
CMD ["streamlit", "run", "app.py"]
