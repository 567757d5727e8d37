"""A repo that was fetched whole, brought into the tables: compared with the rows that its account has, and only that written.

queue.py     which repos are wanted, and who takes them
slices.py    records of a repo, as far as they are needed: pure
arrays.py    … as the arguments of a call: pure
steps.py     the calls, each a transaction: mark, begin, compare, write, look, settle, leave
bringing.py  slices of repos brought into the tables
writing.py   all of some repos, slice by slice
checking.py  what a repair would write
standing.py  how far all fetching is
asked.py     what commands ask for, and show
room.py      how much room the database has
left_out.py  what COLLECTIONS or ACCOUNTS left out, and take now
listings.py  what operators asked to have fetched, and the lists that it is found on
"""
