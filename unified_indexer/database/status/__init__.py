"""What `status` reads, without writing.

read_only.py  one read-only connection, for no longer than a person waits
database.py   relays, runs, gaps, dead letters, tables
account.py    one account
shares.py     how far each share of the stream is
results.py    what they find, as types: the keys of --json
"""
