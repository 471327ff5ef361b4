"""`lambda-singleton completion`: what makes a shell complete commands and options."""

from __future__ import annotations

import re
from argparse import Namespace

from ..parser import parsers

_BASH = """\
_lambda_singleton() {{
    local words
    case "${{COMP_WORDS[1]}}" in
{cases}
        *) words="{commands}" ;;
    esac
    if [ "$COMP_CWORD" -eq 1 ]; then words="{commands}"; fi
    COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _lambda_singleton lambda-singleton"""


def run(options: Namespace) -> int:
    """Print the script for one shell."""
    known = _known()
    if options.shell == "fish":
        print("\n".join(_fish(known)))
        return 0
    if options.shell == "zsh":
        print("autoload -U +X bashcompinit && bashcompinit")
    cases = "\n".join(
        f'        {name}) words="{" ".join(words)}" ;;' for name, (_, words) in known.items()
    )
    print(_BASH.format(cases=cases, commands=" ".join(known)))
    return 0


def _fish(known: dict[str, tuple[str, list[str]]]) -> list[str]:
    complete = "complete -c lambda-singleton"
    lines = []
    for name, (does, words) in known.items():
        lines.append(f"{complete} -n __fish_use_subcommand -f -a {name} -d '{does}'")
        given = f"{complete} -n '__fish_seen_subcommand_from {name}'"
        lines += [f"{given} -l {word.removeprefix('--')}" for word in words if word[:2] == "--"]
    return lines


def _known() -> dict[str, tuple[str, list[str]]]:
    """Return, for each command, what it does and the options that it takes."""
    known = {}
    for name, command in parsers()[1].items():
        options = dict.fromkeys(re.findall(r"--[a-z][a-z-]*", command.format_help()))
        known[name] = (command.description or "", list(options))
    return known
