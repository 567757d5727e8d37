"""The servers that stand beside the relay, all of the same made-up network: a PLC directory, PDS hosts, did:web hosts, a DNS.

`services.py` runs them, `ledger.py` knows what each account is by now (`standing.py`), `requests.py` counts who was asked.
`directory.py` is the PLC directory, with `operations.py` and `documents.py` for what it says.
`pds.py` is a PDS, with `cars.py` for whole repositories; `relay.py` what a relay says besides its stream, `pages.py` the lists
of both, page by page; `sites.py` what any web host says of DIDs and handles, `names.py` the DNS.
`faults.py` says what goes wrong, `answers.py` does it.
`options.py` are the command's options, `spoken.py` reads the faults among them.
"""
