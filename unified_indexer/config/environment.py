"""Where settings are written: the process's environment and ./.env."""

import os
from collections.abc import Container
from pathlib import Path

from dotenv import dotenv_values


def environment(off: Container[str]) -> tuple[dict[str, str], str | None]:
    """The variables of both, where the environment has priority; and what is wrong with the file.

    An empty value counts as not set, but of those in `off`, where it says something.
    """
    path, fault = Path(".env"), None
    try:
        # No interpolation: a password may hold ${.
        written = dotenv_values(path, interpolate=False) if path.is_file() else {}
    except (OSError, UnicodeDecodeError) as error:
        written, fault = {}, f".env cannot be read ({type(error).__name__}); make it a readable text file in UTF-8"
    sources = (written, os.environ)
    found = {n: value or "" for source in sources for n, value in source.items() if (value and value.strip()) or n in off}
    return found, fault
