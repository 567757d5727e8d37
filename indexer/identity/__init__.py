"""Who signs for a DID, where its repo is served, and which handle is its own: asked outside, and kept.

document.py   a DID document -> the identity that it states
addresses.py  which IP addresses are public
dialling.py   a host's addresses, and sockets to public ones only
names.py      name servers: addresses and TXT records
turns.py      how many ask at once, in all and at a host
answers.py    an HTTP answer -> its body, or what it means
client.py     the one HTTP client for everything outside
errors.py     why something could not be fetched, each type named by what may follow
"""
