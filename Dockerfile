FROM python:3.13.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

# A number, so that an orchestrator can see that it is not root (runAsNonRoot). The epoch becomes the date of the user's (locked)
# password, instead of today.
RUN groupadd --gid 10001 worker \
    && SOURCE_DATE_EPOCH=86400 useradd --uid 10001 --gid worker --no-create-home --home-dir /app --no-log-init worker

WORKDIR /app

# Compiled files know their sources by hash, not by time, and are never compared with them: nothing here changes any more.
COPY requirements.lock .
RUN pip install --require-hashes --only-binary :all: --no-compile --root-user-action ignore -r requirements.lock \
    && python -m compileall -q --invalidation-mode unchecked-hash "$(python -c 'import site; print(site.getsitepackages()[0])')"

COPY unified_worker.py .
COPY unified_indexer/ unified_indexer/
# Here, because the worker may not write into its own folder.
RUN python -m compileall -q --invalidation-mode unchecked-hash unified_worker.py unified_indexer

# Last, so that another commit's labels rebuild no layer. docs/releasing.md has the command that fills them in.
ARG VERSION=0.2.0
ARG REVISION=unknown
ARG CREATED=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="unified-worker" \
      org.opencontainers.image.description="An AT Protocol firehose indexer: a relay's event stream into PostgreSQL" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED" \
      org.opencontainers.image.source="$SOURCE"

USER 10001:10001

# The worker drains its queues on SIGTERM; give it 10 s.
STOPSIGNAL SIGTERM

# Inside the container only, unless its port is published: see docker-compose.unified.yml.
ENV HTTP_BIND=0.0.0.0:8080
EXPOSE 8080

# Asks /healthz. The start period covers the tables of a first start and the wait for the database.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-m", "unified_indexer.monitoring.healthcheck"]

ENTRYPOINT ["python", "unified_worker.py"]
