"""A second way in: a Redis or Valkey server between the relay and the workers. `ingest` fills it, workers read their parts.

The stream has 64 partitions by DID. A partition is a share (unified_indexer/shares.py) with a cursor of its own in PostgreSQL.
That is a seq of the relay's, as every cursor is, because an entry's id in the server is the seq of its frame.

engine.py      one connection to the server (the only hiredis)
server.py      what the server must be: its settings, its memory
keys.py        the names of keys, and the scripts that run in the server
pieces.py      a frame as entries of at most 64 kB, and back
filling.py     ingest: relay -> server, and the relay's cursor with the frames
pending.py     ingest: frames that wait for the server, bounded
keeping.py     ingest: one at a time, memory watched, and trimmed what PostgreSQL has
stored.py      ingest: what PostgreSQL has
ingest.py      ingest: the run, from one failure of the server to the next
partitions.py  worker: its partitions, each with its place, and all as one position and one watermark
reading.py     worker: frames of its partitions, through any number of connections
cursors.py     worker: which partitions it has, by locks, and their cursors in PostgreSQL
session.py     worker: a session that reads them
way_in.py      worker: the relay itself, or this
"""
