"""The server of pages, asked over HTTP: what it shows, what it refuses, and how it ends."""

from __future__ import annotations

import http.client
import os
import posixpath
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from raynas.errors import InputError
from raynas.report.page import no_defaults
from raynas.ui.pages import Pages
from raynas.ui.server import Server
from tests.report import runs, sweeps
from tests.report.pages import Page

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Returns a folder with a run, a run that goes on, a sweep with a trial, and what is none of these."""
    folder = tmp_path / "runs"
    small(folder / "done <b>")
    runs.write_config(folder / "begun", name="begun")
    content = sweeps.results({"train.epochs": ("grid", [1])}, lambda p, s: {"true_accuracy": 90.0}, seeds=1)
    sweep = sweeps.write(folder / "swept", content)
    (sweep / "sweep.json").write_text('{"name": "swept"}')
    small(sweep / content["trials"][0]["folder"])
    (folder / "other").mkdir()
    (folder / "other/secret.txt").write_text("secret")
    (tmp_path / "outside").mkdir()
    small(tmp_path / "outside/run")
    (folder / "link").symlink_to(tmp_path / "outside/run")
    return folder


def small(folder: Path) -> None:
    runs.write_config(folder, name=folder.name)
    runs.write_search(folder, generations=1, population=3, drawings=False)


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    server = Server(Pages(folder, no_defaults), 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def ask(
    server: Server, path: str, *, method: str = "GET", host: str | None = None, token: str | None = None
) -> tuple[int, str, http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    known = server.token if token is None else token
    connection.putrequest(method, f"/{known}/{path}", skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{server.server_port}")
    connection.endheaders()
    answer = connection.getresponse()
    content = answer.read().decode("utf-8")
    connection.close()
    return answer.status, content, answer


def parsed(content: str, tmp_path: Path) -> Page:
    file = tmp_path / "page.html"
    file.write_text(content, encoding="utf-8")
    return Page(file)


def links(page: Page) -> list[str]:
    return [value for tag, name, value in page.attributes if tag == "a" and name == "href"]


def test_the_list_links_to_every_run_and_sweep(server: Server, tmp_path: Path) -> None:
    status, content, _ = ask(server, "")
    page = parsed(content, tmp_path)
    assert status == 200 and page.rows(0)[0] == ["name", "kind", "state", "best", "last change"]
    listed = {row[0]: row[1:] for row in page.rows(0)[1:]}
    assert {"done <b>", "begun", "swept"} <= set(listed) and "other" not in listed
    assert listed["done <b>"][:2] == ["run", "searched"] and "angle" in listed["done <b>"][2]
    assert listed["swept"][0] == "sweep" and listed["begun"][1] == "begun"
    for link in links(page):
        if "link" not in link:
            assert ask(server, link)[0] == 200, link


def test_a_run_a_sweep_and_a_trial_have_their_pages_and_links_between_them(server: Server, tmp_path: Path) -> None:
    run = parsed(ask(server, "runs/done%20%3Cb%3E/report/index.html")[1], tmp_path)
    assert run.said_by("h1") == ["done <b>"] and "Best architectures" in run.said_by("h2")
    sweep = parsed(ask(server, "runs/swept/report/index.html")[1], tmp_path)
    assert links(sweep) == ["../../../", "../trials/point-0_seed-0/report/index.html"]
    trial = parsed(ask(server, "runs/swept/trials/point-0_seed-0/report/index.html")[1], tmp_path)
    assert links(trial) == ["../../../report/index.html", "../../../../../"]
    assert not list((server.pages._folder).rglob("report")), "nothing is written"


def test_the_trials_of_a_sweep_are_served_alone_without_links_to_what_is_not_served(
    folder: Path, tmp_path: Path
) -> None:
    alone = Pages(folder / "swept/trials", no_defaults)
    place = alone.place(["point-0_seed-0"])
    (tmp_path / "page.html").write_text(alone.page(place), encoding="utf-8")
    page = Page(tmp_path / "page.html")
    assert page.said_by("h1") == ["point-0_seed-0"] and links(page) == ["../../../"]


def test_a_page_follows_its_records(server: Server, folder: Path, tmp_path: Path) -> None:
    address = "runs/begun/report/"
    first = ask(server, f"{address}version")[1]
    assert "holds no result yet" in ask(server, f"{address}index.html")[1]
    assert ask(server, f"{address}version")[1] == first
    runs.write_search(folder / "begun", generations=1, population=3, drawings=False)
    assert ask(server, f"{address}version")[1] != first
    page = parsed(ask(server, f"{address}index.html")[1], tmp_path)
    assert "Best architectures" in page.said_by("h2")
    (policy,) = [value for tag, _, value in page.attributes if tag == "meta" and value.startswith("default-src 'none'")]
    assert policy.endswith("connect-src 'self'") and len(page.scripts) == 2 and policy.count("sha256-") == 2


def test_the_supernets_that_trials_share_have_a_page_that_their_trials_link_to(
    server: Server, folder: Path, tmp_path: Path
) -> None:
    runs.write_config(folder / "swept/supernets/abc", name="abc")
    runs.write_training(folder / "swept/supernets/abc")
    runs.write_config(folder / "swept/trials/point-0_seed-0", train={"reuse": "runs/swept/supernets/abc"})
    address = "runs/swept/trials/point-0_seed-0/report/"
    found = links(parsed(ask(server, f"{address}index.html")[1], tmp_path))
    assert "../../../supernets/abc/report/index.html" in found
    for link in found:
        assert ask(server, posixpath.normpath(f"{address}{link}").removeprefix("."))[0] == 200, link
    shared = parsed(ask(server, "runs/swept/supernets/abc/report/index.html")[1], tmp_path)
    assert shared.said_by("h1") == ["abc"] and "Training" in shared.said_by("h2")
    for path in ("runs/swept/supernets/../report/index.html", "runs/done%20%3Cb%3E/supernets/abc/report/index.html"):
        assert ask(server, path)[0] == 404


@pytest.mark.parametrize("supernets", ["trials/point-0_seed-0", "supernets/abc"])
def test_the_page_of_a_sweep_follows_the_training_of_its_supernets(
    server: Server, folder: Path, supernets: str
) -> None:
    def version() -> str:
        return ask(server, "runs/swept/report/version")[1]

    first = version()
    runs.write_training(folder / "swept" / supernets, epochs=1)
    second = version()
    runs.write_training(folder / "swept" / supernets, epochs=2)
    assert len({first, second, version()}) == 3


def test_the_page_of_a_sweep_follows_the_trials_that_have_pages(server: Server, folder: Path) -> None:
    first = ask(server, "runs/swept/report/version")[1]
    (folder / "swept/trials/point-0_seed-0/config.json").unlink()
    assert ask(server, "runs/swept/report/version")[1] != first


@pytest.mark.parametrize(
    ("seconds", "said"), [(30, "now"), (90, "1 min ago"), (7300, "2 h ago"), (3 * 86400 + 5, "3 d ago")]
)
def test_the_list_says_how_long_ago_a_run_changed(
    server: Server, folder: Path, tmp_path: Path, seconds: int, said: str
) -> None:
    then = time.time() - seconds
    for place in (folder / "begun/config.json", folder / "begun"):
        os.utime(place, (then, then))
    rows = {row[0]: row for row in parsed(ask(server, "")[1], tmp_path).rows(0)}
    assert rows["begun"][4] == said


def test_the_list_follows_the_folder(server: Server, folder: Path) -> None:
    first = ask(server, "version")[1]
    small(folder / "another")
    assert ask(server, "version")[1] != first and "another" in ask(server, "")[1]


def test_runs_are_chosen_by_links_and_compared(server: Server, folder: Path, tmp_path: Path) -> None:
    small(folder / "other run")
    assert "compare/index.html" in links(parsed(ask(server, "")[1], tmp_path))
    place, shown = "compare/index.html", ""
    for name in ("other%20run", "done%20%3Cb%3E"):
        page = parsed(ask(server, place)[1], tmp_path)
        (link,) = [link for link in links(page) if f"compare/{shown}{name}/index.html" in link]
        place, shown = posixpath.normpath(posixpath.join(posixpath.dirname(place), link)), f"{shown}{name}/"
    status, content, _ = ask(server, place)
    page = parsed(content, tmp_path)
    assert status == 200 and "Side by side" in page.said_by("h2") and len(page.scripts) == 2
    assert place == "compare/other%20run/done%20%3Cb%3E/index.html"
    for link in links(page):
        address = posixpath.normpath(posixpath.join(posixpath.dirname(place), link))
        assert ask(server, "" if address == "." else address)[0] == 200, link
    assert "../../../runs/other%20run/report/index.html" in links(page)
    assert "../../../compare/other%20run/index.html" in links(page), "a click removes the other run"
    first = ask(server, place.replace("index.html", "version"))[1]
    runs.write_search(folder / "other run", generations=2, population=3, drawings=False)
    assert ask(server, place.replace("index.html", "version"))[1] != first
    assert not list(folder.rglob("report")), "nothing is written"


@pytest.mark.parametrize(
    "names",
    ["swept", "link", "other", "begun/begun", "done%20%3Cb%3E/nothing", "..", "%2e%2e", "/".join(["begun"] * 40)],
)
def test_only_different_runs_of_the_folder_are_compared(server: Server, names: str) -> None:
    assert ask(server, f"compare/{names}/index.html")[0] == 404
    assert ask(server, f"compare/{names}/version")[0] == 404


def test_a_comparison_with_a_run_that_has_no_result_says_so(server: Server) -> None:
    status, content, _ = ask(server, "compare/begun/done%20%3Cb%3E/index.html")
    assert status == 200 and "holds no result yet" in content and "compare/done%20%3Cb%3E/index.html" in content


def test_a_damaged_record_is_named_on_its_page(server: Server, folder: Path) -> None:
    (folder / "done <b>/search/result.json").write_text("{")
    status, content, _ = ask(server, "runs/done%20%3Cb%3E/report/index.html")
    assert status == 200 and "is damaged" in content and "<b>/search" not in content


@pytest.mark.parametrize(
    "path",
    [
        *("runs/../../outside/run/report/index.html", "runs/..%2F..%2Foutside%2Frun/report/index.html"),
        *("runs/%2e%2e/report/index.html", "runs/./report/index.html", "runs//report/index.html"),
        *("runs/link/report/index.html", "runs/other/report/index.html", "runs/other/secret.txt"),
        *("runs/swept/trials/../report/index.html", "runs/swept/trials/nothing/report/index.html"),
        *("runs/swept/other/point-0_seed-0/report/index.html", "runs/begun/config.json", "runs/%ff/report/index.html"),
        *("runs/begun%00/report/index.html", "runs", "runs/report/index.html", "index.html", "runs/begun/trials/x"),
    ],
)
def test_only_pages_of_runs_in_the_folder_are_served(server: Server, path: str) -> None:
    status, content, _ = ask(server, path)
    assert status == 404 and content == "there is no such page\n"


def test_a_trial_that_is_a_link_is_not_served(server: Server, folder: Path, tmp_path: Path) -> None:
    (folder / "swept/trials/away").symlink_to(tmp_path / "outside/run")
    assert ask(server, "runs/swept/trials/away/report/index.html")[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1.evil.example:{port}", "[::1]:{port}", ""])
def test_a_name_of_another_site_that_points_here_reads_nothing(server: Server, host: str) -> None:
    status, content, _ = ask(server, "", host=host.format(port=server.server_port) or " ")
    assert status == 403 and "done" not in content
    assert ask(server, "", host=f"LOCALHOST:{server.server_port}")[0] == 200


@pytest.mark.parametrize("token", ["", "x", "%C3%A9"])
def test_without_the_secret_nothing_is_read(server: Server, token: str) -> None:
    for path in ("", "version", "runs/begun/report/index.html"):
        status, content, _ = ask(server, path, token=token)
        assert status == 403 and "done" not in content
    assert len(server.token) >= 32
    other = Server(server.pages, 0)
    assert other.token != server.token
    other.server_close()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_are_refused(server: Server, method: str) -> None:
    assert ask(server, "", method=method)[0] == 501


def test_headers_keep_the_secret_and_forbid_frames(server: Server) -> None:
    status, content, answer = ask(server, "", method="HEAD")
    assert status == 200 and content == "" and int(answer.headers["Content-Length"]) > 1000
    assert answer.headers["Referrer-Policy"] == "no-referrer" and answer.headers["Cache-Control"] == "no-store"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_port_in_use_is_named(server: Server) -> None:
    for port in (server.server_port, 70000):
        with pytest.raises(InputError, match=rf"--port: {port} cannot be used .*; give another one, or 0 for any"):
            Server(server.pages, port)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_verb_prints_its_address_and_ends_well_on_a_signal(folder: Path, number: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "raynas", "ui", str(folder), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.fullmatch(r"raynas ui: http://127\.0\.0\.1:(\d+)(/[\w-]{32}/)\n", line)
    assert found is not None, line
    connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=60)
    connection.request("GET", found[2])
    assert connection.getresponse().status == 200
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Traceback" not in out + err


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from raynas.cli import main

    assert main(["ui", str(tmp_path / "nothing")]) == 2
    assert "expected a folder of runs" in capsys.readouterr().err
