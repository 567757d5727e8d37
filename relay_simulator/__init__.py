"""A relay of our own, for tests, benchmarks and `make demo`. It imports nothing from `indexer`: it is an independent truth."""
