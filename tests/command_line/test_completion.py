"""Completion scripts: real shells offer what the command line takes."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from unified_indexer.command_line.cli import tree
from unified_indexer.command_line.commands import COMMANDS
from unified_indexer.command_line.program_name import INSTALLED
from unified_indexer.command_line.texts.completion import SCRIPTS
from unified_indexer.command_line.tree import nodes

# What each offers for the words of a line, of which the last is being written; FILES: names of files.
ASK = {
    "bash": """
        source {script}; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _unified_worker
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """,
    "zsh": """
        compdef() {{ }}; _files() {{ ls; }}; _describe() {{ print -l -- "${{(@P)2}}"; }}
        source {script}; words=({words}); CURRENT=${{#words}}; _unified_worker
    """,
    "fish": "source {script}; complete -C '{line}'",
}
CASES: tuple[tuple[str, set[str], set[str]], ...] = (
    ("", {*COMMANDS, "--embedded", "--until", "--help"}, {"list", "--json"}),
    ("che", {"check"}, {"config", "--help"}),
    ("--hold ", {"--standby"}, {"check", "status"}),
    ("check --s", {"--sample", "--seed", "--strict"}, {"--full", "--hold"}),
    ("check --full ", {"--strict"}, set(COMMANDS)),
    ("config ", {"check", "--restart"}, {"list", "status"}),
    ("completion ", {"bash", "zsh", "fish"}, {"status"}),
    ("dead-letters ", {"list", "show", "retry", "drop"}, {"status", "check"}),
    ("dead-letters --json retry --", {"--reason", "--did"}, {"--yes", "--raw"}),
    ("dead-letters drop check ", {"--yes"}, {"--sample"}),
    ("backfill --file ", {"dids.txt"}, {"status", "--network"}),
    ("--embedded ", {"dids.txt"}, {"status"}),
    ("check --seed ", set(), {"dids.txt", "--full"}),
)

OPTIONS = {name for node in nodes(*tree()) for option in node.options for name in option.names}


@pytest.fixture(params=SCRIPTS)
def offered(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], set[str]]:
    """By what is written so far: what one of the shells offers."""
    shell: str = request.param
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed (Debian: apt-get install {shell})")
    script = tmp_path / "script"
    script.write_text(SCRIPTS[shell](nodes(*tree())))
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "dids.txt").touch()
    checked = subprocess.run([program, "-n", script], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")

    def offer(line: str) -> set[str]:
        words = [INSTALLED, *line.split(" ")]
        quoted = " ".join(f"'{word}'" for word in words)
        text = ASK[shell].format(script=script, words=quoted, line=f"{INSTALLED} {line}")
        bare = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
        env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TERM": "dumb"}
        done = subprocess.run(
            [program, *bare, "-c", text], capture_output=True, text=True, cwd=tmp_path / "here", env=env, timeout=60
        )
        assert done.stderr == ""
        found = {each.split("\t")[0].split(":")[0] for each in done.stdout.splitlines()}
        return {each for each in found if each.startswith(words[-1])}  # zsh itself leaves out what does not match

    return offer


def test_what_may_come_next_is_offered_and_nothing_else(offered: Callable[[str], set[str]]) -> None:
    wrong: dict[str, tuple[set[str], set[str]]] = {}
    for line, some, none in CASES:
        found = offered(line)
        # fish offers options where a dash is written, and only there.
        wanted = some if found & OPTIONS else {each for each in some if not each.startswith("-")}
        if wanted - found or none & found:
            wrong[line] = (wanted - found, none & found)
    assert wrong == {}


def test_every_option_of_every_command_is_there() -> None:
    by_path = {node.path: node for node in nodes(*tree())}
    assert {path[0] for path in by_path if path} == set(COMMANDS)
    assert {word.name for word in by_path[()].words} == set(COMMANDS)
    assert ("dead-letters", "retry") in by_path
    for shell, script in SCRIPTS.items():
        text = script(nodes(*tree()))
        for node in by_path.values():
            for option in node.options:
                assert all(name.lstrip("-") in text for name in option.names), (shell, node.path)
