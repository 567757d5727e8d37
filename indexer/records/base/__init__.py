"""What every record type is made of.

record_type.py     RecordType: table, columns, row, effects; and the checks of fields
effects.py         rows derived from a row: counts, feed items, viewer states, notifications
derived_tables.py  the tables that effects fill
"""
