from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from model_manager.library import watching as module
from model_manager.library.markers import PARTIAL
from model_manager.library.watching import Watcher
from tests.library.shelves import as_nobody, put

NOT_FOR_EVER = 30


class Heard:
    """What a watcher said so far."""

    def __init__(self, root: Path, watcher: Watcher) -> None:
        self.root = str(root)
        self.watcher = watcher
        self.paths: list[str] = []
        self._bell = asyncio.Event()

    async def listen(self, stop: asyncio.Event) -> None:
        async for paths in self.watcher.changes(stop):
            self.paths += sorted(paths)
            self._bell.set()

    async def until(self, condition: Callable[[list[str]], bool]) -> None:
        async with asyncio.timeout(NOT_FOR_EVER):
            while not condition(self.paths):
                self._bell.clear()
                await self._bell.wait()

    async def hear(self, path: Path) -> None:
        await self.until(lambda paths: str(path) in paths)

    async def armed(self, times: int = 1) -> None:
        await self.until(lambda paths: paths.count(self.root) >= times)


@asynccontextmanager
async def watching(root: Path, watcher: Watcher | None = None) -> AsyncIterator[Heard]:
    stop, heard = asyncio.Event(), Heard(root, watcher or Watcher([str(root)]))
    async with asyncio.TaskGroup() as group:
        group.create_task(heard.listen(stop))
        try:
            yield heard
        finally:
            stop.set()


def polling(root: Path, tmp_path: Path) -> Watcher:
    mounts = put(tmp_path / "mounts", f"36 35 0:1 / {root} rw - nfs4 server:/models rw\n".encode())
    return Watcher([str(root)], poll=50, mounts=str(mounts))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "models" / "loras").mkdir(parents=True)
    return tmp_path / "models"


async def test_the_first_hint_is_every_root(root: Path) -> None:
    async with watching(root) as heard:
        await heard.armed()
        assert heard.paths == [str(root)]
        assert heard.watcher.mode == "inotify"


async def test_changes_below_a_root_are_heard(root: Path) -> None:
    async with watching(root) as heard:
        await heard.armed()
        await heard.hear(put(root / "loras" / "x.safetensors"))
        await heard.hear(put(root / "new" / "deep" / "y.safetensors").parent.parent)
        (root / "loras" / "x.safetensors").unlink()
        await heard.until(lambda paths: paths.count(str(root / "loras" / "x.safetensors")) >= 2)


async def test_our_own_unfinished_files_are_not_heard(root: Path) -> None:
    (root / PARTIAL).mkdir()
    async with watching(root) as heard:
        await heard.armed()
        ours = put(root / PARTIAL / "x.part")
        await heard.hear(put(root / "loras" / "x.safetensors"))
        assert str(ours) not in heard.paths


async def test_h4_a_root_that_was_deleted_and_made_again_is_watched_again(root: Path) -> None:
    async with watching(root) as heard:
        await heard.armed()
        shutil.rmtree(root)
        await heard.armed(2)
        (root / "vae").mkdir(parents=True)
        await heard.armed(3)
        await heard.hear(put(root / "vae" / "x.safetensors"))


async def test_a_root_that_is_not_there_yet_is_watched_when_it_comes(root: Path, tmp_path: Path) -> None:
    late = tmp_path / "late"
    async with watching(late, Watcher([str(late), str(tmp_path / "never")])) as heard:
        await heard.armed()
        late.mkdir()
        await heard.armed(2)
        await heard.hear(put(late / "x.safetensors"))


async def test_other_roots_can_be_watched_from_now_on(root: Path, tmp_path: Path) -> None:
    other = put(tmp_path / "other" / "x.safetensors").parent
    async with watching(root) as heard:
        await heard.armed()
        heard.watcher.follow([str(root), str(other)])
        await heard.armed(2)
        assert str(other) in heard.paths
        await heard.hear(put(other / "y.safetensors"))
        heard.watcher.follow([str(other)])
        await heard.until(lambda paths: paths.count(str(other)) == 2)
        missed = put(root / "loras" / "z.safetensors")
        await heard.hear(put(other / "z.safetensors"))
        assert str(missed) not in heard.paths


async def test_h4_what_lies_behind_a_new_link_is_watched(root: Path, tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    async with watching(root) as heard:
        await heard.armed()
        (root / "linked").symlink_to(tmp_path / "big")
        await heard.armed(2)
        put(tmp_path / "big" / "x.safetensors")
        await heard.hear(root / "linked" / "x.safetensors")


async def test_h2_a_network_file_system_is_polled_and_says_so(root: Path, tmp_path: Path) -> None:
    async with watching(root, polling(root, tmp_path)) as heard:
        await heard.armed()
        assert heard.watcher.mode == "polling"
        assert "network file system" in heard.watcher.why
        await heard.hear(put(root / "loras" / "x.safetensors"))


LIMITED = """
import asyncio, sys
from pathlib import Path
from model_manager.library.watching import Watcher
async def main():
    root, said = sys.argv[1], ''
    watcher = Watcher([root], poll=50)
    async for paths in watcher.changes():
        if root in paths and watcher.mode != said:
            said = watcher.mode
            print(said, watcher.why, flush=True)
            Path(root, 'new').mkdir(exist_ok=True)
        if watcher.mode == 'polling' and root in paths:
            Path(root, 'new', 'x.pt').write_bytes(b'x')
        if f'{root}/new/x.pt' in paths:
            return print('heard')
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("limit", "modes"),
    [
        ("max_inotify_instances=0", ["polling", "heard"]),
        ("max_inotify_watches=0", ["polling", "heard"]),
        ("max_inotify_watches=3", ["inotify", "polling", "heard"]),
    ],
    ids=["instances", "watches", "watches-later"],
)
def test_h2_without_watches_left_it_polls_and_says_so(root: Path, limit: str, modes: list[str]) -> None:
    if subprocess.run(["unshare", "-Ur", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespaces here")
    name, _, value = limit.partition("=")
    shell = f'echo {value} > /proc/sys/user/{name} && exec "$0" -c "$1" "$2"'
    run = subprocess.run(
        ["unshare", "-Ur", "sh", "-c", shell, sys.executable, LIMITED, str(root)],
        capture_output=True, text=True, timeout=NOT_FOR_EVER, check=False,
    )  # fmt: skip
    assert [line.split()[0] for line in run.stdout.splitlines()] == modes, run.stderr
    assert all(len(line) > len("polling ") for line in run.stdout.splitlines() if line.startswith("polling"))


@pytest.mark.needs("root")
@pytest.mark.parametrize("polls", [False, True], ids=["inotify", "polling"])
def test_h6_a_directory_that_we_may_not_read_keeps_nobody_from_hearing_the_rest(
    root: Path, tmp_path: Path, polls: bool
) -> None:
    put(root / "closed" / "x.pt")
    for path in root.parents:
        if str(path).startswith("/tmp/"):
            path.chmod(path.stat().st_mode | 0o055)
    (root / "closed").chmod(0o700)
    (root / "loras").chmod(0o777)
    watcher = polling(root, tmp_path) if polls else None

    async def hear() -> None:
        async with watching(root, watcher) as heard:
            await heard.armed()
            file = put(root / "loras" / "y.pt")
            if polls:
                await heard.armed(3)
            else:
                await heard.hear(file)
            assert heard.watcher.mode == ("polling" if polls else "inotify")

    as_nobody(lambda: asyncio.run(hear()))


@pytest.mark.parametrize("polls", [False, True], ids=["inotify", "polling"])
async def test_h2_a_name_that_breaks_the_watcher_does_not_end_it(root: Path, tmp_path: Path, polls: bool) -> None:
    async with watching(root, polling(root, tmp_path) if polls else None) as heard:
        await heard.armed()
        mode = heard.watcher.mode
        put(root / "loras" / os.fsdecode(b"bad\xff.safetensors"))
        await heard.armed(2)
        await heard.hear(put(root / "loras" / "good.safetensors"))
        assert heard.watcher.mode == mode


async def test_h1_a_burst_is_one_look_at_everything(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BURST", 20)
    async with watching(root) as heard:
        await heard.armed()
        for number in range(400):
            put(root / "loras" / f"{number}.safetensors")
        await heard.armed(2)
        assert heard.watcher.mode == "inotify"
        alone = [put(root / "loras" / "first.safetensors")]
        async with asyncio.timeout(NOT_FOR_EVER):
            while not {*map(str, alone)} & {*heard.paths}:
                await asyncio.sleep(0.3)
                alone.append(put(root / "loras" / f"after-{len(alone)}.safetensors"))


async def test_h1_after_we_were_stopped_everything_is_looked_at(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with watching(root) as heard:
        await heard.armed()
        monkeypatch.setattr(module, "GAP", 0.0)
        await heard.armed(2)
        monkeypatch.setattr(module, "GAP", 1000.0)
        await heard.hear(put(root / "loras" / "x.safetensors"))


async def test_h2_a_network_file_system_that_is_linked_in_later_makes_it_poll(root: Path, tmp_path: Path) -> None:
    (tmp_path / "nas").mkdir()
    disk = "22 1 259:0 / / rw - ext4 /dev/root rw"
    mounts = put(tmp_path / "mounts", f"{disk}\n36 22 0:1 / {tmp_path}/nas rw - nfs4 nas:/ rw\n".encode())
    async with watching(root, Watcher([str(root)], poll=50, mounts=str(mounts))) as heard:
        await heard.armed()
        assert heard.watcher.mode == "inotify"
        (root / "linked").symlink_to(tmp_path / "nas")
        await heard.armed(2)
        assert heard.watcher.mode == "polling"
        assert "linked is on a network file system" in heard.watcher.why
        put(tmp_path / "nas" / "x.safetensors")
        await heard.hear(root / "linked" / "x.safetensors")


async def test_h4_a_directory_that_is_renamed_is_heard_under_both_names_and_watched_on(root: Path) -> None:
    put(root / "loras" / "old" / "x.safetensors")
    async with watching(root) as heard:
        await heard.armed()
        (root / "loras" / "old").rename(root / "loras" / "new")
        await heard.hear(root / "loras" / "old")
        await heard.hear(root / "loras" / "new")
        await heard.hear(put(root / "loras" / "new" / "y.safetensors"))


async def test_d8_a_stopped_watch_ends_and_a_cancelled_one_too(root: Path) -> None:
    async with asyncio.timeout(NOT_FOR_EVER):
        async with watching(root) as heard:
            await heard.armed()
        listener: asyncio.Task[None] | None = None
        heard = Heard(root, Watcher([str(root)]))
        async with asyncio.TaskGroup() as group:
            listener = group.create_task(heard.listen(asyncio.Event()))
            await heard.armed()
            listener.cancel()
    assert listener.cancelled()
