"""Monitoring by HTTP: the only aiohttp and prometheus_client.

server.py      what is asked, and who answers
connections.py how many may ask at once, and that they read the answers
hosts.py       by which names we answer
malformed.py   what is said of requests that are no HTTP
exposition.py  /metrics
families.py    … the kinds of samples, and those of backfills
health.py      /healthz and /readyz
live.py        the page's stream of events
page/          the page: HTML, CSS and four scripts
"""
