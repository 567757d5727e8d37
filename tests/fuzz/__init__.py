"""Fuzzing: hostile frames, CARs, records and trees; `python -m tests.fuzz`, and what the suite takes from here."""
