"""The worker: a relay's event stream in, rows in PostgreSQL out. `unified_worker.py` runs what is here; the flow, downward:

firehose.py          relay -> frames: connect, cursor, time-outs
  websocket.py         one connection, within its bounds; these two are the only websocket
  redirects.py         where a relay that moved sends it
  backoff.py           how long to wait before connecting again
protocol/            frame -> event: pure, no I/O
  frames.py            one message -> one event, whatever its bytes are
  commits.py           a #commit's or #sync's fields, blocks and operations
  salvage.py           what can still be read of a broken frame
  car.py               CAR bytes -> blocks by CID, every hash checked
  dag_cbor.py          DAG-CBOR -> values, refusing what claims more than it holds
  data_model.py        a record's DAG-CBOR -> the protocol's JSON form
  syntax.py            DID, NSID, record key, TID, at-uri, datetime
  events.py            what comes out, frozen
  mst.py signature.py  trees and signatures: so far for the tests alone
stream.py            what seqs and times say about where we are, and about renumbering
  gaps.py              what did not come, judged where a connection joins what came before
lanes.py             order per repo: bounded queues, a task each
processor.py         EventProcessor: a lane's batch -> rows, and what became of it -> counts
  selection.py         which accounts and collections are indexed
  batch.py             events -> the arrays of one call
  records/             like.py, post.py, …: one file a record type, found by looking
  record_type.py       what such a file gives, and the checks that its fields need
  effects.py           what follows from a row: counts, feed items, notifications
  json.py              JSON that jsonb accepts
database/            the only asyncpg
  writer.py            a batch, until it is done: repeat, isolate, or stop
  apply.py             the calls themselves
  sql.py arms.py       the procedure that they call, made from the record types
  references.py        what records say of others, and the locks where repos meet
  accounts.py          #account, #identity, and the wipe
  letters.py           dead letters
  failures.py          what an error of the database asks for
  breaker.py           pause where it refuses too much
  pending.py           what waits for a row of another table, or for a wipe
  retry.py             a kept frame applied again, by pending.py or by the command
  letter_queries.py    dead letters listed, chosen, dropped
  audit.py             what `check` compares: what should be with what is, by audit_rows.py, audit_notices.py, audit_books.py
  audit_others.py      … and for types without a recount there, what effects say
  session.py           the connection of a command
  wiper.py             takes away the rows of deleted accounts
  sweeper.py           … and, hourly, notifications that came to them since
  judging.py judge.py  what gates say of replies and quotes: in SQL; step by step beside the stream where these are many
  stuck.py             what does not get on: counted for a metric
  rebuild.py           recomputes what follows from records, chunk by chunk: after an upgrade, or on command
  rebuild_steps.py     … by passes that are SQL functions, of the texts in rebuild_derived.py and rebuild_rows.py
  rebuild_derived.py   … rows inserted, corrected and deleted, as the effects of the record types say
  rebuild_rows.py      … what no record type says: rows that are empty, counts that are shown
  expected.py          the rows that should follow from records: set-wise queries, made from effects
  settings.py          who forbids to be indexed
  runs.py sizes.py     what a run leaves word of, every minute; how large the tables are, every day
  look.py              a look from outside: what status.py and account_status.py ask
  pool.py              connections, and the lock
  server.py            the one server that all of them lead to
  sessions.py          what each connection asks of it
  finite_times.py      times that an earlier version wrote as infinity
  ready.py             at start: connected, locked, prepared
  tls.py               what is wrong with the connection's encryption
  schema.py            … by tables.py and derived.py (an empty database), check.py and advice.py (an existing one),
                       optional_columns.py (what its tables may lack), migrations.py (our own bookkeeping)
watermark.py         the longest finished prefix of the stream
cursor.py            … stored every second, with the gaps that it passes
progress.py          the progress log, from the counts in metrics.py

Looking on, beside all that: views.py starts it
gauges.py            what the worker is just now; readiness.py says whether that is well, newest.py has some posts
history.py           the last fifteen minutes, a sample a second
http/                server.py serves exposition.py (/metrics), health.py (/healthz, /readyz), and live.py, the page's stream;
                     hosts.py: to whom;
                     the page is page.html with page.css, page.js (hears, and says the state), parts.js (tables, lists),
                     chart.js and format.js in it
status_line.py       the line below the log, on a terminal; welcome.py: the first minute of --embedded
healthcheck.py       asks /healthz: the image's health check

commands/            the commands beside the worker, one file each, found by looking; command.py says what such a file gives
  rebuild_derived.py   derived rows recomputed
  dead_letters.py      what could not be applied: seen, applied again (retrying.py), dropped; letter_text.py writes it out
  check.py             counts, references and bookkeeping compared with a recount
  status.py            where the worker is, what it missed, how large the tables are; status_text.py and text.py write it out
stdout.py            what commands say

logs.py              how a line gets out, though nobody reads; log_lines.py its formats, terminal.py what is below it

Around it: daemon.py (exit codes), descriptors.py (0 to 2 are open), signals.py, cli.py, program.py (its name), config.py,
misspelt.py (names that are nearly a setting's), addresses.py, database_url.py, errors.py, version.py;
and the PostgreSQL of --embedded: embedded.py, postgres.py, cluster.py.
"""
