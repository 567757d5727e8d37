"""A stand-in for the image's base, for machines that reach no registry: files of this one, in the places of the real one.

This Python with pip under /usr/local, the programs that the Dockerfile calls, and the libraries that all of them load. The real
base is another Python on another Debian: what is seen on the stand-in is the Dockerfile's steps, not the base.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

PROGRAMS = ("sh", "env", "groupadd", "useradd", "mkdir", "cat", "ls", "id")
LEFT_OUT = shutil.ignore_patterns("site-packages", "__pycache__", "test", "tests", "idlelib", "config-*", "*.a")
# What names are looked up in, whom TLS believes, and what an administrator has told pip.
SETTINGS = ("ssl/certs/ca-certificates.crt", "nsswitch.conf", "pip.conf", "default/useradd", "login.defs")
# Of the C library and the compilers' own: what the base has in any case, and wheels count on.
OF_EVERY_BASE = ("libnss_*", "libresolv", "libpthread", "libdl", "librt", "libutil", "libm", "libgcc_s", "libstdc++")
ACCOUNTS = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "group": "root:x:0:\n",
    "shadow": "root:*:19000:0:99999:7:::\n",
    "gshadow": "root:*::\n",
}


def base_files(root: Path) -> None:
    """Fill an empty folder. The Python must have a folder of its own: that of a distribution is spread over /usr."""
    home, version = Path(sys.base_prefix).resolve(), f"python{sys.version_info[0]}.{sys.version_info[1]}"
    if home == Path("/usr"):
        raise LookupError("this is the distribution's Python, whose files lie among others")
    for folder in ("usr/bin", "usr/sbin", "usr/lib", "usr/local/bin", "etc", "root", "proc", "sys", "dev", "run", "var"):
        (root / folder).mkdir(parents=True)
    (root / "tmp").mkdir(mode=0o1777)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to("usr/lib" if name == "lib64" else f"usr/{name}")
    library = root / "usr/local/lib" / version
    shutil.copytree(home / "lib" / version, library, ignore=LEFT_OUT, symlinks=True)
    program = root / "usr/local/bin" / version
    shutil.copy(home / "bin" / version, program)
    for name in ("python", "python3"):
        (program.parent / name).symlink_to(version)
    _pip(root, library / "site-packages")
    for shared in home.glob("lib/libpython*.so*"):
        shutil.copy(shared, root / "usr/local/lib")
    found = {name: shutil.which(name, path="/bin:/sbin:/usr/bin:/usr/sbin") for name in PROGRAMS}
    programs = {name: Path(path).resolve() for name, path in found.items() if path is not None}
    for name, path in programs.items():
        shutil.copy(path, root / "usr/bin" / name)
    _libraries(root, [program, *programs.values(), *library.glob("lib-dynload/*.so")])
    for name in SETTINGS:
        if Path("/etc", name).exists():
            (root / "etc" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path("/etc", name), root / "etc" / name)
    for name, text in ACCOUNTS.items():
        (root / "etc" / name).write_text(text)


def _pip(root: Path, packages: Path) -> None:
    spec = find_spec("pip")
    if spec is None or spec.origin is None:
        raise LookupError("this Python has no pip to copy")
    shutil.copytree(Path(spec.origin).parent, packages / "pip", ignore=shutil.ignore_patterns("__pycache__"))
    script = root / "usr/local/bin/pip"
    script.write_text("#!/usr/local/bin/python\nimport sys\nfrom pip._internal.cli.main import main\nsys.exit(main())\n")
    script.chmod(0o755)


def _libraries(root: Path, programs: Iterable[Path]) -> None:
    """What the loader would load, at its own path, and what it loads later or for others."""
    said = subprocess.run(["ldd", *programs], capture_output=True, text=True).stdout
    found = {Path(path) for path in re.findall(r"(?:=> |^\s+)(/\S+) \(0x", said, re.MULTILINE)}
    places = {path.parent for path in found if path.name.startswith("libc.so")}
    found.update(path for place in places for name in OF_EVERY_BASE for path in place.glob(f"{name}.so*"))
    for path in found:
        place = root / str(path).lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            shutil.copy(path, place)
