"""How fast the worker is, measured from the socket to durable rows, and the demonstration.

bench.py          `make bench`: the runs, the check of the rows, the exit code
report.py         … what it prints
demo.py           `make demo`: thirty seconds of a simulated relay
picture.py        the pictures of the live page in the documents, of the same
stream.py         the frames, made beforehand, and the rows of every table that the database must hold after them
preload.py        a database that holds millions of rows from before
processes.py      children of ours: started, measured (CPU, memory), ended
throughput.py     one run at full speed, of the worker or of the classic design
bare.py           the worker without derived rows
classic.py        the classic design without them: one awaited transaction per commit on twenty connections
partitions.py     what partitions cost: whole and divided tables in turn
by_type.py        PostgreSQL's time by what a commit does
proof.py          what it costs to prove a commit: signature and tree
whole_repo.py     what it costs to read a whole repo and to prove it
shares.py         what it costs to share a stream, by SHARE or by a stream's server, and what PUBLISH costs
backfilled.py     what it costs to bring whole repos into the tables, as sets and record by record
backfilled_report.py … its bars, and what it prints
verified.py       what VERIFY costs: the same signed stream at each level
forged.py         one forged commit in a thousand at full speed: are the rows those of the honest ones?
ceiling.py        COPY of the rows of a run: what PostgreSQL takes at most
outage.py         how long the worker takes to be up to date after an outage
watched.py        what it costs to be looked at: metrics scraped, a page open
uncounted.py      … the worker without what it does for those who look on
latency.py        the time from a frame to its durable commit at a steady rate
stamped_worker.py the worker, with a note of when each event was finished
flat.py           one long run of small commits: does cost or memory grow with their number?
small.py          … the small commits, made as they are sent
hour.py           one hour at the live network's pace: do memory, descriptors or connections grow with time?
plot.py           drawings: lines and bars
plots.py          the drawings of docs/performance.md, from runs of their own
batched.py        … the worker with another largest batch
machine.py        what it ran on
"""
