from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model_manager.cli.environment import name_as_file, opened, workflow_path, write
from model_manager.errors import BadManifest, BadRequest, BadWorkflow, DiskUnavailable, NotFound

TEXT = '[tool.comfydock.workflows.tracked.w]\nfile = "sub/w.json"\n'


def test_a_directory_without_a_manifest_is_an_environment_that_needs_nothing(tmp_path: Path) -> None:
    environment = opened(tmp_path)
    assert (environment.text, environment.manifest.models) == ("", ())
    environment.save("")
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_is_written_in_one_step_and_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text(TEXT)
    file.chmod(0o640)
    opened(tmp_path).save(TEXT + "# more\n")
    assert file.read_text() == TEXT + "# more\n"
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["pyproject.toml"]


def test_what_somebody_wrote_meanwhile_is_not_lost(tmp_path: Path) -> None:
    environment = opened(tmp_path)
    (tmp_path / "pyproject.toml").write_text(TEXT)
    with pytest.raises(BadRequest, match="changed meanwhile"):
        environment.save("x = 1")
    assert (tmp_path / "pyproject.toml").read_text() == TEXT


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("a")
    (tmp_path / "link").symlink_to("real")
    write(tmp_path / "link", b"b")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "b"


def test_a_new_file_is_as_readable_as_the_user_wants(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "new" / "a.json", b"{}")
    finally:
        os.umask(before)
    assert (tmp_path / "new" / "a.json").stat().st_mode & 0o777 == 0o640


def test_a_manifest_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadManifest, match="UTF-8"):
        opened(tmp_path)


def test_a_directory_that_cannot_be_written_is_a_typed_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DiskUnavailable):
        write(tmp_path / "file" / "a.json", b"")


def test_a_workflow_is_meant_by_its_name_or_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(TEXT)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "w.json").write_text("{}")
    (tmp_path / "other.json").write_text("{}")
    environment = opened(tmp_path)
    path, tracked = workflow_path(environment, "w")
    assert (path, tracked is not None) == (tmp_path / "sub" / "w.json", True)
    assert workflow_path(environment, str(path))[1] == tracked
    assert workflow_path(environment, str(tmp_path / "other.json"))[1] is None
    with pytest.raises(NotFound):
        workflow_path(environment, "nothing")


def test_a_mark_of_byte_order_is_no_part_of_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(
        b'\xef\xbb\xbf[tool.comfydock.models.optional]\na = {filename = "a.pt", type = "vae"}\n'
    )
    assert [model.label for model in opened(tmp_path).manifest.models] == ["vae/a.pt"]


@pytest.mark.parametrize("name", ["n" * 300, "n" * 300 + ".json", "", "a\0b"])
def test_k1_a_name_that_no_file_can_have_is_simply_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFound):
        workflow_path(opened(tmp_path), name)


def test_h6_what_is_no_regular_file_is_said_to_be_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(BadWorkflow, match="no regular file"):
        workflow_path(opened(tmp_path), str(tmp_path / "pipe.json"))


def test_of_many_writers_at_once_each_is_told_or_its_words_stand_there(tmp_path: Path) -> None:
    def write_line(number: int) -> bool:
        environment = opened(tmp_path)
        try:
            environment.save(environment.text + f"# {number}\n")
        except BadRequest:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(write_line, range(40)))
    lines = (tmp_path / "pyproject.toml").read_text().splitlines()
    assert sorted(lines) == sorted(f"# {number}" for number, good in enumerate(done) if good)


@pytest.mark.parametrize(
    ("name", "kept"),
    [("flow", "flow"), ("../../x", "_.._x"), ("a\x1b[31m", "a_[31m"), ("", "workflow"), ("ö" * 200, "ö" * 60)],
)
def test_k1_a_name_from_outside_becomes_one_that_a_file_can_have(name: str, kept: str) -> None:
    assert name_as_file(name) == kept
