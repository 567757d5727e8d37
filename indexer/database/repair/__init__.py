"""A repo that was fetched whole, brought into the tables: compared with the rows that its account has, and only that written.

queue.py     which repos are wanted, and who takes them
slices.py    records of a repo -> the arrays of a call: pure
steps.py     the calls, each a transaction: mark, begin, compare, write, settle, leave
checking.py  what a repair would write
writing.py   all of a repo, slice by slice, in the right order
standing.py  how far all fetching is
asked.py     what commands ask for, and show
room.py      how much room the database has
left_out.py  what COLLECTIONS or ACCOUNTS left out, and take now
listings.py  what operators asked to have fetched, and the lists that it is found on
"""
