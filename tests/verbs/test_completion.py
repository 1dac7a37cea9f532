"""Completion of commands in a shell: the scripts offer what the parser knows."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from raynas.arguments import LISTS, SHELLS, VERBS, command_line
from raynas.config.job_files import job_names
from raynas.verbs.shell_scripts import completion_script, verbs_of

ASK = """
source "$1"
COMP_LINE="$2"
COMP_POINT=${#COMP_LINE}
read -ra COMP_WORDS <<< "$COMP_LINE"
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
case "$COMP_LINE" in *" ") COMP_CWORD=$((COMP_CWORD + 1)) ;; esac
_raynas
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("completion") / "raynas.bash"
    file.write_text(completion_script(command_line(), "bash"))
    return file


def offered(script: Path, line: str) -> list[str]:
    done = subprocess.run(["bash", "-c", ASK, "bash", script, line], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("raynas ", [*VERBS, "--help", "--version"]),
        ("raynas re", ["retrain", "report"]),
        ("raynas list ", list(LISTS)),
        ("raynas list al", ["algorithms"]),
        ("raynas completion ", list(SHELLS)),
        ("raynas run jobs:small_r", ["small_rlnas"]),
        ("raynas run jobs:", job_names()),
        ("raynas run small.yaml --set train.epo", ["train.epochs="]),
        ("raynas run small.yaml --qu", ["--quick"]),
        ("raynas explain search.limits.max_l", ["search.limits.max_latency"]),
        ("raynas check small.yaml --", ["--help", "--set", "--name", "--quick", "--json"]),
        ("raynas run small.yaml --name ", job_names()),
    ],
)
def test_bash_offers_what_may_come_next(script: Path, line: str, words: list[str]) -> None:
    expected = [f"jobs:{word}" for word in words] if line.endswith("--name ") else words
    assert sorted(offered(script, line)) == sorted(expected)


def test_every_verb_and_its_options_are_those_of_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    verbs = {verb.verb: {flag.flag for flag in verb.flags} for verb in verbs_of(command_line())}
    assert set(verbs) == set(VERBS)
    for verb, flags in verbs.items():
        with pytest.raises(SystemExit):
            command_line().parse_args([verb, "--help"])
        help_text = capsys.readouterr().out
        assert set(re.findall(r"(?<![\w.])--[a-z-]+(?=[ ,\n\]])", help_text.partition("options:")[2])) >= flags - {"-h"}
        assert "--help" in flags


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_has_every_verb_and_is_valid(shell: str, tmp_path: Path) -> None:
    text = completion_script(command_line(), shell)
    assert all(verb in text for verb in VERBS)
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    file = tmp_path / "script"
    file.write_text(text)
    subprocess.run([program, "--no-execute" if shell == "fish" else "-n", file], check=True)
