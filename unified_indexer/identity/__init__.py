"""Who signs for a DID, where its repo is served, and which handle is its own: asked outside, and kept.

What the others use:
resolver.py      Identities: known at once, loaded, looked up, refreshed
client.py        the one HTTP client for everything outside
handles.py       whose a handle is
key_cache.py     parsed keys in memory, the ones used last
errors.py        why something could not be fetched, each type named by what may follow
memory.py        what is known, what look-ups and the log say of it, and who is told
Look-ups:
asker.py         asks one source, in order and at a pace, each DID once at a time
waiting_line.py  who is asked for next
pace.py          how fast, whether now, how long one waits
waiters.py       tasks that wait for the end of a look-up
recent.py        DIDs of which something is true for a while
directory.py     did:plc, from the directory and replicas of it
web.py           did:web, from its host
past.py          keys that an account had before, from the directory's log of a DID
document.py      a DID document -> the identity that it states
The directory's log:
export.py        its lines -> rows
following.py     what comes, into the table
importing.py     all of it, into the table
Tables:
records.py       rows to be read now and written soon
store.py         the tables' SQL
The network:
addresses.py     which IP addresses are public
dialling.py      a host's addresses, and sockets to public ones only
host_names.py    which names hosts on the internet may have
names.py         name servers: addresses and TXT records
turns.py         how many ask at once, in all and at a host
downloads.py     large answers, piece by piece
answers.py       an HTTP answer -> its body, or what it means
"""
