"""What a relay says of an account, held against what the account's own server and its handle say. Nothing here is in the way of
the stream: each question is asked at a pace of its own, and its answer is written under the repo's lock.

accounts.py       all of it, for the worker
deletions.py      accounts that are said to be deleted
inactive.py       accounts that write although they are said to be inactive
handle_checks.py  handles that are claimed
audit.py          random repos: is what their server has here too?
audit_rows.py     the random repos, from the database
documents.py      fresh DID documents, for those who wait for them
pds.py            what a PDS says of a repo
crew.py           a bounded number of questions at once
"""
