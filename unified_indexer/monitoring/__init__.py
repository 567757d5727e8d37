"""What the worker is doing, for people and programs. The stream never waits for any of it.

observers.py      starts all of this
gauges.py         the worker's state at this moment
fetching.py       how far all fetching of whole repos is
readiness.py      whether that is well, and if not, why
history.py        the last fifteen minutes, a sample per second
progress.py       the progress log
terminal_line.py  the line below the log, on a terminal
welcome.py        the first minute of --embedded
healthcheck.py    asks /healthz: the image's health check
http/             /metrics, /healthz, /readyz, /live and the page
"""
