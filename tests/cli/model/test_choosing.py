from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from model_manager.cli.model.choosing import meant, nearest, searched
from model_manager.cli.model.lines import Line
from model_manager.errors import NoSuchModel
from model_manager.facts.known import Detail
from model_manager.index.reading import Shop
from tests.cli.conftest import Call
from tests.cli.model.conftest import Library, put, terminal
from tests.stories.machine import safetensors


@pytest.fixture
def shop(library: Library):
    with Shop.open(library.state / "index.sqlite") as found:
        yield found


def test_one_candidate_is_taken(shop: Shop) -> None:
    found = meant(shop, "style_2")
    assert isinstance(found, Line)
    assert found.name == "style_2.safetensors"


def test_the_same_bytes_under_several_names_are_one_candidate_by_its_shortest_name(shop: Shop) -> None:
    found = meant(shop, "style_0")
    assert isinstance(found, Line)
    assert found.name == "style_0.safetensors"


def test_a_number_is_a_content(shop: Shop) -> None:
    known = searched(shop, "solo", limit=1)[0]
    found = meant(shop, str(known.content_id))
    assert isinstance(found, Detail)
    assert found.locations == (known,)


def test_the_whole_name_of_one_is_not_the_beginning_of_others(call: Call, own: Path) -> None:
    for name in ("fine.safetensors", "fine_tuned.safetensors", "finest.safetensors"):
        put(own / "loras" / name, safetensors(900, len(name)))
    assert call("model", "index", "sync")[0] == 0
    for text in ("fine", "FINE", "fine.safetensors"):
        code, out, err = call("model", "index", "show", text)
        assert (code, err) == (0, "")
        assert "fine.safetensors" in out


@pytest.mark.parametrize("text", ["999999", "123456789012345678901234567890", "nosuchthing", "", "  "])
def test_what_means_nothing_says_where_to_look(shop: Shop, text: str) -> None:
    with pytest.raises(NoSuchModel, match="model index list"):
        meant(shop, text)


def test_several_candidates_are_listed_where_nobody_can_be_asked(shop: Shop) -> None:
    with pytest.raises(click.UsageError) as error:
        meant(shop, "style")
    assert "loras/style_1.safetensors" in error.value.message
    assert "loras/style_4.safetensors" in error.value.message


def test_the_command_leaves_with_the_code_of_a_wrong_use(ask: Call) -> None:
    code, out, err = ask("show", "style")
    assert (code, out) == (2, "")
    assert "may be one of several" in err


def test_a_person_at_a_terminal_is_asked_which_one_is_meant(library: Library) -> None:
    program = [sys.executable, "-c", "from model_manager.cli.main import main; main()"]
    asked = [*program, "model", "index", "show", "style_", "--json", "--state-dir", str(library.state)]
    with terminal() as (ours, theirs):
        process = subprocess.Popen(asked, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, text=True)
        os.write(ours, b"2\n")
        out, _ = process.communicate(timeout=30)
        said = os.read(ours, 100_000).decode()
    assert process.returncode == 0
    wanted = next(line for line in said.splitlines() if line.startswith("  2  ")).split()[1]
    assert f'/{wanted}"' in out


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("flux1-dve", ["flux1-dev.safetensors"]),
        ("loras/FLUX1-dev.safetensor", ["flux1-dev.safetensors"]),
        ("zzzz", []),
        ("a", []),
    ],
)
def test_a_typo_suggests_what_is_near_and_nothing_else(text: str, found: list[str]) -> None:
    assert nearest(text, ["ae.safetensors", "flux1-dev.safetensors", "sd_xl_base_1.0.safetensors"]) == found


def test_of_very_many_names_the_nearest_is_found() -> None:
    names = [f"model_{number:06}.safetensors" for number in range(30_000)] + ["dreamshaper_8.safetensors"]
    assert nearest("dremshaper_8", names) == ["dreamshaper_8.safetensors"]
