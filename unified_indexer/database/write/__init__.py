"""One batch of a lane, until it is written.

parameters.py  what the functions take, listed once: names and types, in Python and in SQL
batch.py       events -> the arrays of one call: pure
apply.py       the calls themselves
outcome.py     what the database says became of a commit
writer.py      repeat, isolate, or stop, by what the database answers
outbox.py      what other services are still to be told
breaker.py     a pause where the database refuses too much
"""
