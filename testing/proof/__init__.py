"""The long proofs of the whole program, each a command in proofs.toml; `python -m testing.proof` runs them.

[[proof]]
name = "…"     unique, kebab-case
shows = "…"    what is shown where it passes, in a row of docs/proof.md
command = "…"  for a shell, from the project's root; exit code 0 is a pass
hours = …      how long it may take, on two cores
told = "…"     a regular expression: the last line that has it is the result, and the first group of it, where it has one
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).parent / "proofs.toml"
PAGE = ROOT / "docs" / "proof.md"
BEGIN, END = "<!-- written by `python -m testing.proof --write` -->", "<!-- its end -->"
HEAD = "| proof | what it shows | result | commit | begun (UTC) | took |\n|---|---|---|---|---|---|\n"
MACHINE, NOT_RUN = "Machine of the newest result: ", "Not run yet, so nothing is claimed of them: "


@dataclass(frozen=True, slots=True)
class Proof:
    """One long run, and what it shows."""

    name: str
    shows: str
    command: str
    hours: float
    told: str

    def result(self, output: str) -> str:
        """What it says of itself, in a line; empty if it said nothing of the kind."""
        found = [match for line in output.splitlines() if (match := re.search(self.told, line))]
        return (found[-1][1] if found[-1].re.groups else found[-1][0]).strip(" =") if found else ""


def load(file: Path = FILE) -> list[Proof]:
    """All proofs, in the order in which they are run."""
    return [Proof(**fields) for fields in tomllib.loads(file.read_text(encoding="utf-8"))["proof"]]


def rows(page: str) -> dict[str, str]:
    """The rows of the page's table, by the proof's name."""
    table = page.partition(BEGIN)[2].partition(END)[0]
    return {line.split("`")[1]: line for line in table.splitlines() if line.startswith("| `")}


def not_run(page: str) -> list[str]:
    """The proofs that the page names as not run yet."""
    block = page.partition(BEGIN)[2].partition(END)[0]
    line = next((line for line in block.splitlines() if line.startswith(NOT_RUN)), "")
    return re.findall(r"`([^`]+)`", line)


def with_row(page: str, proof: Proof, row: str, proofs: list[Proof], machine: str) -> str:
    """The page with a new row for this proof; the others stay, in the order of the file. `machine`: that of the new row."""
    kept = rows(page) | {proof.name: row}
    before, _, rest = page.partition(BEGIN)
    table = "\n".join(kept[one.name] for one in proofs if one.name in kept)
    missing = ", ".join(f"`{one.name}`" for one in proofs if one.name not in kept)
    said = f"{MACHINE}{machine}." + (f"\n{NOT_RUN}{missing}." if missing else "")
    return f"{before}{BEGIN}\n\n{HEAD}{table}\n\n{said}\n\n{END}{rest.partition(END)[2]}"
