"""Periodic work while the stream is written. An error of one item does not stop the others.

tasks.py     all of it as one list, for the worker
wiper.py     the rows of deleted accounts, step by step
sweeper.py   hourly: notifications to deleted accounts, old traces
waiting.py   commits that wait for a row or a wipe
judge.py     gates that changed over many replies or quotes
rebuild.py   derived rows recomputed, chunk by chunk
chosen.py    which accounts are indexed, as far as tables say it
runs.py      what a run leaves behind, every minute
sizes.py     how large the tables are, every day
stuck.py     wipes and letters that do not get on
"""
