FROM python:3.13.11-slim-bookworm

LABEL org.opencontainers.image.title="unified-worker" \
      org.opencontainers.image.description="An AT Protocol firehose indexer: a relay's event stream into PostgreSQL"

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

# A number, so that an orchestrator can see that it is not root (runAsNonRoot).
RUN groupadd --gid 10001 worker && useradd --uid 10001 --gid worker --no-create-home --home-dir /app worker

WORKDIR /app

COPY requirements.txt .
RUN pip install -r requirements.txt

COPY unified_worker.py .
COPY indexer/ indexer/
# Here, since the worker may not write into its own folder.
RUN python -m compileall -q unified_worker.py indexer

USER 10001:10001

# The worker drains its queues on SIGTERM; give it 10 s.
STOPSIGNAL SIGTERM

# The worker's loop touches a file every second. The start period covers the tables of a first start and the wait for the database.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-m", "indexer.heartbeat"]

ENTRYPOINT ["python", "unified_worker.py"]
