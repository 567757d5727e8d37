"""Whole repos: found on lists, and fetched from the servers that keep them, when something is missing.

backfill.py      all of it, for the worker
repairs.py       what is wanted is fetched and brought into the tables
fetch.py         one repo from its server: asked for, read, proven
together.py      … small ones together
outcome.py       why one was not fetched, and what follows
retries.py       when it is tried again
turns.py         who fetches now, and how much memory that may take
allowance.py     how many records are written a second
again.py         a step that is taken again and again, whatever becomes of the database
calm.py          whether the stream is so quick that two sets may be written at one time
room.py          whether the database has room for them
pace.py          how much may be asked of each host
rates.py         … what its headers say of that
files.py         temporary files for large ones, and threads for what reads and writes them
progress.py      how much was fetched, and how far everything is
eta.py           … when it is done
left_out.py      what COLLECTIONS or ACCOUNTS left out, and take now
gaps.py          what came in a gap of the stream
finding.py       which repos are wanted, by lists that are read page by page
lists.py         … a page of each kind of list
walks.py         … when a list is at its end
"""
