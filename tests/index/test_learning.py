from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from model_manager.facts.description import ORDER, Address, Claim, Lore, Told
from model_manager.facts.disk import Diff
from model_manager.facts.identity import Pin
from model_manager.facts.known import Answer, Detail, Outcome, Question
from model_manager.index.reading import Shop
from model_manager.index.store import Store

from .making import AT, begun, digests, held

LATER = "2027-01-01T00:00:00Z"
PIN = Pin(algorithms=("sha256",), hex="a" * 64)
LORE = Lore(
    file=held().file,
    size=1000,
    told=(
        Told(field="name", value="Nice", teller="forge", at=AT),
        Told(field="name", value="Best", teller="person", at=AT),
    ),
    claims=(Claim(pin=PIN, who="a1111"),),
    addresses=(Address(kind="civitai", url="https://civitai.com/x", data={"id": "1"}),),
    preview="/srv/models/checkpoints/a.preview.png",
    quick=(("xxh3_128_sample_v1", "b" * 16),),
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = begun(tmp_path / "index.db")
    store.apply(Diff(appeared=(held(), held("b.gguf", inode=8))), at=AT)
    return store


def _shown(store: Store) -> Detail:
    with Shop.open(store.path) as shop:
        return shop.show(shop.find("a.safetensors")[0].content_id)


def test_everything_that_others_know_of_a_file_is_kept_with_its_content(store: Store) -> None:
    assert store.learn([(held().file, LORE)], at=AT) == ()
    shown = _shown(store)
    assert set(shown.told) == set(LORE.told)
    assert (shown.claims, shown.addresses, shown.previews) == (LORE.claims, LORE.addresses, (LORE.preview,))
    assert shown.samples == LORE.quick
    assert shown.digests is None


def test_learning_twice_is_learning_once(store: Store) -> None:
    store.learn([(held().file, LORE)], at=AT)
    before = list(store._db.iterdump())
    store.learn([(held().file, LORE), (held().file, LORE)], at=LATER)
    assert list(store._db.iterdump()) == before


def test_nothing_known_is_overwritten_by_less_or_by_an_older_word(store: Store) -> None:
    store.learn([(held().file, LORE)], at=AT)
    before = _shown(store)
    empty = replace(LORE.told[0], value="", at=LATER)
    older = replace(LORE.told[0], value="Old", at="2020-01-01T00:00:00Z")
    less = Address(kind="url", url="https://civitai.com/x")
    store.learn([(held().file, Lore(file=held().file, told=(empty, older), addresses=(less,)))], at=LATER)
    store.learn([(held().file, Lore(file=held().file))], at=LATER)
    assert _shown(store) == before


def test_the_later_word_of_a_teller_counts(store: Store) -> None:
    store.learn([(held().file, LORE)], at=AT)
    news = replace(LORE.told[0], value="New", at=LATER)
    store.learn([(held().file, Lore(file=held().file, told=(news,)))], at=LATER)
    assert set(_shown(store).told) == {news, LORE.told[1]}


def test_what_was_learnt_of_other_files_or_other_bytes_is_not_taken(store: Store) -> None:
    other = replace(LORE, size=999)
    assert store.learn([(held().file, other), ("/nowhere.gguf", LORE)], at=AT) == (held().file, "/nowhere.gguf")
    assert _shown(store).told == ()


def test_the_best_word_is_shown_by_the_order_of_the_tellers(store: Store) -> None:
    words = [Told(field="name", value=teller, teller=teller, at=AT) for teller in reversed(ORDER)]
    for word in words:
        store.learn([(held().file, Lore(file=held().file, told=(word,)))], at=AT)
        with Shop.open(store.path) as shop:
            assert shop.find("a.safetensors")[0].title == word.value


def test_the_ranks_in_the_database_are_those_of_the_order() -> None:
    """They are stored with every word: with another order a migration has to renew them."""
    assert ORDER == ("person", "forge", "civitai", "embedded", "civitai api", "stablequeue", "comfygit")


def test_files_are_described_once_and_again_when_they_changed(store: Store) -> None:
    first, second = store.undescribed(9)
    assert store.undescribed(1) == (first,)
    store.described([first, second])
    assert store.undescribed(9) == ()
    store.apply(Diff(changed=(held(content="x", evidence="content"),)), at=AT)
    assert store.undescribed(9) == ()
    changed = held(mtime_ns=9)
    store.apply(Diff(changed=(changed,)), at=AT)
    assert store.undescribed(9) == (changed,)
    store.described([first])
    assert store.undescribed(9) == (changed,)


def test_c10_files_of_some_directories_may_be_left_out_and_take_nobodys_place(store: Store) -> None:
    away = replace(held("c.gguf", inode=9), file="/mnt/nas/c.gguf", root="/mnt/nas")
    store.apply(Diff(appeared=(away,)), at=AT)
    assert away in store.undescribed(9)
    assert away not in store.undescribed(9, without=["/mnt/nas"])
    assert store.undescribed(9, without=["/mnt/nas", held().root]) == ()
    assert store.undescribed(1, without=[held().root]) == (away,)


def test_quick_hashes_are_entered_for_files_that_are_still_as_they_were(store: Store) -> None:
    a, b = held(), held("b.gguf", inode=8)
    assert store.unsampled(9) == (a, b)
    store.sampled([(a.file, a.fingerprint, "1" * 16), (b.file, a.fingerprint, "2" * 16)])
    assert store.unsampled(9) == (b,)
    with Shop.open(store.path) as shop:
        assert [(known.name, known.quick) for known in shop.find("1" * 16)] == [(a.shelf.name, "1" * 16)]


def test_why_a_file_could_not_be_read_stays_until_it_was_or_changes(store: Store) -> None:
    a, b = held(), held("b.gguf", inode=8)
    store.troubled([(a, "Permission denied"), (replace(b, fingerprint=a.fingerprint), "stale")])
    assert _troubles(store) == ["Permission denied"]
    store.apply(Diff(changed=(replace(a, against="x"),)), at=AT)
    assert _troubles(store) == ["Permission denied"]
    store.apply(Diff(changed=(held(content="a", evidence="content"),)), at=AT)
    assert _troubles(store) == []
    store.troubled([(held(content="a", evidence="content"), "Input/output error")])
    store.troubled([(held(content="a", evidence="content"), "")])
    assert _troubles(store) == []


def _troubles(store: Store) -> list[str]:
    with Shop.open(store.path) as shop:
        found = [each.trouble for each in shop.listing() if each.trouble]
        assert shop.summary().troubled == len(found)
        return found


@pytest.mark.parametrize("outcome", ["found", "absent", "doubtful"])
def test_every_outcome_is_kept(store: Store, outcome: Outcome) -> None:
    store.apply(Diff(changed=(held(content="x"),)), at=AT)
    sha256 = digests("x").sha256 or ""
    answer = Answer(sha256=sha256, outcome=outcome, at=100.0, due=200.0)
    store.answered("civitai", [answer])
    assert store.unasked("civitai", now=200.0, limit=9)[0].before == answer


def test_a_service_is_asked_for_what_was_read_and_again_when_its_answer_is_due(store: Store) -> None:
    assert store.unasked("civitai", now=0.0, limit=9) == ()
    store.apply(Diff(changed=(held(content="x"),)), at=AT)
    sha256 = digests("x").sha256
    assert sha256
    assert store.unasked("civitai", now=0.0, limit=9) == (Question(sha256=sha256, file=held().file),)

    answer = Answer(sha256=sha256, outcome="absent", at=100.0, due=200.0, times=2)
    store.answered("civitai", [answer])

    assert store.unasked("civitai", now=199.0, limit=9) == ()
    assert store.unasked("civitai", now=200.0, limit=9) == (Question(sha256=sha256, file=held().file, before=answer),)
    assert store.unasked("huggingface", now=0.0, limit=9)[0].before is None
    assert _shown(store).answers == (("civitai", answer),)


def test_i6_an_answer_from_the_future_holds_nothing_back(store: Store) -> None:
    store.apply(Diff(changed=(held(content="x"),)), at=AT)
    sha256 = digests("x").sha256 or ""
    store.answered("civitai", [Answer(sha256=sha256, outcome="found", at=1e9, due=2e9)])
    assert store.unasked("civitai", now=1e9, limit=9) == ()
    assert store.unasked("civitai", now=1000.0, limit=9)


def test_nobody_is_asked_for_what_is_not_here(store: Store) -> None:
    store.apply(Diff(changed=(held(content="x"),)), at=AT)
    store.apply(Diff(vanished=(held(),)), at=AT)
    assert store.unasked("civitai", now=0.0, limit=9) == ()


def test_files_of_one_model_carry_its_key(store: Store) -> None:
    store.bundle([(held().file, "flux"), ("/nowhere", "flux")])
    with Shop.open(store.path) as shop:
        assert [known.bundle for known in shop.listing()] == ["flux", ""]
    assert store.bundled() == {held().file: "flux"}
    store.bundle([(held().file, "")])
    with Shop.open(store.path) as shop:
        assert [known.bundle for known in shop.listing()] == ["", ""]
    assert store.bundled() == {}
