from __future__ import annotations

import os
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from model_manager.errors import IndexDamaged, IndexTooNew, IndexUnavailable, NoIndex, NotFound
from model_manager.facts.description import Address, Lore
from model_manager.facts.disk import Diff
from model_manager.facts.identity import Digests
from model_manager.facts.known import Summary
from model_manager.facts.shelf import PICKLES, WEIGHTS
from model_manager.index import reading
from model_manager.index.reading import Shop
from model_manager.index.statements import migrations
from model_manager.index.store import Store

from .making import AT, ROOT, begun, digests, held

FILES = (
    held("SD15/Dream_Shaper.safetensors", inode=1, size=30, content="dream", evidence="pin"),
    held("dream.safetensors", inode=2, size=10),
    held("my_dream_50%.gguf", folder="unet", inode=3, size=20, content="flux", evidence="content"),
    held("Été.safetensors", folder="loras", inode=4, size=40),
    held("style/Anime.safetensors", folder="loras", inode=5, size=50),
    held("styles/other.safetensors", folder="loras", root="/mnt/nas", inode=6, size=60, content="nas"),
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = begun(tmp_path / "index.db")
    store.apply(Diff(appeared=FILES), at=AT)
    return store


@pytest.fixture
def shop(store: Store) -> Shop:
    return Shop.open(store.path)


def _found(shop: Shop, text: str, folder: str | None = None) -> list[str]:
    return [known.name for known in shop.find(text, folder=folder)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("dream.safetensors", ["dream.safetensors"]),
        ("DREAM.SAFETENSORS", ["dream.safetensors"]),
        ("dream", ["dream.safetensors", "SD15/Dream_Shaper.safetensors", "my_dream_50%.gguf"]),
        ("shaper", ["SD15/Dream_Shaper.safetensors"]),
        ("sd15/dream_shaper.safetensors", ["SD15/Dream_Shaper.safetensors"]),
        ("dream_shaper.safetensors", ["SD15/Dream_Shaper.safetensors"]),
        ("checkpoints/SD15/Dream_Shaper.safetensors", ["SD15/Dream_Shaper.safetensors"]),
        ("models/checkpoints/SD15/Dream_Shaper.safetensors", ["SD15/Dream_Shaper.safetensors"]),
        ("SD15\\Dream_Shaper.safetensors", ["SD15/Dream_Shaper.safetensors"]),
        ("diffusion_models/my_dream_50%.gguf", ["my_dream_50%.gguf"]),
        ("unet/my_dream_50%.gguf", ["my_dream_50%.gguf"]),
        ("0%.g", ["my_dream_50%.gguf"]),
        ("dream_s", ["SD15/Dream_Shaper.safetensors"]),
        ("E\u0301te\u0301", ["Été.safetensors"]),
        ("style/", ["style/Anime.safetensors"]),
        (f"{ROOT}/checkpoints/dream.safetensors", ["dream.safetensors"]),
        (digests("flux").sha256[:6], ["my_dream_50%.gguf"]),
        (digests("flux").sha256.upper(), ["my_dream_50%.gguf"]),
        (digests("flux").blake3[:20], ["my_dream_50%.gguf"]),
        (digests("flux").tensor[:12], ["my_dream_50%.gguf"]),
        ("nothing of this kind", []),
        ("", []),
    ],
)
def test_a_model_is_found_by_whatever_a_person_has_of_it(shop: Shop, text: str, names: list[str]) -> None:
    assert _found(shop, text) == names


def test_a_search_stays_in_its_folder_and_within_its_limit(shop: Shop) -> None:
    assert _found(shop, "dream", "checkpoints") == ["dream.safetensors", "SD15/Dream_Shaper.safetensors"]
    assert _found(shop, "dream", "diffusion_models") == ["my_dream_50%.gguf"]
    assert _found(shop, "other", "loras/style") == []
    assert _found(shop, "loras/sty", "loras") == ["style/Anime.safetensors", "styles/other.safetensors"]
    assert _found(shop, "loras", "loras") == []
    assert len(shop.find("dream", limit=2)) == 2


def test_paths_that_begin_so_come_before_paths_that_contain_it(store: Store, shop: Shop) -> None:
    late = held("a/loras/style/late.gguf", folder="checkpoints", inode=9)
    store.apply(Diff(appeared=(late,)), at=AT)
    assert _found(shop, "loras/style/") == ["style/Anime.safetensors", "a/loras/style/late.gguf"]
    assert _found(shop, "models/LORAS/style") == [
        "style/Anime.safetensors", "styles/other.safetensors", "a/loras/style/late.gguf",
    ]  # fmt: skip
    assert _found(shop, "ras/style/") == ["a/loras/style/late.gguf", "style/Anime.safetensors"]


def test_a_model_is_found_by_where_it_can_be_had(store: Store, shop: Shop) -> None:
    store.learn([(FILES[1].file, Lore(file="", addresses=(Address(kind="url", url="https://example.org/A"),)))], at=AT)
    assert _found(shop, "https://example.org/A") == ["dream.safetensors"]
    assert _found(shop, "https://example.org/a") == []


def test_pages_are_in_order_and_meet(shop: Shop) -> None:
    by_name = [known.file for known in shop.listing()]
    assert by_name == [file.file for file in sorted(FILES, key=lambda file: file.shelf.slot)]
    assert [known.size for known in shop.listing(order="size")] == [60, 50, 40, 30, 20, 10]
    assert [known.file for known in shop.listing(order="added")] == [file.file for file in reversed(FILES)]
    pages = [shop.listing(limit=2, offset=offset) for offset in (0, 2, 4, 6)]
    assert [known.file for page in pages for known in page] == by_name


@pytest.mark.parametrize("few", [0, 3, 4, 2000])
def test_a_folder_is_listed_alike_with_few_files_and_with_many(
    store: Store, shop: Shop, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(reading, "FEW", few)
    store.apply(Diff(appeared=(held("style/b.gguf", folder="loras", inode=9, size=45),)), at=AT)
    assert [known.size for known in shop.listing(folder="loras", order="size")] == [60, 50, 45, 40]
    assert [known.size for known in shop.listing(folder="loras", order="added")] == [45, 60, 50, 40]
    assert [known.size for known in shop.listing(folder="loras", order="name")] == [50, 45, 60, 40]
    assert [known.size for known in shop.listing(folder="loras/style", order="size")] == [50, 45]
    assert [known.size for known in shop.listing(folder="loras", order="added", limit=2, offset=1)] == [60, 50]
    assert [known.size for known in shop.listing(folder="loras", directory="/mnt/nas", order="added")] == [60]


def test_a_listing_is_narrowed_to_a_folder_a_directory_or_what_nobody_verified(shop: Shop) -> None:
    assert [known.size for known in shop.listing(folder="loras", order="size")] == [60, 50, 40]
    assert [known.size for known in shop.listing(folder="loras", order="added")] == [60, 50, 40]
    assert [known.name for known in shop.listing(folder="loras/style")] == ["style/Anime.safetensors"]
    assert [known.root for known in shop.listing(directory="/mnt/nas")] == ["/mnt/nas"]
    assert shop.listing(directory="/nowhere") == ()
    assert {known.verified for known in shop.listing(unverified=True)} == {False}
    assert [shop.count(), shop.count(folder="loras"), shop.count(folder="unet")] == [6, 3, 1]
    assert [shop.count(directory=ROOT), shop.count(unverified=True), shop.count(folder="loras/style")] == [5, 4, 1]


def test_the_figures_are_those_of_the_files(store: Store, shop: Shop) -> None:
    store.apply(Diff(vanished=FILES[:1], appeared=(held("copy.gguf", inode=9, size=20, content="flux"),)), at=AT)
    assert shop.summary() == Summary(
        files=6, bytes=200, contents=5, verified=1, read=3, unread_bytes=100, troubled=0, pickles=0, missing=1
    )
    assert [group.copies for group in shop.duplicates()] == [2]
    assert [gone.file for gone in shop.missing()] == [FILES[0].file]
    assert shop.names() == ("anime.safetensors", "copy.gguf", "dream.safetensors", "my_dream_50%.gguf",
                            "other.safetensors", "été.safetensors")  # fmt: skip
    assert [one.path for one in shop.directories()] == ["/mnt/nas", ROOT]


def test_who_lets_a_directory_go_does_not_miss_its_models(store: Store, shop: Shop) -> None:
    store.track("/mnt/hdd", at=AT)
    read = replace(FILES[0], file="/mnt/hdd/loras/read.safetensors", root="/mnt/hdd", digests=Digests(sha256="c" * 64))
    store.apply(Diff(appeared=(read,)), at=AT)
    store.apply(Diff(vanished=(read,)), at=AT)
    assert ([lost.file for lost in shop.missing()], shop.summary().missing) == ([read.file], 1)
    store.untrack("/mnt/hdd")
    assert (shop.missing(), shop.summary().missing) == ((), 0)


def test_a_directory_that_is_let_go_before_its_files_left_the_index_is_not_missed_either(
    store: Store, shop: Shop
) -> None:
    store.track("/mnt/nas", at=AT)
    store.untrack("/mnt/nas")
    store.apply(Diff(vanished=(FILES[5],)), at=AT)
    assert "/mnt/nas" not in [one.path for one in shop.directories()]
    assert (shop.missing(), shop.summary().missing) == ((), 0)


@pytest.mark.parametrize("text", ["\udcff", "/mnt/\udcff/x.safetensors", "https://h/\udcff", "a/\udcff"])
def test_what_is_no_utf8_is_no_name_and_no_failure(shop: Shop, text: str) -> None:
    assert _found(shop, text) == []
    assert _found(shop, "dream", text) == []
    assert (shop.listing(folder=text), shop.count(folder=text)) == ((), 0)


def test_a_content_that_is_not_there_is_said_to_be_not_there(shop: Shop) -> None:
    assert shop.show(1).locations[0].file == FILES[0].file
    with pytest.raises(NotFound, match="content 99"):
        shop.show(99)


def test_reading_goes_on_while_the_agent_writes_and_sees_one_instant(store: Store, shop: Shop) -> None:
    store._db.execute("BEGIN IMMEDIATE")
    assert shop.count() == 6
    store._db.execute("ROLLBACK")
    done = threading.Event()

    def write() -> None:
        writer = begun(store.path)
        for n in range(100):
            writer.apply(Diff(appeared=(held(f"new-{n}.gguf", inode=100 + n),)), at=AT)
        writer.close()
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    counts = []
    while not done.is_set():
        counts.append(len(shop.listing(limit=1000)))
    writer.join()
    assert counts == sorted(counts)
    assert shop.count() == 106


def test_a_reader_writes_nothing_and_needs_no_agent(store: Store) -> None:
    store.close()
    before = Path(store.path).read_bytes()
    with Shop.open(store.path) as shop:
        assert shop.count() == 6
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            shop._db.connection.execute("DELETE FROM location")
    assert Path(store.path).read_bytes() == before


@pytest.mark.parametrize("running", [True, False])
def test_k11_one_who_may_only_read_the_directory_can_read(tmp_path: Path, running: bool) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    for parent in (tmp_path, *tmp_path.parents[:4]):
        parent.chmod(0o755)
    store = begun(tmp_path / "index.db")
    store.apply(Diff(appeared=FILES), at=AT)
    if not running:
        store.close()
    child = os.fork()
    if child == 0:
        _count_as_nobody(store.path)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 6


def _count_as_nobody(path: str) -> None:
    number = 99
    try:
        os.setgid(65534)
        os.setuid(65534)
        with Shop.open(path) as shop:
            number = shop.count()
    finally:
        os._exit(number)


def test_where_there_is_no_index_one_hears_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(NoIndex, match=r"there is none yet.*model-manager run"):
        Shop.open(tmp_path / "index.db")
    assert not list(tmp_path.iterdir())


def test_c11_a_database_that_is_none_of_ours_old_or_damaged_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    sqlite3.connect(path).executescript("CREATE TABLE x (y)")
    with pytest.raises(NoIndex, match="none of ours"):
        Shop.open(path)
    path.write_bytes(b"<html>" * 5000)
    with pytest.raises(NoIndex, match="damaged"):
        Shop.open(path)
    assert path.read_bytes() == b"<html>" * 5000


def test_c11_another_schema_is_named(store: Store) -> None:
    newest = migrations()[-1].number
    store._db.execute(f"PRAGMA user_version = {newest + 1}")
    with pytest.raises(IndexTooNew, match=f"has schema {newest + 1}"):
        Shop.open(store.path)
    store._db.execute("PRAGMA user_version = 2")
    with pytest.raises(NoIndex, match="older schema 2"):
        Shop.open(store.path)


def test_an_index_that_stays_locked_is_said_to_be_locked(store: Store) -> None:
    store.close()
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(IndexUnavailable, match="locked"):
        Shop.open(store.path, patience=0.0)
    other.close()


def test_candidates_are_found_by_name_by_any_hash_and_below_a_directory(shop: Shop) -> None:
    def names(bases: list[str], hexes: list[str], directories: list[str]) -> set[str]:
        return {known.name for known in shop.candidates(bases, hexes, directories)}

    dream = digests("dream").sha256 or ""
    assert names(["dream.safetensors", "été.safetensors"], [], []) == {"dream.safetensors", "Été.safetensors"}
    assert names(["ream.safetensors", "dream", "%"], [], []) == set()
    assert names([], [dream], []) == names([], [dream[:10]], []) == {"SD15/Dream_Shaper.safetensors"}
    assert names([], [dream[:9]], []) == set()
    assert names([], [], ["style"]) == {"style/Anime.safetensors"}
    assert names([], [], []) == set()


def test_a_file_found_by_its_hash_brings_those_of_its_name_along(store: Store, shop: Shop) -> None:
    other = held("x/dream_shaper.safetensors", folder="loras", inode=77, size=77)
    store.apply(Diff(appeared=(other,)), at=AT)
    found = shop.candidates([], [digests("dream").sha256 or ""], [])
    assert {known.name for known in found} == {"SD15/Dream_Shaper.safetensors", "x/dream_shaper.safetensors"}


def test_files_of_a_size_are_found_exactly(shop: Shop) -> None:
    assert [known.name for known in shop.of_size([30, 61])] == ["SD15/Dream_Shaper.safetensors"]
    assert len(shop.of_size([10, 20, 30], limit=2)) == 2


@pytest.mark.parametrize("ending", sorted(WEIGHTS))
def test_pickles_are_counted_as_the_listing_marks_them(store: Store, shop: Shop, ending: str) -> None:
    before = shop.summary().pickles
    store.apply(Diff(appeared=(held(f"sub/Risk{ending.upper()}", inode=77),)), at=AT)
    (known,) = shop.find(f"risk{ending}")
    assert known.runs_code is (ending in PICKLES)
    assert shop.summary().pickles - before == known.runs_code


def test_c11_an_index_that_is_damaged_while_it_is_read_says_so_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    store = begun(path)
    store.apply(Diff(appeared=tuple(held(f"{n}.gguf", inode=100 + n) for n in range(2000))), at=AT)
    store.close()
    with Shop.open(path) as shop:
        data = bytearray(path.read_bytes())
        data[8192:] = b"\xaa" * (len(data) - 8192)
        path.write_bytes(data)
        with pytest.raises(IndexDamaged, match="index sync") as caught:
            shop.listing(limit=5000)
    assert caught.value.exit_code == 75


def test_an_empty_shop_answers_everything_with_nothing() -> None:
    with Shop.empty() as shop:
        assert (shop.find("a"), shop.candidates(["a"], [], []), shop.missing(), shop.directories()) == ((), (), (), ())
        assert shop.summary().files == 0
