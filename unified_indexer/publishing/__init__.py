"""What was written, for other services to follow (PUBLISH): outbox -> a stream in a Redis or Valkey server, at least once.

entries.py    a row of the outbox as an entry of the stream
publisher.py  one of the workers: reads the outbox, writes the stream
publishing.py every worker: checks the server at its start, and stops writing where too much waits
"""
