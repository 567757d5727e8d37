"""How fast the worker is, measured from the socket to durable rows, and the demonstration.

bench.py          `make bench`: the runs, their table, the check of the rows
demo.py           `make demo`: thirty seconds of a simulated relay
stream.py         the frames, made beforehand, and what the database must hold after them
processes.py      children of ours: started, measured (CPU, memory), ended
throughput.py     one run at full speed, of the worker or of the classic design
classic.py        the classic design: one awaited transaction per commit on twenty connections
latency.py        the time from a frame to its durable commit at a steady rate
stamped_worker.py the worker, with a note of when each event was finished
machine.py        what it ran on
"""
