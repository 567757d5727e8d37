"""Dead letters, as operators and background work use them.

retry.py    a kept frame applied again with the current code
queries.py  list, show, choose, drop
"""
