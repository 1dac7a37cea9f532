"""The scripts that complete commands of raynas in a shell, made of the parser of the command line.

A script names verbs, options and choices as they were when it was printed, with the run files of raynas and the keys of
a run file. It starts no process, so that completion is instant.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from raynas.config.job_files import PREFIX, job_names
from raynas.config.key_docs import key_docs, section_docs


@dataclass(frozen=True)
class Flag:
    """An option of a verb.

    Attributes:
        flag: The option, such as ``--set``.
        text: Its help.
        takes: Words that its value can be; None for an option without a value.
    """

    flag: str
    text: str
    takes: tuple[str, ...] | None


@dataclass(frozen=True)
class VerbWords:
    """A verb.

    Attributes:
        verb: The verb.
        text: Its help.
        flags: Its options.
        words: Words that its arguments can be, beside files.
    """

    verb: str
    text: str
    flags: tuple[Flag, ...]
    words: tuple[str, ...]


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Returns the script that completes commands.

    Args:
        parser: The parser of the command line.
        shell: bash, zsh or fish.
    """
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](verbs_of(parser))


def verbs_of(parser: argparse.ArgumentParser) -> list[VerbWords]:
    """Returns the verbs of a parser with their options."""
    verbs: list[VerbWords] = []
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            continue
        texts = {choice.dest: choice.help or "" for choice in action._choices_actions}
        for verb, command in action.choices.items():
            flags, words = _parts_of(command)
            verbs.append(VerbWords(verb, texts[verb], flags, words))
    return verbs


def _parts_of(command: argparse.ArgumentParser) -> tuple[tuple[Flag, ...], tuple[str, ...]]:
    """Returns the options of a verb, and the words that its arguments can be."""
    flags: list[Flag] = []
    words: list[str] = []
    for action in command._actions:
        if action.option_strings:
            takes = None if action.nargs == 0 else _words_for(action)
            flags += [Flag(flag, action.help or "", takes) for flag in action.option_strings]
        else:
            words += _words_for(action)
    return tuple(flags), tuple(words)


def _words_for(action: argparse.Action) -> tuple[str, ...]:
    """Returns the words that a value can be: its choices, run files of raynas, or keys of a run file."""
    if action.choices is not None:
        return tuple(map(str, action.choices))
    if action.metavar in ("FILE.yaml", "TARGET"):
        return tuple(f"{PREFIX}{name}" for name in job_names())
    keys = [key.key for key in key_docs()]
    if action.metavar == "KEY":
        return tuple(dict.fromkeys([*keys, *section_docs()]))
    if action.metavar == "KEY=VALUE" and "--set" in action.option_strings:
        return tuple(f"{key}=" for key in dict.fromkeys(keys))
    return ()


def _bash(verbs: Sequence[VerbWords]) -> str:
    lines = [
        '# Completion of raynas in bash: eval "$(raynas completion bash)"',
        "_raynas() {",
        '    local line="${COMP_LINE:0:COMP_POINT}" current previous words= verb="${COMP_WORDS[1]}"',
        '    current="${line##*[[:space:]]}"',
        '    line="${line%"$current"}"',
        '    previous="${line%"${line##*[![:space:]]}"}"',
        '    previous="${previous##*[[:space:]]}"',
        '    if [ "$previous" = raynas ] || [ "${previous##*/}" = raynas ]; then',
        f"        words={shlex.quote(' '.join([*(verb.verb for verb in verbs), '--help', '--version']))}",
        "    else",
        '        case "$verb $previous" in',
    ]
    for verb in verbs:
        for flag in verb.flags:
            if flag.takes:
                lines.append(f'            "{verb.verb} {flag.flag}") words={shlex.quote(" ".join(flag.takes))} ;;')
    lines += ['            *) case "$verb $current" in']
    for verb in verbs:
        flags = " ".join(flag.flag for flag in verb.flags)
        lines.append(f'                "{verb.verb} -"*) words={shlex.quote(flags)} ;;')
        if verb.words:
            lines.append(f'                "{verb.verb} "*) words={shlex.quote(" ".join(verb.words))} ;;')
    lines += [
        "            esac ;;",
        "        esac",
        "    fi",
        '    COMPREPLY=($(compgen -W "$words" -- "$current"))',
        '    local kept="${current%"${current##*[:=]}"}" number',
        '    for number in "${!COMPREPLY[@]}"; do',
        '        COMPREPLY[number]="${COMPREPLY[number]#"$kept"}"',
        "    done",
        "}",
        "complete -o default -o nosort -F _raynas raynas",
    ]
    return "\n".join(lines) + "\n"


def _zsh(verbs: Sequence[VerbWords]) -> str:
    lines = [
        "#compdef raynas",
        '# Completion of raynas in zsh: eval "$(raynas completion zsh)"',
        "_raynas() {",
        "    local -a verbs options values",
        "    local previous=${words[CURRENT-1]}",
        f"    verbs=({' '.join(shlex.quote(_described(verb.verb, verb.text)) for verb in verbs)})",
        "    if (( CURRENT == 2 )); then",
        "        _describe verb verbs",
        "        return",
        "    fi",
        '    case "${words[2]} $previous" in',
    ]
    for verb in verbs:
        for flag in verb.flags:
            if flag.takes:
                values = " ".join(map(shlex.quote, flag.takes))
                lines.append(f'        "{verb.verb} {flag.flag}") compadd -S "" -- {values}; return ;;')
    lines += ["    esac", '    case "${words[2]}" in']
    for verb in verbs:
        options = " ".join(shlex.quote(_described(flag.flag, flag.text)) for flag in verb.flags)
        lines.append(f"        {verb.verb}) options=({options}); values=({' '.join(map(shlex.quote, verb.words))}) ;;")
    lines += [
        "    esac",
        '    if [[ "${words[CURRENT]}" == -* ]]; then',
        "        _describe option options",
        "    else",
        "        (( ${#values} )) && compadd -- $values",
        "        _files",
        "    fi",
        "}",
        "compdef _raynas raynas",
    ]
    return "\n".join(lines) + "\n"


def _described(word: str, text: str) -> str:
    """Returns a word with its text as zsh's `_describe` reads them."""
    return f"{word.replace(':', chr(92) + ':')}:{text}"


def _fish(verbs: Sequence[VerbWords]) -> str:
    lines = ["# Completion of raynas in fish: raynas completion fish | source"]
    for verb in verbs:
        text = shlex.quote(verb.text)
        lines.append(f"complete -c raynas -n __fish_use_subcommand -f -a {verb.verb} -d {text}")
    for verb in verbs:
        inside = f"complete -c raynas -n '__fish_seen_subcommand_from {verb.verb}'"
        if verb.words:
            lines.append(f"{inside} -a {shlex.quote(' '.join(verb.words))}")
        for flag in verb.flags:
            name = f"-l {flag.flag[2:]}" if flag.flag.startswith("--") else f"-s {flag.flag[1:]}"
            value = "" if flag.takes is None else " -r"
            if flag.takes:
                value = f" -x -a {shlex.quote(' '.join(flag.takes))}"
            lines.append(f"{inside} {name}{value} -d {shlex.quote(flag.text)}")
    return "\n".join(lines) + "\n"
