"""The fault campaign: seeded runs in which relay, network, database and process fail, alone and together.

python -m testing.faults [--runs N] [--seed S] [--kinds NAME …] [--minutes M] [--write]

    kind.py       what a kind of fault is
    accounts.py relay.py second_relay.py network.py database.py failover.py process.py trust.py several.py   the kinds
    weave.py      puts messages of our own into a stream
    kinds.py      all of them
    proxy.py      a TCP proxy that cuts, stalls, refuses and trickles, before the relay and before PostgreSQL
    worker.py     the worker's process as the campaign starts it: it can die at a named point, and write into a pipe
    keeper.py     starts the worker again where it died, as an operator's supervisor would
    feed.py       the stream, given to the relay as far as the run has come
    witness.py    looks at the database all the while: progress, and that the cursor is never ahead
    cluster.py    the servers of a run, copied from one template
    scene.py      all parts of one run, up and down
    run.py        one run: faults, recovery, judgement
    plan.py       which kinds meet in which run, out of a seed
    campaign.py   many runs, two at a time
    report.py     the table
"""
