"""What commands print: pure text from plain values.

status.py        what `status` found
dead_letters.py  dead letters
completion.py    completion scripts of three shells
backfill.py      backfills, and what is to be fetched
"""
