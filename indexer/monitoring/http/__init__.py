"""Looking on by HTTP: server.py serves exposition.py (/metrics), health.py (/healthz, /readyz), live.py and its page."""
