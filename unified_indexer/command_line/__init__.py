"""The process around the worker, and the commands.

process.py        exit codes, logging, the embedded database
cli.py            the command line
tree.py           the command line as plain values, for completion and the man page
command.py        what a file of commands/ gives
program_name.py   what the program is called where an operator reads it
signals.py        the first signal asks, the second leaves at once
stdout.py         what commands print
asking.py         connections, client and identities of a command that asks outside
looking.py        what a start would find, looked at for `config check`
network_check.py  random repos, held against what their own servers have
repair_run.py     repos fetched by the command itself
retry_run.py      dead letters applied again, one commit after the other
commands/         one file per command, found by looking
texts/            what commands print, made of plain values
"""
