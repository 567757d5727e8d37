"""Dead letters, as operators and background work use them.

retry.py    a kept frame applied again with the current code
unproven.py what waits for its account's key
queries.py  list, show, choose, drop
"""
