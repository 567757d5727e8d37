"""The PostgreSQL of --embedded: a server that never outlives the worker.

programs.py  finds PostgreSQL's programs, or copies them to where its user may run them
psql.py      psql, in the foreground
server.py    starts, joins and stops the server
cluster.py   the data directory: made, held by one process, freed after a crash
"""
