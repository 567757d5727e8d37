"""What tests and benchmarks share: records and commits, servers and processes, the model, and programs that break things."""
