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

# Within the container alone, unless its port is published: see docker-compose.unified.yml.
ENV HTTP_BIND=0.0.0.0:8080
EXPOSE 8080

# Asks /healthz. The start period covers the tables of a first start and the wait for the database.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-m", "indexer.healthcheck"]

ENTRYPOINT ["python", "unified_worker.py"]
