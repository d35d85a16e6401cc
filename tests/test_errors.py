from __future__ import annotations

import inspect
import re
import string

import pytest

from model_manager import errors
from model_manager.errors import BadSetting, BadSettings, ModelManagerError, RangeBeyond, Unavailable, printable

CLASSES = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, ModelManagerError)]
REACTIONS = ("Refused", "Unavailable", "Corrupt", "Broken")


def braces(kind: type[ModelManagerError]) -> dict[str, str]:
    names = {name for _, name, _, _ in string.Formatter().parse(kind.__doc__ or "") if name}
    return dict.fromkeys(names, "x") | ({"problems": ()} if kind is BadSettings else {})


def made(kind: type[ModelManagerError]) -> ModelManagerError:
    if kind is BadSettings:
        return BadSettings((BadSetting(name="A", why="b", fix="c"),))
    facts = braces(kind)
    return kind(**{**facts, "size": 3} if kind is RangeBeyond else facts)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_failure_says_itself_and_has_an_exit_code(kind):
    assert str(made(kind))
    assert kind.exit_code in (65, 70, 74, 75, 78)


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if kind is not ModelManagerError])
def test_every_failure_is_sorted_by_what_to_do_next(kind):
    assert sum(getattr(errors, name) in kind.__mro__ for name in REACTIONS) == 1


@pytest.mark.parametrize("kind", CLASSES)
def test_the_tree_at_the_top_names_every_class(kind):
    assert re.search(rf"\b{kind.__name__}\b", errors.__doc__ or "") or kind in (BadSettings,)


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if braces(kind) and kind is not BadSettings])
def test_k12_text_from_outside_stays_on_one_line_in_every_message(kind):
    facts = {**dict.fromkeys(braces(kind), "a\nb\x1b[31m\u202e\ud800"), **({"size": 3} if kind is RangeBeyond else {})}
    said = str(kind(**facts))
    assert said.isprintable() or "\n" not in said
    assert "\x1b" not in said
    said.encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ä 名", "plain ä 名"),
        ("a\nb", r"a\nb"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\u202e", r"\u202e"),
        ("\ud800", r"\ud800"),
        (7, "7"),
        ("x" * 400, "x" * 299 + "…"),
    ],
)
def test_k12_what_is_printable(text, shown):
    assert printable(text) == shown


def test_a_failure_remembers_how_long_to_wait():
    assert Unavailable(what="x", retry_after=3.0).retry_after == 3.0
    assert Unavailable(what="x").retry_after is None


def test_every_bad_setting_is_in_one_message():
    both = BadSettings((BadSetting(name="A", why="b", fix="c"), BadSetting(name="D", why="e", fix="f")))
    assert str(both).splitlines() == ["2 settings cannot be used:", "  A: b. c", "  D: e. f"]
