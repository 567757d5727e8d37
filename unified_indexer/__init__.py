"""The worker's packages: a relay's event stream in, rows in PostgreSQL out. `unified_worker.py` runs what is here.

Read from top to bottom, the list is the way of a frame. Each folder's own __init__ maps its files.

relay/           a relay's websocket -> frames: connect, ask from a cursor, notice silence and gaps
protocol/        frame -> event: pure, every hash checked
pipeline/        order per repo, the watermark, the stored cursor
stream/          a Redis or Valkey server between the relay and several workers
publishing/      what was written, for other services to follow
trust/           commits proven before they are written, or settled when a key comes late
records/         event -> row: one file per record type, found by looking
identity/        DID -> signing key, PDS, handle: asked outside, and kept
database/        the only asyncpg: connections, writing, SQL functions, schema, background work, recount
accounts/        what a relay says of accounts, confirmed by their own servers
backfill/        whole repos, fetched from the servers that keep them
monitoring/      what the worker is doing: log lines, terminal, HTTP, the live page
command_line/    the process, its exit codes, and the commands
tracing/         traces of batches and fetches, for an OpenTelemetry collector
config/          settings from the environment and .env
log/             log lines that never block, and their formats
embedded/        the PostgreSQL of --embedded
errors.py        errors that cross stages, each named by its remedy
lifecycle.py     what the worker is doing, and why: it decides, others read
metrics.py       what the worker counts
selection.py     which accounts and collections are indexed
shares.py        which accounts are whose, where several workers share the stream
json.py          JSON that jsonb accepts
formatting.py    numbers, sizes and times as text
collector.py     Python's collector of cycles, set for a worker
descriptors.py   the three standard descriptors, open in any case
version.py       the version, in one place
"""
