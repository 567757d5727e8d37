"""What commands print: pure text from plain values.

status.py        what `status` found
dead_letters.py  dead letters
backfill.py      backfills, and what is to be fetched
"""
