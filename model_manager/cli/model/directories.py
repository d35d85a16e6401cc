"""A tracked directory as a person names it: by its path, or by its number in `dir list`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from model_manager.errors import BadRequest
from model_manager.facts.directory import Directory


def path_of(directories: Sequence[Directory], text: str) -> str:
    """Raises BadRequest when none of them is meant."""
    if text.isdecimal() and 1 <= int(text) <= len(directories):
        return directories[int(text) - 1].path
    fix = "'model-manager model dir list' shows what is, with numbers."
    if text.isdecimal() and not os.path.isdir(text):
        raise BadRequest(why=f"there is no directory number {text}", fix=fix)
    path = absolute(text)
    if path not in {each.path for each in directories}:
        raise BadRequest(why=f"{path} is not a tracked directory", fix=fix)
    return path


def absolute(text: str) -> str:
    """An absolute path without `.` and `..`; links in it stay as they are written."""
    return os.path.abspath(os.path.expanduser(text))
