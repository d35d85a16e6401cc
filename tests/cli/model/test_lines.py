from __future__ import annotations

import pytest

from model_manager.cli.model.lines import Line, lines, whole
from model_manager.index.reading import Shop
from tests.cli.model.conftest import Library


@pytest.fixture
def shop(library: Library):
    with Shop.open(library.state / "index.sqlite") as found:
        yield found


def line_of(shop: Shop, name: str) -> Line:
    return whole(shop, shop.find(name, limit=1)[0])


def test_a_model_of_many_files_is_complete_whichever_part_is_met_first(shop: Shop, library: Library) -> None:
    for part in ("unet", "vae"):
        line = line_of(shop, f"{library.nas}/diffusers/painter/{part}/diffusion_pytorch_model.safetensors")
        assert (line.folder, line.name, len(line.parts)) == ("diffusers", "painter", 2)
        assert line.file == f"{library.nas}/diffusers/painter"
        assert not line.incomplete


def test_shards_bear_the_name_that_a_loader_would_give_them(shop: Shop) -> None:
    line = line_of(shop, "t5-00002-of-00003.safetensors")
    assert (line.name, line.size, line.shards) == ("t5/t5.safetensors", 701 + 702 + 703, 3)
    assert line.first.name.endswith("t5-00003-of-00003.safetensors")
    assert not line.incomplete


def test_missing_shards_make_a_model_incomplete(shop: Shop) -> None:
    line = line_of(shop, "half-00001-of-00002.safetensors")
    assert (line.name, line.incomplete, line.verified) == ("half.safetensors", True, True)


def test_each_model_comes_once_and_in_the_order_of_the_files(shop: Shop) -> None:
    files = shop.listing(limit=100)
    found = list(lines(shop, files))
    assert sorted(part.file for line in found for part in line.parts) == sorted(known.file for known in files)
    assert len(found) == len(files) - 2 - 1
