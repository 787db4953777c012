# The product in one image: pages built in, no Node or bun at run time, an ordinary user, nothing
# written but to /data and /tmp. Built where a package index can be reached; see docs/install-docker.md.
#
# For a mirror, or a base pinned by digest:
#   --build-arg REGISTRY=registry.corp.example/library
#   --build-arg PYTHON_IMAGE=python:3.11.14-slim-trixie@sha256:...
#   --build-arg PIP_INDEX_URL=... --build-arg NPM_CONFIG_REGISTRY=...
ARG REGISTRY=docker.io/library
ARG PYTHON_IMAGE=python:3.11.14-slim-trixie

# --- Python packages, each checked by its hash; wheels only, so nothing is compiled or executed
FROM ${REGISTRY}/${PYTHON_IMAGE} AS packages
ARG PIP_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
COPY requirements.txt /tmp/requirements.txt
RUN /opt/venv/bin/pip install --require-hashes --only-binary :all: -r /tmp/requirements.txt

# --- the pages: bun lives in this stage only
FROM packages AS pages
ARG PIP_INDEX_URL
ARG NPM_CONFIG_REGISTRY
COPY requirements-build.txt /tmp/requirements-build.txt
RUN /opt/venv/bin/pip install --require-hashes --only-binary :all: -r /tmp/requirements-build.txt
WORKDIR /app
COPY rxconfig.py ./
COPY reflex.lock reflex.lock
COPY assets assets
COPY genai_app genai_app
RUN /opt/venv/bin/python -m genai_app build

# --- what runs
FROM ${REGISTRY}/${PYTHON_IMAGE}
# pg_dump and pg_restore, of the same major version as the server of deploy/compose.yaml. Their
# patch level is Debian's to choose: the security updates are wanted.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-client-17 \
    && rm -rf /var/lib/apt/lists/* \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY alembic.ini rxconfig.py ./
COPY alembic alembic
COPY genai_app genai_app
# only for the doctor, which compares the pages with all that they were built from
COPY assets assets
COPY reflex.lock reflex.lock
COPY --from=pages /app/.web/build .web/build
# which pages make States: without it Reflex would evaluate all and write it at each start
COPY --from=pages /app/.web/backend .web/backend
COPY --chmod=755 deploy/genai /usr/local/bin/genai
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    GENAI_HOST=0.0.0.0 \
    GENAI_DATA_DIR=/data \
    GENAI_LOG_FORMAT=json
RUN python -m compileall -q genai_app alembic
# a number, so that Kubernetes can see that it is not root
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["genai"]
CMD ["serve"]
