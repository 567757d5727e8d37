"""The completion scripts of three shells, made of the command line's tree."""

from collections.abc import Callable, Iterable, Sequence

from unified_indexer.command_line.program_name import INSTALLED
from unified_indexer.command_line.tree import Node, Option

# Which parser the words before this one lead to; a command is the first word, so it stands at `{first}`.
BASH = """\
# Completion of {program} for bash, made by `{program} completion bash`.
_unified_worker() {{
    local IFS=$'\\n' current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} node= words= i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "$i $node ${{COMP_WORDS[i]}}" in
{steps}
        esac
    done
    if [[ $current != -* ]]; then
        case "$node $before" in
{files}
                compopt -o filenames 2>/dev/null
                COMPREPLY=($(compgen -f -- "$current"))
                return ;;
{values}
                return ;;
        esac
    fi
    case "$node" in
{words}
    esac
    if [[ -z $node && $COMP_CWORD == 1 ]]; then words+=$'\\n'{commands}; fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -F _unified_worker {program}
"""

ZSH = """\
#compdef {program}
# Completion of {program} for zsh, made by `{program} completion zsh`.
_unified_worker() {{
    local node= before=${{words[CURRENT-1]}} i
    local -a found
    for ((i = 2; i < CURRENT; i++)); do
        case "$i $node ${{words[i]}}" in
{steps}
        esac
    done
    if [[ ${{words[CURRENT]}} != -* ]]; then
        case "$node $before" in
{files}
                _files
                return ;;
{values}
                return ;;
        esac
    fi
    case "$node" in
{words}
    esac
    if [[ -z $node && $CURRENT == 2 ]]; then found+=({commands}); fi
    _describe '{program}' found
}}
if [[ $funcstack[1] == _{program} ]]; then _unified_worker "$@"; fi
if [[ $funcstack[1] != _{program} ]]; then compdef _unified_worker {program}; fi
"""

FISH = """\
# Completion of {program} for fish, made by `{program} completion fish`.
function __unified_worker_node
    set -l words (commandline -opc)
    set -l node ''
    for i in (seq 2 (count $words))
        switch "$i $node $words[$i]"
{steps}
        end
    end
    test "$node" = "$argv"
end
complete -c {program} -f
{lines}
"""


def bash(nodes: Sequence[Node]) -> str:
    """For `source <(unified-worker completion bash)`, or a file in bash-completion's folder."""
    return _script(BASH, nodes, first=1, words=_bash_words, commands=lambda node: _bash_list(word.name for word in node.words))


def zsh(nodes: Sequence[Node]) -> str:
    """For `source <(unified-worker completion zsh)`, or a file `_unified-worker` in a folder of $fpath."""

    def words(node: Node) -> str:
        return f"        {_quoted(' '.join(node.path))}) found=({_zsh_list(_offered(node))}) ;;"

    return _script(ZSH, nodes, first=2, words=words, commands=lambda node: _zsh_list(node.words))


def fish(nodes: Sequence[Node]) -> str:
    """For `unified-worker completion fish | source`, or a file in ~/.config/fish/completions."""
    steps = [
        f"            case '{'2' if len(node.path) == 1 else '*'} {' '.join(node.path[:-1])} {node.path[-1]}'\n"
        f"                set node '{' '.join(node.path)}'"
        for node in nodes[1:]
    ]
    return FISH.format(program=INSTALLED, steps="\n".join(steps), lines="\n".join(_fish_lines(nodes)))


def _fish_lines(nodes: Sequence[Node]) -> list[str]:
    lines: list[str] = []
    for node in nodes:
        start = f"complete -c {INSTALLED} -n '__unified_worker_node {' '.join(node.path)}'"
        alone = start if node.path else f"complete -c {INSTALLED} -n 'test (count (commandline -opc)) -eq 1'"
        lines += [f"{alone} -a {_quoted(word.name)} -d {_quoted(_short(word.help))}" for word in node.words]
        for option in node.options:
            names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
            value = "" if not option.value else " -r -F" if option.file else " -x"
            lines.append(f"{start} {names}{value} -d {_quoted(_short(option.help))}")
    return lines


def _script(
    template: str, nodes: Sequence[Node], *, first: int, words: Callable[[Node], str], commands: Callable[[Node], str]
) -> str:
    steps = [
        f'            "{first if len(node.path) == 1 else "$i"} {" ".join(node.path[:-1])} {node.path[-1]}") '
        f"node={_quoted(' '.join(node.path))} ;;"
        for node in nodes[1:]
    ]
    valued = [(node, option) for node in nodes for option in node.options if option.value]
    return template.format(
        program=INSTALLED,
        steps="\n".join(steps),
        files=_pattern((node, option) for node, option in valued if option.file),
        values=_pattern((node, option) for node, option in valued if not option.file),
        words="\n".join(map(words, nodes)),
        commands=commands(nodes[0]),
    )


def _pattern(valued: Iterable[tuple[Node, Option]]) -> str:
    return (
        "            " + "|".join(f'"{" ".join(node.path)} {name}"' for node, option in valued for name in option.names) + ")"
    )


def _offered(node: Node) -> list[tuple[str, str]]:
    """What may come next, with its help: words and options. The worker's commands are apart: they are the first word only."""
    words = [(word.name, word.help) for word in node.words] if node.path else []
    return [*words, *((name, option.help) for option in node.options for name in option.names)]


def _bash_words(node: Node) -> str:
    return f"        {_quoted(' '.join(node.path))}) words={_bash_list(name for name, _ in _offered(node))} ;;"


def _bash_list(names: Iterable[str]) -> str:
    return "$'" + "\\n".join(names) + "'"


def _zsh_list(offered: Iterable[tuple[str, str]]) -> str:
    return " ".join(_quoted(f"{name.replace(':', chr(92) + ':')}:{_short(text)}") for name, text in offered)


def _short(text: str) -> str:
    """The first line of a help, for a list."""
    return text.partition("\n")[0].partition(";")[0][:100]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


SCRIPTS = {"bash": bash, "zsh": zsh, "fish": fish}
