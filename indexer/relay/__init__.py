"""The relay's side: bytes in. Nothing here knows records or SQL.

firehose.py    frames through any number of connections
connection.py  one websocket connection within its bounds: these two are the only websocket
redirects.py   where a relay that moved may lead us
position.py    where we are in the stream: received seq and time
stream_time.py what time it is in the stream: the median of many accounts' times
gaps.py        what did not come, judged where a connection joins what came before
backoff.py     how long to wait before connecting again
"""
