"""Connections to one server, and what its errors require.

pool.py      DatabasePool: connections, and the one that holds the lock
few.py       a few of them, for work that leaves the others to the stream
lock.py      the worker's lock: who has it, who waits for it, who is the keeper
keeper.py    the worker that does what is done once for all shares
server.py    the one server that all of them lead to
poolers.py   what lies between: a session per connection, or a refusal
sessions.py  the settings of each session
failures.py  SQLSTATE -> retry, operator, or dead letter
tls.py       what is wrong with the connection's encryption
"""
