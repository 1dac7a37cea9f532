"""A folder that is submitted: what leaves the machine, what stays, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from raynas.cli import main
from raynas.on_ray import jobs, packing
from raynas.on_ray.packing import package
from tests.stages.runs import ROOT, small_run

DASHES = "-" * 5
"""Put together here, so that this file is no secret itself."""

KEY = f"{DASHES}BEGIN OPENSSH PRIVATE KEY{DASHES}\nb3BlbnNzaC1r\n"
SERVICE_ACCOUNT = json.dumps({"type": "service_account", "project_id": "x", "private_key": "x"}, indent=1)


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """raynas does not go along."""
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(ROOT))


def write(folder: Path, *names: str, text: str = "x = 1\n") -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def sent(folder: Path) -> set[str]:
    return set(package(folder).files)


@pytest.mark.parametrize(
    "name",
    [
        *("id_rsa", "deep/down/id_ed25519", "key.pem", "KEY.PEM", "server.key", "store.p12", "credentials.json"),
        *("credentials-prod.json", "client_secret_1.json", "service-account.json", "prod.env", "kubeconfig.yaml"),
        *("aws/credentials", "pypirc", "netrc", "secrets.yaml", "token.json"),
    ],
)
def test_a_file_that_is_called_as_a_secret_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    write(tmp_path, "a.py", name)
    with pytest.raises(ValueError, match=rf"^{name}: .* got a name of secrets; .* add /{name} to .rayignore$"):
        package(tmp_path)
    (tmp_path / ".rayignore").write_text(f"/{name}\n")
    assert sent(tmp_path) == {"a.py"}, "the remedy of the message is one"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (KEY, "a private key"),
        (f"# mine\n\n{DASHES}BEGIN PRIVATE KEY{DASHES}\n", "a private key"),
        (f"{DASHES}BEGIN PGP PRIVATE KEY BLOCK{DASHES}\n", "a private key"),
        (SERVICE_ACCOUNT, "the key of a service account"),
        (json.dumps({"private_key": "x", "type": "service_account"}), "the key of a service account"),
        ("key = '" + "AKIA" + "Q3EGRIEXAMPLE123'", "an AWS key"),
        ("aws_secret_access_key" + " = " + "a1B2" * 10, "an AWS key"),
        ("token = '" + "ghp_" + "a1B2" * 9 + "'", "an access token"),
        ("hf_" + "a" * 34, "an access token"),
    ],
)
def test_a_file_that_holds_a_secret_is_refused_whatever_it_is_called(tmp_path: Path, text: str, what: str) -> None:
    write(tmp_path, "config/notes.txt", text=text)
    with pytest.raises(ValueError, match=f"^config/notes.txt: expected files that a cluster may see, got {what}; "):
        package(tmp_path)


def test_public_keys_and_code_that_speaks_of_secrets_are_sent(tmp_path: Path) -> None:
    write(tmp_path, "id_rsa.pub", "keys.py", "tokens.json")
    write(tmp_path, "find.py", text="PATTERN = '-----BEGIN PRIVATE KEY-----'  # 'type': 'service_account'\n")
    write(tmp_path, "make.py", text=f"ACCOUNT = {SERVICE_ACCOUNT}\n")
    assert sent(tmp_path) == {"id_rsa.pub", "keys.py", "tokens.json", "find.py", "make.py"}
    package(ROOT)


def test_ignore_files_count_at_every_depth_as_git_reads_them(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a.py",
        "local.py",
        "sub/local.py",
        "sub/b.py",
        "sub/keep.log",
        "sub/x.log",
        "logs/x.py",
        "sub/logs/y.py",
    )
    write(tmp_path, "sub/only/c.py", "top.csv", "sub/top.csv", "table.csv", "sub/secret.txt", "other/secret.txt")
    (tmp_path / ".gitignore").write_text("# comment\nlocal.py\nlogs/\n/top.csv\ntable.csv\n*.log\n")
    (tmp_path / ".rayignore").write_text("!/table.csv\n")
    (tmp_path / "sub/.gitignore").write_text("!keep.log\nonly\n")
    (tmp_path / "sub/.rayignore").write_text("secret.txt\n")
    assert sent(tmp_path) == {"a.py", "sub/b.py", "sub/keep.log", "sub/top.csv", "table.csv", "other/secret.txt"}


@pytest.mark.skipif(shutil.which("git") is None, reason="git says what it ignores")
def test_git_would_ignore_the_same_files(tmp_path: Path) -> None:
    names = (
        "a.txt",
        "b.txt",
        "x/a.txt",
        "x/b/c.txt",
        "x/b/d.md",
        "y/a.txt",
        "y/z/b.txt",
        "y/z/q.md",
        "w w.txt",
        "#h.txt",
    )
    write(tmp_path, *names)
    (tmp_path / ".gitignore").write_text("*.txt\n!b.txt\nx/b/\n\\#h.txt\n!w\\ w.txt\n**/q.md\n")
    (tmp_path / "y/.gitignore").write_text("!a.txt\n/z/*.txt\n")
    git = ["git", "-c", "core.excludesFile=/dev/null", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / ".git/info/exclude").write_text("x/b/d.md\nw*\n")
    listing = subprocess.run(
        [*git, "ls-files", "-z", "--others", "--exclude-standard"], check=True, capture_output=True, text=True
    )
    assert sent(tmp_path) == {name for name in listing.stdout.split("\0") if name and ".gitignore" not in name}


def test_the_ignore_files_of_the_repository_around_a_folder_count(tmp_path: Path) -> None:
    project = tmp_path / "repository/project"
    write(project, "a.py", "cache.py", "big/b.py")
    (tmp_path / "repository/.git").mkdir()
    (tmp_path / "repository/.gitignore").write_text("cache.py\n/project/big/\n")
    (tmp_path / ".gitignore").write_text("a.py\n")  # above the repository
    assert sent(project) == {"a.py"}
    (tmp_path / "repository/.gitignore").write_text("cache.py\n/project/\n")
    assert sent(project) == {"a.py", "cache.py", "big/b.py"}, "a folder that is chosen is sent, ignored or not"


@pytest.mark.parametrize("target", ["/etc/passwd", "/etc", "../outside", "../outside/file"])
def test_a_link_that_leads_out_is_refused(tmp_path: Path, target: str) -> None:
    folder = tmp_path / "project"
    write(tmp_path, "project/deep/a.py", "outside/file")
    (folder / "deep/link").symlink_to(target if target.startswith("/") else tmp_path / target[3:])
    with pytest.raises(
        ValueError, match=r"^deep/link: expected files of .*, got a link to .*add /deep/link to .rayignore"
    ):
        package(folder)
    (folder / ".rayignore").write_text("/deep/link\n")
    assert sent(folder) == {"deep/a.py"}


def test_a_link_to_what_is_not_sent_is_refused_and_one_to_a_sent_file_is_its_content(tmp_path: Path) -> None:
    write(tmp_path, "a.py", ".env", "data/x.npz")
    (tmp_path / "same.py").symlink_to(tmp_path / "a.py")
    (tmp_path / "data-link").symlink_to(tmp_path / "data")
    (tmp_path / "dangling").symlink_to(tmp_path / "none")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "runs").symlink_to("/etc")
    assert sent(tmp_path) == {"a.py", "same.py"}
    (tmp_path / "innocent.txt").symlink_to(tmp_path / ".env")
    with pytest.raises(ValueError, match=r"^innocent.txt: expected a link to a file that is sent"):
        package(tmp_path)


def test_data_and_runs_stay_at_home_at_every_depth_unless_they_are_packages(tmp_path: Path) -> None:
    write(
        tmp_path, "data/a", "x/data/a", "x/y/runs/a/config.json", "x/wandb/a", "own/data/__init__.py", "own/data/b.py"
    )
    write(tmp_path, "x/a.py", "x/data.csv", "x/.hidden", ".env", ".netrc", ".aws/credentials")
    assert sent(tmp_path) == {"x/a.py", "x/data.csv", "own/data/__init__.py", "own/data/b.py"}


@pytest.mark.parametrize("name", ["queue.py", "secrets.py", "matplotlib.py", "yaml/__init__.py", "ray.py"])
def test_a_module_that_would_take_the_place_of_another_on_the_cluster_is_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, "deep/queue.py")
    with pytest.raises(ValueError, match=f"^{name}: would be imported in the place of the module "):
        package(tmp_path)
    (tmp_path / ".rayignore").write_text(f"/{name}\n")
    assert sent(tmp_path) == {"deep/queue.py"}


def test_only_variables_that_are_documented_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAYNAS_TOKEN", "RAYNAS_IMPORT_PATH", "RAYNAS_TRACEBACK", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    assert set(jobs.environment(["A=1"])) == {
        *("PYTHONUNBUFFERED", "RAY_JOB_STOP_WAIT_TIME_S", "RAYNAS_TRACEBACK", "A")
    }


def test_a_list_shows_files_sizes_and_names_of_variables_and_contacts_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "connect", lambda address: pytest.fail("a cluster was contacted"))
    monkeypatch.chdir(tmp_path)
    file = small_run(tmp_path)
    write(tmp_path, "own/a.py", "data/x", text="x" * 1234)
    assert main(["submit", str(file), "--list", "--env", "TOKEN=hunter2"]) == 0
    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["1,234", "own/a.py"] and lines[1] == [str(file.stat().st_size), "small.yaml"]
    assert lines[2] == [f"{1234 + file.stat().st_size:,}", "bytes", "in", "2", "files"]
    assert (
        lines[3] == ["variables:", "PYTHONUNBUFFERED,", "RAY_JOB_STOP_WAIT_TIME_S,", "TOKEN"] and "hunter2" not in out
    )
    write(tmp_path, "id_rsa", text=KEY)
    assert main(["submit", str(file), "--list"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_what_is_said_to_be_sent_is_what_the_archive_holds(tmp_path: Path) -> None:
    import zipfile

    write(tmp_path, "a.py", "x/b.py")
    packing.Package(tmp_path, package(tmp_path).files).write(tmp_path / "out.zip")
    assert set(zipfile.ZipFile(tmp_path / "out.zip").namelist()) == {"a.py", "x/b.py"}
    assert os.path.exists(tmp_path / "out.zip")
