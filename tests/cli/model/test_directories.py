from __future__ import annotations

from pathlib import Path

import pytest

from model_manager.cli.model.directories import absolute, path_of
from model_manager.errors import BadRequest
from model_manager.facts.directory import Directory

TRACKED = (Directory(path="/a"), Directory(path="/b"))


@pytest.mark.parametrize(("text", "path"), [("1", "/a"), ("2", "/b"), ("/b", "/b"), ("/b/", "/b"), ("/x/../a", "/a")])
def test_a_directory_is_named_by_its_path_or_its_number(text: str, path: str) -> None:
    assert path_of(TRACKED, text) == path


@pytest.mark.parametrize("text", ["0", "3", "/c", "a"])
def test_what_is_not_tracked_is_refused_with_where_to_look(text: str) -> None:
    with pytest.raises(BadRequest, match="model dir list"):
        path_of(TRACKED, text)


def test_a_path_is_made_whole_and_its_links_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "link").symlink_to("/usr")
    assert absolute("link/./x/..") == absolute("~/link") == str(tmp_path / "link")
