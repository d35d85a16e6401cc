from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model_manager.errors import AlreadyRunning, BadPath, Broken, IndexFull
from model_manager.facts import wire
from model_manager.facts.disk import Diff, InventoryDigest
from model_manager.facts.event import DiskLow, InventorySnapshot, ModelAppeared, ModelChanged, ModelVanished, Unknown
from model_manager.facts.identity import Digests, MachineId, Pin
from model_manager.facts.shelf import ShelfPath
from model_manager.index.store import Store

from .making import AT, MACHINE, begun, digests, held, insist_that_it_is_whole, opened, told


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return begun(tmp_path / "index.db")


def test_what_appears_is_held_counted_and_told_in_one_step(store: Store) -> None:
    a, b = held("a.gguf", content="a", evidence="pin", against="sha256:x"), held("b.gguf", size=24)

    (envelope,) = store.apply(Diff(appeared=(b, a)), at=AT)

    assert store.held() == (a, b)
    assert envelope.event == ModelAppeared(models=(wire.entry(b), wire.entry(a)))
    assert (envelope.seq, envelope.at, envelope.machine_id) == (1, AT, "machine-1")
    assert envelope.digest == str(InventoryDigest().adding((a, b))) == store.totals().digest
    assert (store.totals().models, store.totals().bytes) == (2, 1024)
    assert store.outbox(10) == (envelope,)


def test_a_diff_is_told_as_vanished_then_changed_then_appeared_then_the_events(store: Store) -> None:
    a, b, c = held("a.gguf"), held("b.gguf"), held("c.gguf")
    low = DiskLow(root="/srv", free=1, floor=2)
    store.apply(Diff(appeared=(a, b)), at=AT)

    told_now = store.apply(Diff(appeared=(c,), changed=(replace(b, evidence="pin"),), vanished=(a,)), (low,), at=AT)

    assert [type(e.event) for e in told_now] == [ModelVanished, ModelChanged, ModelAppeared, DiskLow]
    assert [e.seq for e in told_now] == [2, 3, 4, 5]
    assert told_now[0].digest == str(InventoryDigest().adding((b,)))
    assert told_now[1].digest == str(InventoryDigest().adding((replace(b, evidence="pin"),)))
    assert told_now[3].digest == told_now[2].digest == store.totals().digest


def test_an_empty_diff_says_nothing_and_takes_no_number(store: Store) -> None:
    assert store.apply(Diff(), at=AT) == ()
    assert store.apply(Diff(), (DiskLow(root="/", free=1, floor=2),), at=AT)[0].seq == 1


def test_a_repeated_diff_changes_nothing(store: Store) -> None:
    a, b = held("a.gguf"), held("b.gguf")
    store.apply(Diff(appeared=(a, b)), at=AT)
    before = store.totals()

    assert store.apply(Diff(appeared=(a,), changed=(b,)), at=AT) == ()
    assert store.apply(Diff(vanished=(held("never.gguf"),)), at=AT) == ()
    assert store.totals() == before
    assert store.outbox_size()[0] == 1


def test_whether_a_file_appeared_or_changed_is_decided_by_the_rows(store: Store) -> None:
    a, b = held("a.gguf"), held("b.gguf")
    store.apply(Diff(appeared=(a,)), at=AT)

    changed, appeared = store.apply(Diff(appeared=(held("a.gguf", size=9),), changed=(b,)), at=AT)

    assert changed.event == ModelChanged(models=(wire.entry(held("a.gguf", size=9)),))
    assert appeared.event == ModelAppeared(models=(wire.entry(b),))


def test_a_change_that_nobody_else_can_see_is_kept_in_silence(store: Store) -> None:
    store.apply(Diff(appeared=(held(inode=7),)), at=AT)

    assert store.apply(Diff(changed=(held(inode=8, against="sha256:1"),)), at=AT) == ()
    assert store.held() == (held(inode=8, against="sha256:1"),)
    insist_that_it_is_whole(store)


def test_device_and_inode_numbers_of_64_bits_come_back(store: Store) -> None:
    wide = replace(held(), fingerprint=replace(held().fingerprint, device=2**64 - 1, inode=2**63))
    store.apply(Diff(appeared=(wide,)), at=AT)
    assert store.held() == (wide,)


def test_a_name_that_is_not_utf8_is_refused_and_nothing_of_its_diff_is_kept(store: Store) -> None:
    with pytest.raises(BadPath, match="UTF-8"):
        store.apply(Diff(appeared=(held("a.gguf"), held("b\udcff.gguf"))), at=AT)
    assert store.held() == ()


def test_an_event_that_cannot_be_written_takes_its_whole_diff_back(store: Store) -> None:
    with pytest.raises(TypeError):
        store.apply(Diff(appeared=(held(),)), (Unknown(kind="x", data={"y": object()}),), at=AT)

    assert store.held() == ()
    assert store.outbox_size() == (0, 0)
    assert store.apply(Diff(appeared=(held(),)), at=AT)[0].seq == 1


def test_c1_on_a_full_disk_the_change_is_taken_back_and_comes_through_later(store: Store) -> None:
    many = tuple(held(f"{n}.gguf", content=str(n)) for n in range(500))
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages + 2}")

    with pytest.raises(IndexFull, match="Free space"):
        store.apply(Diff(appeared=many), at=AT)
    assert (store.held(), store.outbox_size()) == ((), (0, 0))

    store._db.execute("PRAGMA max_page_count = 1000000")
    assert store.apply(Diff(appeared=many), at=AT)[0].seq == 1
    insist_that_it_is_whole(store)


@pytest.mark.parametrize("algorithm", ["sha256", "blake3", "md5", "autov2", "autov3"])
def test_a_file_is_found_by_each_of_its_digests(store: Store, algorithm: str) -> None:
    a, b = held("a.gguf", content="a"), held("b.gguf", content="b")
    store.apply(Diff(appeared=(a, b, held("unread.gguf"))), at=AT)
    wanted = digests("a").named(algorithm)  # type: ignore[arg-type]
    pin = Pin.parse(f"{algorithm}:{wanted}")
    assert pin is not None
    assert store.with_digest(pin) == (a,)


def test_a_hash_of_two_meanings_is_looked_for_under_both(store: Store) -> None:
    a = held("a.gguf", content="a")
    store.apply(Diff(appeared=(a,)), at=AT)
    for pin in (Pin.parse(digests("a").blake3), Pin.parse(digests("a").sha256)):
        assert pin is not None
        assert store.with_digest(pin) == (a,)


def test_files_of_one_slot_are_found_over_roots_legacy_folders_and_case(store: Store) -> None:
    here = held("Flux.gguf", folder="unet")
    there = held("flux.gguf", folder="diffusion_models", root="/mnt/more")
    store.apply(Diff(appeared=(here, there, held("flux.gguf", folder="loras"))), at=AT)
    assert store.in_slot(ShelfPath(folder="diffusion_models", name="FLUX.gguf")) == (there, here)


def test_unread_files_come_small_before_large(store: Store) -> None:
    large, small = held("large.gguf", size=10**12), held("small.gguf", size=5)
    store.apply(Diff(appeared=(large, small, held("read.gguf", size=1, content="x"))), at=AT)
    assert store.unhashed(10) == (small, large)
    assert store.unhashed(1) == (small,)


def test_a_file_without_its_sha256_is_held_found_and_waits_to_be_hashed(store: Store) -> None:
    fast = replace(held("fast.gguf", evidence="pin"), digests=Digests(blake3="b" * 64))
    store.apply(Diff(appeared=(fast, held("read.gguf", content="x"))), at=AT)
    assert store.unhashed(9) == (fast,)
    assert store.with_digest(Pin(algorithms=("sha256", "blake3"), hex="b" * 64)) == (fast,)

    whole = replace(fast, digests=Digests(sha256="a" * 64, blake3="b" * 64))
    (changed,) = store.apply(Diff(changed=(whole,)), at=AT)

    assert changed.event == ModelChanged(models=(wire.entry(whole),))
    assert store.unhashed(9) == ()
    insist_that_it_is_whole(store)


def test_only_paths_that_are_held_are_answered(store: Store) -> None:
    a = held("a'\"; DROP.gguf")
    store.apply(Diff(appeared=(a,)), at=AT)
    assert store.at([a.file, "/nowhere.gguf"]) == {a.file: a}


def test_delivered_events_leave_the_outbox_and_the_rest_stays_in_order(store: Store) -> None:
    for n in range(4):
        store.apply(Diff(appeared=(held(f"{n}.gguf"),)), at=AT)
    store.delivered(store.outbox(1)[0].epoch, 2)
    assert [envelope.seq for envelope in store.outbox(10)] == [3, 4]
    assert [envelope.seq for envelope in store.outbox(1)] == [3]


def test_what_waits_is_read_in_pages_of_some_bytes_across_epochs(store: Store) -> None:
    for n in range(4):
        store.apply(Diff(appeared=(held(f"{n}.gguf"),)), at=AT)
    epoch = store.outbox(1)[0].epoch
    assert [envelope.seq for envelope in store.outbox(10, after=(epoch, 1))] == [2, 3, 4]
    assert [envelope.seq for envelope in store.outbox(10, after=(epoch - 1, 3))] == [1, 2, 3, 4]
    assert [envelope.seq for envelope in store.outbox(10, most=1)] == [1]
    one = len(wire.pack(store.outbox(1)[0].event))
    assert [envelope.seq for envelope in store.outbox(10, after=(epoch, 1), most=one + 1)] == [2, 3]
    assert store.outbox(10, after=(epoch, 4)) == ()


def test_a_snapshot_stands_for_everything_that_waited(store: Store) -> None:
    waiting = [*store.apply(Diff(appeared=(held("a.gguf"), held("b.gguf"))), at=AT)]
    waiting += store.apply(Diff(vanished=(held("a.gguf"),)), at=AT)

    snapshot = store.compact(at=AT)

    assert snapshot.envelope.event == InventorySnapshot(models=1, bytes=1000)
    assert (snapshot.envelope.seq, snapshot.envelope.digest) == (3, store.totals().digest)
    assert {entry.path: entry for entry in snapshot.entries} == told(waiting)
    assert store.outbox(10) == (snapshot.envelope,)
    assert store.apply(Diff(appeared=(held("c.gguf"),)), at=AT)[0].seq == 4


def test_d4_what_was_not_delivered_waits_over_a_restart_under_its_own_number(tmp_path: Path) -> None:
    first = begun(tmp_path / "index.db")
    waiting = [first.apply(Diff(appeared=(held(f"{n}.gguf"),)), at=AT)[0] for n in range(3)]
    totals, installation = first.totals(), first.installation
    first.delivered(waiting[0].epoch, 1)
    first.close()

    second = opened(tmp_path / "index.db")
    epoch = second.begin_epoch(1, MACHINE)
    (news,) = second.apply(Diff(vanished=(held("0.gguf"),)), at=AT)

    assert second.installation == installation
    assert (news.epoch, news.seq, news.instance) == (epoch.epoch, 1, epoch.instance)
    assert news.digest != totals.digest == waiting[-1].digest
    assert second.outbox(9) == (*waiting[1:], news)


def test_delivery_of_a_new_epoch_ends_the_waiting_of_the_old(tmp_path: Path) -> None:
    store = begun(tmp_path / "index.db")
    for n in range(5):
        store.apply(Diff(appeared=(held(f"{n}.gguf"),)), at=AT)
    epoch = store.begin_epoch(1, MACHINE)
    for n in range(5, 8):
        store.apply(Diff(appeared=(held(f"{n}.gguf"),)), at=AT)
    insist_that_it_is_whole(store)

    store.delivered(epoch.epoch - 1, 4)
    assert [(envelope.epoch, envelope.seq) for envelope in store.outbox(9)] == [(1, 5), (2, 1), (2, 2), (2, 3)]
    store.delivered(epoch.epoch, 2)
    assert [(envelope.epoch, envelope.seq) for envelope in store.outbox(9)] == [(2, 3)]


def test_what_happened_under_another_machine_id_is_not_told_of_this_one(tmp_path: Path) -> None:
    store = begun(tmp_path / "index.db")
    store.apply(Diff(appeared=(held(),)), at=AT)
    totals = store.totals()

    store.begin_epoch(1, MachineId("machine-2"))

    assert (store.outbox(9), store.totals()) == ((), totals)
    assert store.apply(Diff(appeared=(held("b.gguf"),)), at=AT)[0].machine_id == "machine-2"


def test_i6_epochs_grow_though_the_clock_goes_back(tmp_path: Path) -> None:
    store = opened(tmp_path / "index.db")
    epochs = [store.begin_epoch(now, MACHINE) for now in (5_000, 1_000, 1_000, 9_000)]
    assert [epoch.epoch for epoch in epochs] == [5_000, 5_001, 5_002, 9_000]
    assert len({epoch.instance for epoch in epochs}) == 4


def test_sums_that_went_wrong_end_with_the_epoch(tmp_path: Path) -> None:
    store = begun(tmp_path / "index.db")
    store.apply(Diff(appeared=(held(),)), at=AT)
    store._db.execute("UPDATE identity SET digest = '1', models = 9, bytes = 9")
    store.begin_epoch(1, MACHINE)
    assert store.totals().digest == str(InventoryDigest().adding((held(),)))
    assert (store.totals().models, store.totals().bytes) == (1, 1000)


def test_i1_one_whose_index_was_taken_over_writes_no_more(tmp_path: Path) -> None:
    first, second = begun(tmp_path / "index.db"), begun(tmp_path / "index.db")
    with pytest.raises(AlreadyRunning, match="took over"):
        first.apply(Diff(appeared=(held(),)), at=AT)
    with pytest.raises(AlreadyRunning, match="took over"):
        first.compact(at=AT)
    assert second.held() == ()


def test_nothing_is_changed_outside_an_epoch(tmp_path: Path) -> None:
    store = opened(tmp_path / "index.db")
    with pytest.raises(Broken, match="before an epoch"):
        store.apply(Diff(appeared=(held(),)), at=AT)
    store.close()
    with pytest.raises(Broken, match="closed"):
        store.held()


def test_notes_are_kept_replaced_and_forgotten(tmp_path: Path) -> None:
    store = opened(tmp_path / "index.db")
    assert store.note("root:/srv") is None
    store.set_note("root:/srv", "1")
    store.set_note("root:/srv", "2")
    store.close()
    again = opened(tmp_path / "index.db")
    assert again.note("root:/srv") == "2"
    again.set_note("root:/srv", None)
    assert again.note("root:/srv") is None


_files = st.builds(
    held,
    st.sampled_from(["a.gguf", "b.gguf", "é.gguf", "sub/d.gguf"]),
    folder=st.sampled_from(["loras", "vae"]),
    size=st.integers(0, 3),
    inode=st.integers(1, 2),
    content=st.sampled_from([None, "x", "y"]),
    evidence=st.sampled_from([None, "pin", "length"]),
)
_some = st.lists(_files, max_size=4).map(tuple)
_diffs = st.builds(Diff, appeared=_some, changed=_some, vanished=_some)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(diffs=st.lists(_diffs, max_size=8))
def test_after_any_history_rows_sums_and_what_was_told_agree(
    tmp_path_factory: pytest.TempPathFactory, diffs: list[Diff]
) -> None:
    store = begun(tmp_path_factory.mktemp("history") / "index.db")
    expected: dict[str, object] = {}
    for diff in diffs:
        store.apply(diff, at=AT)
        for gone in diff.vanished:
            expected.pop(gone.file, None)
        expected |= {held.file: held for held in (*diff.changed, *diff.appeared)}
        assert store.apply(replace(diff, vanished=()), at=AT) == ()
    assert {row.file: row for row in store.held()} == expected
    insist_that_it_is_whole(store)
    store.close()
