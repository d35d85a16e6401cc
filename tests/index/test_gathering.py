from __future__ import annotations

from pathlib import Path

import pytest

from model_manager.facts.description import Address, Claim, Lore, Told
from model_manager.facts.disk import Diff
from model_manager.facts.identity import Pin
from model_manager.index import gathering
from model_manager.index.store import Store

from .making import AT, begun, digests, held


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = begun(tmp_path / "index.db")
    store.apply(Diff(appeared=(held("a.gguf", content="a", evidence="pin"), held("b.gguf", inode=8))), at=AT)
    return store


def test_files_come_in_the_order_that_was_asked_for(store: Store) -> None:
    assert [known.name for known in gathering.known(store._asked, [2, 1])] == ["b.gguf", "a.gguf"]
    assert gathering.known(store._asked, []) == ()


def test_a_file_is_shown_with_what_is_known_of_its_content(store: Store) -> None:
    told = [("type", "lora"), ("civitai_model_base", "SDXL 1.0"), ("civitai_model_name", "Nice")]
    words = tuple(Told(field=field, value=value, teller="civitai", at=AT) for field, value in told)  # type: ignore[arg-type]
    claim = Claim(pin=Pin(algorithms=("autov2",), hex="0123456789"), who="forge")
    store.learn([(held("a.gguf").file, Lore(file="", told=words, claims=(claim,)))], at=AT)
    a, b = gathering.known(store._asked, [1, 2])
    assert (a.type, a.base_model, a.title, a.claims) == ("lora", "SDXL 1.0", "Nice", ("0123456789",))
    assert (a.digests, a.verified, a.size, a.first_seen) == (digests("a"), True, 1000, AT)
    assert (b.type, b.base_model, b.title, b.claims, b.digests) == ("", "", "", (), None)


def test_copies_are_groups_and_links_are_not(store: Store) -> None:
    copies = (held("c.gguf", content="a", inode=9), held("d.gguf", content="a", inode=9))
    links = (held("e.gguf", content="e", inode=10), held("f.gguf", content="e", inode=10))
    store.apply(Diff(appeared=(*copies, *links)), at=AT)
    (group,) = gathering.groups(store._asked)
    assert [known.name for known in group.locations] == ["a.gguf", "c.gguf", "d.gguf"]
    assert (group.copies, group.spare_bytes, group.digests) == (2, 1000, digests("a"))


def test_what_is_missing_is_named_with_where_it_could_come_from(store: Store) -> None:
    address = Address(kind="huggingface", url="https://huggingface.co/x", data={"repo": "x"})
    store.learn([(held("a.gguf").file, Lore(file="", addresses=(address,)))], at=AT)
    assert list(gathering.missing(store._asked)) == []
    store.apply(Diff(vanished=(held("a.gguf"), held("b.gguf"))), at=AT)
    (gone,) = gathering.missing(store._asked)
    assert (gone.file, gone.digests, gone.addresses) == (held("a.gguf").file, digests("a"), (address,))
