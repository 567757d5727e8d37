"""A relay of our own, for tests, benchmarks and `make demo`. It imports nothing of `unified_indexer`: an independent truth."""
