"""Fuzzing: hostile frames, CARs, records and trees; `python -m testing.fuzz`, and what the suite takes from here."""
