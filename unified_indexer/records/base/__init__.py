"""What every record type is made of.

record_type.py     RecordType: table, columns, row, effects
values.py          a record, where it stands, and the Row that SQL gets of it
fields.py          the checks of a record's fields
search_text.py     what of a text goes into a search vector
columns.py         Column, and what makes one of a field: text(), json(), author(), subject() …
effects.py         rows derived from a row: counts, feed items, viewer states, notifications
sql_names.py       the names that SQL texts of a record file may use
derived_tables.py  the tables that effects fill
facets.py          what rich text says: mentions, tags
quotes.py          the post that a post quotes
gates.py           what thread gates and post gates have in common, and what they say of posts
"""
