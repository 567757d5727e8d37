"""Where settings are written: the process's environment and ./.env; and secrets in files, as Docker, Kubernetes and systemd
hand them over."""

import os
from collections.abc import Container, Iterable, Mapping
from pathlib import Path

from dotenv import dotenv_values

# systemd's variable for what LoadCredential= hands to a service: each credential is a file there.
# https://systemd.io/CREDENTIALS/
CREDENTIALS = "CREDENTIALS_DIRECTORY"
MOST_BYTES = 64 * 1024  # of a file with a secret


def in_file(name: str) -> str:
    """The variable that names the file with this setting's value."""
    return f"{name}_FILE"


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


def with_files(env: Mapping[str, str], secrets: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """The variables with those secrets that are in files: NAME_FILE names one, or it is systemd's credential NAME. The list
    says what is wrong with one, never what it holds."""
    found, faults = dict(env), list[str]()
    for name in secrets:
        places: dict[str, Path | None] = {name: None} if env.get(name, "").strip() else {}
        if path := env.get(in_file(name), "").strip():
            places[in_file(name)] = Path(path)
        if env.get(CREDENTIALS) and (credential := Path(env[CREDENTIALS]) / name).exists():
            places[f"the credential {name}"] = credential
        if len(places) > 1:
            faults.append(f"{name} is set more than once, by {' and '.join(places)}: keep one of them")
            continue
        for way, file in places.items():
            if file is not None:
                try:
                    found[name] = _secret_in(file)
                except ValueError as error:
                    faults.append(f"{name} is in no usable file: {way} leads to {str(file)[:80]!r}, {error}")
    return found, faults


def _secret_in(path: Path) -> str:
    """The text of a file, without the newline at its end. Raises ValueError, which says what to do."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        text = content.decode().removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"which cannot be read ({type(error).__name__}); correct the path, or the file's rights") from None
    if not text.strip() or len(content) > MOST_BYTES or not text.isprintable():
        raise ValueError("which is empty, has several lines, or is over 64 kB; write the value into it, and nothing else")
    return text
