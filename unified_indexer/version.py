"""The program's version, in one place: for `--version` and the User-Agent that relays see. A test compares pyproject.toml."""

VERSION = "0.2.0"
