"""The relay's side: bytes in. Nothing here knows records or SQL.

firehose.py    frames through any number of connections
connection.py  one websocket connection within its bounds
look.py        one connection, to see whether a relay answers and where its stream is
watchdog.py    silence and pings: ends a connection that is dead (these three are the only websocket)
skipping.py    gets past a message that can't be read
redirects.py   where a relay that moved may lead us
until.py       where a run ends by itself
position.py    where we are in the stream: seq and time received, and what to ask for next
stream_time.py what time it is in the stream: the median of many accounts' times
gaps.py        what did not come, judged where a connection joins what came before
backoff.py     how long to wait before connecting again
"""
