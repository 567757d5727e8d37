"""The SQL functions and the procedure, made from the record types and installed at start.

What is whole stands in .sql files, whose heads say what is filled in:

apply_commits.sql    the write path: apply_commit, and apply_commits, which commits after each
remove.sql           takes a record's row away, and what follows from it: one function per record type
settle.sql           who holds a unique key: one function per record type that has one
searchable.sql       what of a text goes into a search vector
references.sql       what records say of others
locks.sql            the locks where repos meet
lock_commit.sql      all locks of a commit of several operations
accounts.sql         #account, and what is kept while an account is wiped
handles.sql          #identity, and which account holds a handle
wipe.sql             the procedure that takes away a deleted account's rows
states.sql           how far a repo is complete, and what settles commits that waited for their key
dead_letters.sql     keeping and closing dead letters
repair.sql           a repo that was fetched whole: marked, begun, settled
repair_compare.sql   … what of it differs from the rows that are there
repair_set.sql       … what is new of it, written as sets
repair_look.sql      … what others' rows have to do with that
repair_write.sql     … the rest, through the arms of the write path
outbox.sql           what other services are told of accounts and repairs
judging.sql          what gates say of replies and quotes
judge_gate.sql       judges what a gate changed: one function per kind of gate
rebuild_step.sql     one pass of a rebuild
begin_rebuild.sql    asks for a rebuild
show_count.sql       brings a count into the tables that show it: one function per count
value_of.sql         a column that a table may lack: one function per column that effects need

Python makes what depends on the record types, and gives the bounds:

sql_files.py         reads the .sql files
install.py           all functions in their order
installed.py         … installed where they are not there as they should be
write_branches.py    the branches that put and delete each record type
references.py        the lock's class, and where the types' records meet
accounts.py          the statuses that hide an account, and the wipe's branches
searchable.py        … with the bounds of records
states.py            what is wrong with a commit where its repo stands, and which reason says more
dead_letters.py      the bounds of dead letters
repair.py            how a record is compared with its row
sets.py              what is written as sets, and what follows from it
judging.py           how many a gate judges at once, and when a row came
optional_columns.py  columns that an application's tables may lack
expected.py          the derived rows that should be there, as set-wise queries
rebuild_steps.py     the passes of a rebuild
rebuild_derived.py   a rebuild's statements, from what effects say
rebuild_rows.py      a rebuild's statements that no effect says
"""
