"""Who wrote it: commits proven before they are written, and settled later where a key came late.

trust.py      all of it, for the worker
verifier.py   the stage in a lane: what an account's key proves is written
aside.py      events that wait for their account's key
revs.py       what is known to be stale needs no proof
lettered.py   accounts whose kept frames go first when their key comes
letters.py    kept frames are proven before they are applied again
settling.py   a key that came late: what was applied or kept without it is judged
"""
