"""The database: the only package that imports asyncpg. Each folder may import only those above it in this list.

connection/    the pool, the lock, one server for all connections, and what errors ask for
write/         events -> arrays -> one call of the stored procedure; repeat, isolate or stop
functions/     the SQL that is installed in the server
dead_letters/  what could not be applied: listed, retried, dropped
repair/        a repo that was fetched whole, brought into the tables
schema/        an empty or an existing database made ready, or every fault named
recount/       what `check` compares: an oracle of its own, on purpose
background/    periodic work: wipes, waiting commits, gates, rebuild, sweep, sizes
status/        what `status` reads
"""
