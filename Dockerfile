# syntax=docker/dockerfile:1
# Two stages: the first installs from the lock file, every wheel by its hash; the second holds the result, runs as
# nobody in particular, and has no compiler and no secret in it.
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python -m venv /opt/aurea
COPY requirements-image.lock ./
RUN /opt/aurea/bin/python -m pip install --require-hashes --only-binary :all: -r requirements-image.lock
COPY pyproject.toml README.md LICENSE ./
COPY identity identity
COPY consent consent
COPY api api
RUN /opt/aurea/bin/python -m pip install --no-deps --no-build-isolation .

FROM python:${PYTHON}
RUN groupadd --gid 10001 aurea \
 && useradd --uid 10001 --gid aurea --no-create-home --shell /usr/sbin/nologin aurea \
 && install --directory --owner aurea --group aurea --mode 0700 /var/lib/aurea
COPY --from=build /opt/aurea /opt/aurea
ENV PATH=/opt/aurea/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    AUREA_HOME=/var/lib/aurea
USER 10001:10001
WORKDIR /var/lib/aurea
VOLUME /var/lib/aurea
EXPOSE 8000
# Draining (AUREA_DRAIN_SECONDS) and the end of what is under way begin with this.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
ENTRYPOINT ["aurea"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000", "--workers", "2"]
