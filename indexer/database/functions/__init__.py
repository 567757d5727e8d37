"""The SQL functions and the procedure, made from the record types and installed at start.

install.py           apply_commit and apply_commits, and all functions in their order
write_branches.py    the branches that put and delete each record type
references.py        what records say of others, and the locks where repos meet
accounts.py          #account, and the wipe
handles.py           #identity, and which account holds a handle
dead_letters.py      keeping and closing dead letters
judging.py           what gates say of replies and quotes
optional_columns.py  columns that an application's tables may lack
expected.py          the derived rows that should be there, as set-wise queries
rebuild_steps.py     the passes of a rebuild
rebuild_derived.py   a rebuild's statements, from what effects say
rebuild_rows.py      a rebuild's statements that no effect says
"""
