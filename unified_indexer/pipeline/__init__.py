"""Order and progress: from an event to its lane, and from a written batch to the cursor.

session.py       what lives as long as one lock: position, watermark, lanes, firehose
lanes.py         order per repo: bounded queues, a task each
processor.py     EventProcessor: a lane's batch -> rows, outcomes -> counts
traced.py        batches and decoding as traces, where asked for
watermark.py     the longest finished prefix of the stream
cursor.py        the watermark, stored every second, with the gaps that it passes
dividing.py      the cursors of shares, where their number changes
recent_posts.py  a few of the newest posts, for the live page
"""
