"""The operator's settings: environment and .env in, checked values out.

settings.py      Config: every setting, every fault in one message
environment.py   the environment, .env, and files with secrets, read
values.py        one value read and checked, its fault with what to write
chosen.py        ACCOUNTS: a file of DIDs, or whom one account follows
addresses.py     addresses of a relay, of directories and name servers, and to listen on
stream_url.py    RELAY_URL where it names a Redis or Valkey server that holds the stream
database_url.py  what is wrong with DATABASE_URL, and how to show it without its password
libpq.py         … and as environment variables, for psql
misspelt.py      variables that are nearly a setting's name
"""
