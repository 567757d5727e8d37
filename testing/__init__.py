"""What tests and benchmarks share, and the programs that break things. One kit: a test builds with it, or adds to it.

Records and streams:
commits.py             commits and messages by hand, as real frames that are decoded
samples.py             records as their authors mean them, several of each type
garbage.py             records of which any field may be anything
stories.py             small streams by hand, for the model
first_queries.py       the story that docs/queries.md is tried on
meetings.py            pairs of events of two repos that may be applied at one time
authors.py             what one account writes, as the relay sends it
traffic.py             the simulator's stream, with the model of it
networks.py            a network with a past, and the model of all of it
chain.py               how a proven commit fits what is stored of its repo, by the protocol's rules
signed.py              an account that really signs: commits to forge
verified.py            a small network whose directory knows its accounts
forgeries.py           what becomes of each forgery of the simulator
frames.py              frames byte by byte, official vectors, recorded frames
Servers, databases, workers:
servers.py             PostgreSQL servers, to use and to kill
stacks.py              where a program that hangs stands
failover.py            a primary and its standby, to lose one of them
machines.py            a second machine, whose cable can be cut
patroni.py             two servers of which Patroni makes one the leader
between.py             HAProxy and pgbouncer before a server
databases.py           questions to a worker's database: cursor, at rest, differences from the model
database_side.py       the worker's way into a database, without the stream
confirming.py          a worker that believes no relay, with the hosts that it asks
contract.py            the world around the records of the contract tests
application_schema.py  tables as an application makes them
hostile.py             settings of a database that change what SQL means
fetching.py            repos fetched from the servers of a made-up network
finding.py             repos found on the lists of a made-up network
web_site.py            a web server on loopback that answers as a test says
whole.py               the repair of a repo, step by step
whole_repos.py         whole repos, signed, as CARs in any order, sound or with something wrong
streams.py             a Valkey or Redis server of the test's own, to use and to kill
published.py           a consumer of what the worker tells other services
workers.py             a whole worker in this process
processes.py           a whole worker as a process of its own
warm.py                the same without the half second that Python needs to read the program
stand_in.py            the image's base, made of this machine's files
name_server.py         a name server on loopback
new_type.py            a worker of sources with one more record type
waiting.py             a condition with a deadline
What people see:
browser.py             a headless browser on the live page
page/                  the live page in every state, and what may be wrong with one
screens.py             a pseudo-terminal and its screen
documents.py           the documents, taken apart
site.py                the documents, as their site has them
monitoring.py          rules and dashboards as they are deployed
promises.py            the promises, and the tests and mutants of each
Oracles and programs:
model/                 a second, simple implementation of all rows
search_tree.py         a second, slow implementation of the search tree
faults/                `make faults`: relay, network, database and process fail
fuzz/                  `make fuzz`: hostile bytes
mutants/               `make mutants`: known small bugs
proof/                 `make proof`: the long runs, and the page that keeps their results
print_sql.py           `make sql`: every function that the worker installs
print_man.py           the man page
dependency_audit.py    known vulnerabilities of what is installed, for `make check`
"""
