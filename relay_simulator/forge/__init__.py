"""What a relay, or a PDS, that means harm puts into a stream: each kind of forgery by its name, between honest events.

told.py        a message on its way into the stream, and a forged one that was sent
scene.py       what a forger works with: accounts, their next honest commits, a key of its own
edits.py       a commit's payload with something else in it
records.py     another record in a commit
signatures.py  commits that another key signed, or none
envelopes.py   commits of another account, another time or another root
ops.py         ops that are left out, made up or told otherwise
chain.py       commits that are left out, and what hides that
trees.py       trees that no honest PDS builds, signed by the account's own key
messages.py    #sync, #account and #identity that are not the account's word
identities.py  accounts that are not there, and keys that are no more
kinds.py       all kinds by name
forger.py      a generator's stream with forgeries in it
"""
