from pathlib import Path

import pytest

import raynas
from raynas.config.announcement import announcement
from raynas.config.reading import load_config

FILE = """
storage_path: {folder}
space: {{ name: nasbench201 }}
data: {{ name: digits }}
quick: {{ seed: 3 }}
"""

START = f"raynas {raynas.__version__}  "


def run_file(folder: Path, text: str = FILE) -> Path:
    file = folder / "mine.yaml"
    file.write_text(text.format(folder=folder / "runs"))
    return file


@pytest.mark.parametrize(
    ("overrides", "quick"),
    [((), False), ((), True), (("name=other",), False), (("name=other", "storage_path=elsewhere"), True)],
)
def test_the_first_line_names_the_folder_that_the_run_will_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: tuple[str, ...], quick: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    file = run_file(tmp_path)
    config = load_config(file, overrides, quick)
    line = announcement("run", str(file), overrides, quick)
    assert line.startswith(f"{START}run {config.name} ({file})  folder ")
    folder = line.partition("  folder ")[2].removesuffix(", new")
    assert Path(folder).absolute() == config.folder
    config.folder.mkdir(parents=True)
    assert announcement("run", str(file), overrides, quick).endswith(f"{folder}, exists")


@pytest.mark.parametrize("text", ["a: [", "- 1", "name: 3", "", "name: {{}}", "storage_path: 3"])
def test_the_first_line_of_a_file_that_is_wrong_names_the_file_and_leaves_the_rest_to_its_reader(
    tmp_path: Path, text: str
) -> None:
    file = run_file(tmp_path, text)
    line = announcement("train", str(file))
    assert line.startswith(START) and str(file) in line


def test_what_is_no_file_is_named_as_it_is_without_its_control_characters() -> None:
    assert announcement("retrain", "GDAS_V1") == f"{START}retrain GDAS_V1"
    assert announcement("run", "no\x1b[31m.yaml") == f"{START}run no\\x1b[31m.yaml"
    assert announcement("run", "/nowhere.yaml", ("=", "train.epochs")) == f"{START}run /nowhere.yaml"


def test_a_url_is_named_without_a_look_at_it(tmp_path: Path) -> None:
    file = run_file(tmp_path)
    line = announcement("run", str(file), ("storage_path=s3://bucket/runs",))
    assert line == f"{START}run mine ({file})  folder s3://bucket/runs/mine"


def test_a_place_that_cannot_be_found_is_left_to_who_reads_the_file(tmp_path: Path) -> None:
    file = run_file(tmp_path)
    line = announcement("run", str(file), ["storage_path=~nobody-of-this-name/runs"])
    assert line == f"{START}run mine ({file})  folder ~nobody-of-this-name/runs/mine, new"
