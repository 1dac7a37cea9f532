"""Names and URLs that come from somewhere else: which are taken, and which are refused with one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from raynas.cli import main
from raynas.config.locations import checked_url, inside, may_read, refuse_links, staging
from raynas.config.reading import load_config
from tests.stages.runs import small_run

HOSTILE = [
    *("../evil", "a/../../evil", "/etc/passwd", "..", ".", "", "a//b", "a/./b", "a/", "a\\..\\b", "C:/evil", "a/c:x"),
    *("a\0b", "a\nb", "a\x1b[31m", " a", "a ", "x" * 256),
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_leads_out_of_its_folder_is_refused_in_one_short_printable_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="expected the name of something below") as refused:
        inside(tmp_path, name)
    assert str(refused.value).isprintable() and len(str(refused.value)) < 200 + len(str(tmp_path))


@pytest.mark.parametrize("name", ["a", "a/b.json", "trials/lr-0.1_seed-2", "..a", "a..", "ä/名.txt", ".hidden"])
def test_other_names_are_taken(tmp_path: Path, name: str) -> None:
    assert inside(tmp_path, name) == tmp_path / name


def test_links_in_a_folder_are_followed_only_inside_it(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "real").mkdir(parents=True)
    outside.mkdir()
    (root / "within").symlink_to(root / "real")
    (tmp_path / "root-as-a-link").symlink_to(root)
    refuse_links(tmp_path / "root-as-a-link")
    assert inside(root, "within/file") == root / "within/file"
    for name, target in (("out", outside), ("dangling", tmp_path / "none"), ("file", "/etc/passwd")):
        (root / "real" / name).symlink_to(target)
        with pytest.raises(ValueError, match=f"real/{name}: expected files and folders, got a link out of"):
            refuse_links(root)
        with pytest.raises(ValueError, match="a link leads it out of"):
            inside(root, f"real/{name}")
        (root / "real" / name).unlink()


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/runs?session_token=hunter2",
        "s3://bucket/runs?access_key=hunter2&region=eu-west-1",
        "s3://bucket/runs?secret_key=hunter2",
        "s3://bucket/runs?region=eu-west-1&X-Amz-Signature=hunter2",
        "s3://hunter2@bucket/runs",
        "s3://user:hunter2@bucket/runs",
        "s3://bucket/runs#hunter2",
        "gs://hunter2@bucket/runs",
        "gs://bucket/runs?session_token=hunter2",
        "abfs://fs@account.dfs.core.windows.net/runs?client_secret=hunter2",
        "abfs://account:hunter2@fs/runs",
        "abfs://account@fs/runs?sas_token=hunter2",
        "file:///x?secret_key=hunter2",
        "s3:///x?secret_key=hunter2",
    ],
)
@pytest.mark.parametrize("key", ["storage_path", "train.reuse"])
def test_a_credential_in_a_url_is_refused_and_not_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str, url: str
) -> None:
    assert main(["check", str(small_run(tmp_path)), "--set", f"{key}={url}"]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"raynas: {key}: expected a URL without credentials") and err.count("\n") == 1
    assert "hunter2" not in out + err


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/runs?endpoint_override=http://127.0.0.1:9000&scheme=http&region=eu-west-1",
        "s3://bucket/runs?allow_bucket_creation=true&tls_verify_certificates=false",
        "gs://anonymous@bucket/runs?project_id=x&retry_limit_seconds=3",
        "abfs://fs@account.dfs.core.windows.net/runs",
        "hdfs://host:8020/runs?user=me",
    ],
)
def test_the_options_of_pyarrow_are_taken(tmp_path: Path, url: str) -> None:
    assert load_config(small_run(tmp_path, storage_path=url)).storage_path == url


@pytest.mark.parametrize("path", ["a/..", "../a", "a/./b", "a/%2e%2e/b", "a\\b", "a%00b"])
def test_a_url_of_parts_that_are_no_names_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="expected a URL of plain names"):
        checked_url(f"s3://bucket/{path}")


def test_the_staging_folder_of_any_url_lies_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert staging("s3://bucket/a/run", "reader").is_relative_to(tmp_path / "raynas")
    assert staging("s3://bucket", "reader").is_relative_to(tmp_path / "raynas")
    with pytest.raises(ValueError, match="expected the name"):
        staging("s3://bucket/a/..", "reader")


@pytest.mark.parametrize(
    ("other", "location", "named", "answer"),
    [
        ("s3://b/base?region=x", "s3://b/runs/one?region=x", (), True),
        ("s3://b/base?scheme=http&region=x", "s3://b/one?region=x&scheme=http", (), True),
        ("s3://b/base?region=y", "s3://b/one?region=x", (), False),
        ("s3://b/base?endpoint_override=evil", "s3://b/one", (), False),
        ("s3://other/base", "s3://b/one", (), False),
        ("gs://b/base", "s3://b/one", (), False),
        ("s3://b/../base", "s3://b/one", (), False),
        ("s3://b/base?secret_key=x", "s3://b/one?secret_key=x", (), False),
        ("s3://other/base", "s3://b/one", ("s3://other/base",), True),
        ("s3://other/base?scheme=http&region=x", "s3://b/one", ("s3://other/base/?region=x&scheme=http",), True),
        ("s3://other/base?region=y", "s3://b/one", ("s3://other/base?region=x",), False),
        ("s3://other/base2", "s3://b/one", ("s3://other/base",), False),
        ("s3://b/base", "{runs}/one", (), False),
        ("{runs}/base", "s3://b/one", (), False),
        ("{runs}/base", "{runs}/one", (), True),
        ("{runs}/sweep/supernets/abc", "{runs}/one", (), True),
        ("{runs}/base", "{runs}/sweep/trials/t", (), True),
        ("{runs}/sweep/supernets/abc", "{runs}/sweep/trials/t", (), True),
        ("{runs}/one/../../secret", "{runs}/one", (), False),
        ("{runs}/link", "{runs}/one", (), False),
        ("{runs}-secret/base", "{runs}/one", (), False),
        ("/etc", "{runs}/one", (), False),
        ("/etc", "{runs}/one", ("/etc",), True),
        ("/etc", "/one", (), False),
    ],
)
def test_a_run_leads_its_reader_only_to_places_beside_it_or_that_the_user_named(
    tmp_path: Path, other: str, location: str, named: tuple[str, ...], answer: bool
) -> None:
    runs = tmp_path / "runs"
    (runs / "sweep/trials/t").mkdir(parents=True)
    (runs / "sweep/sweep.json").write_text("{}")
    (runs / "link").symlink_to("/etc")
    assert may_read(other.format(runs=runs), location.format(runs=runs), named) is answer
