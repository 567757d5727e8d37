"""Make a database ready at start.

ready.py          connected, locked, prepared; or what is in the way
look.py           what a start would find, with nothing changed
session.py        the one connection of a command
prepare.py        our bookkeeping, the tables if there are none, the functions
tables.py         the tables of an empty database
compatibility.py  may we write into this existing database? every fault with its remedy
advice.py         what an existing database lacks, though it works
migrations.py     our bookkeeping: reads the numbered steps
migrations/       the steps, one .sql file each; one that was released never changes
views.py          what people ask, as views in a schema of their own
views/            … one .sql file each
printed.py        … and all that a start makes, as text
finite_times.py   times that an earlier version wrote as infinity
"""
