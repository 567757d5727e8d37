"""A second count of what should be there, for `check`. It shares no SQL with the write path, on purpose.

compare.py        should and is, compared by kind, whole or by sample
rows.py           counts, feed items, quotes, states, contexts, gates
notifications.py  the notifications that records call for
others.py         record types without a recount of their own
accounts.py       who shows a handle, whose deletion is to be confirmed
bookkeeping.py    our own tables, unique keys, times
"""
