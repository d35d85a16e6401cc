"""The model directories of this machine, and whether each is the one that we know."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from model_manager.agent.holdings.remounting import Remounting
from model_manager.errors import BadSetting, DiskUnavailable, NoSpace
from model_manager.facts.directory import Directory
from model_manager.facts.directory import Scan as Look
from model_manager.facts.disk import Root
from model_manager.index.index import Index
from model_manager.library.disk import FULL
from model_manager.library.folders import extra_roots
from model_manager.library.markers import Away, Fresh, Present, inspect, mark
from model_manager.settings import Settings


class Roots:
    """Own ones carry a marker whose id the index remembers: a volume that is not mounted is Away, never empty."""

    def __init__(self, roots: Iterable[Root], index: Index) -> None:
        """`roots`: those of the settings. `load` adds those that a person tracks."""
        self._named = tuple(roots)
        self.all = distinct(self._named)
        self._index = index
        self.remounting = Remounting(index)
        self._ids: dict[str, str | None] = {}

    async def load(self, at: str, *, keeping: bool = False) -> None:
        """Tell the index which directories the settings name, and learn from it which ones a person tracks.

        `keeping`: directories that other settings named (an agent's, of which a shell knows nothing) stay beside them.
        """
        if keeping:
            self._named = distinct((*self._named, *self._of_other_settings(await self._index.directories())))
            self.all = self._named
        await self._index.configured(self.all, at=at)
        tracked = [each for each in await self._index.directories() if each.tracked_by == "person"]
        self.all = distinct((*self.all, *(Root(path=each.path, folder=each.folder) for each in tracked)))

    def _of_other_settings(self, known: Iterable[Directory]) -> Iterator[Root]:
        settings = [each for each in known if each.tracked_by == "settings"]
        own = {root.path for root in self._named if root.own}
        store = next(iter(own or {each.path for each in settings if each.own}), None)
        links = str(Path(store).resolve()) if store else None
        for each in settings:
            is_store = each.path == store
            yield Root(path=each.path, folder=each.folder, own=is_store, showing=None if is_store else links)

    async def track(self, path: str, folder: str | None, at: str) -> Directory:
        """One more, for a person. What overlaps with another is for the caller to refuse."""
        tracked = await self._index.track(path, folder, at=at)
        self.all = distinct((*self.all, Root(path=path, folder=folder)))
        return tracked

    async def untrack(self, path: str, at: str) -> bool:
        """One less, unless the settings name it as well; False when no person tracks it."""
        gone = await self._index.untrack(path)
        if gone:
            await self._index.configured(self._named, at=at)
            self.all = tuple(root for root in self.all if root.path != path or root in self._named)
        return gone

    async def directories(self) -> tuple[Directory, ...]:
        """All of them as the index knows them."""
        return await self._index.directories()

    def overlap(self, path: str) -> str:
        """How a directory lies to those that are looked at; empty when it is apart from them all. Looks at the disk."""
        real = Path(path).resolve()
        for root in self.all:
            other = Path(root.path).resolve()
            if real == other:
                return "is tracked already"
            if other in real.parents:
                return f"lies in {root.path}, which is tracked"
            if real in other.parents:
                return f"holds {root.path}, which is tracked"
        return ""

    async def saw(self, look: Look) -> None:
        """Remember how the last full look at one of them ended."""
        await self._index.scanned(look)

    @property
    def own(self) -> Root:
        """The one that we write to."""
        return next(root for root in self.all if root.own)

    def leave_out_absent(self, had_files: Collection[str]) -> None:
        """A ComfyUI tree that is not cloned yet, and of which nothing is known, is no loss."""
        self.all = tuple(
            root for root in self.all if root.showing is None or root.path in had_files or Path(root.path).is_dir()
        )

    async def look(self, root: Root, *, had_files: bool) -> Present | Away:
        """Whether the root is there. A directory that was never ours is marked and becomes ours; one that
        takes no mark is Away."""
        if root.path not in self._ids:
            self._ids[root.path] = await self._index.note(f"root:{root.path}")
        state = await asyncio.to_thread(inspect, root, known_id=self._ids[root.path], had_files=had_files)
        if isinstance(state, Fresh):
            try:
                state = Present(id=await asyncio.to_thread(mark, root.path))
            except (NoSpace, DiskUnavailable) as error:
                return Away(why=str(error))
        if isinstance(state, Present) and root.own and self._ids[root.path] is None:
            self._ids[root.path] = state.id
            await self._index.set_note(f"root:{root.path}", state.id)
        return state


def roots_of(settings: Settings) -> tuple[Root, ...]:
    """Our store; the other directories that ComfyUI reads, without our own links in them."""
    store = settings.own_root
    real = str(Path(store.path).resolve())
    tree = settings.comfyui_models_dir
    named = {str(path.absolute()): None for path in (settings.model_path, settings.comfyui_models) if path}
    shown = {str(tree.absolute()): real} if tree else {}
    read = [Root(path=path, showing=links) for path, links in (named | shown).items() if path != store.path]
    return store, *read, *(root for file in _extra_files(settings) for root in extra_roots(str(file), os.environ))


def _extra_files(settings: Settings) -> list[Path]:
    """The files that were named, and the one that ComfyUI reads by itself."""
    base = settings.comfyui_base or (settings.workspace / "ComfyUI" if settings.workspace else None)
    found = [base / "extra_model_paths.yaml"] if base and (base / "extra_model_paths.yaml").is_file() else []
    return [*map(Path, settings.extra_model_paths), *found]


def distinct(roots: Iterable[Root]) -> tuple[Root, ...]:
    """The roots without those that lie inside another, or are the same directory under another name; ours come first."""
    kept: list[tuple[Path, Root]] = []
    for root in sorted(roots, key=lambda root: (not root.own, len(root.path))):
        real = Path(root.path).resolve()
        if not any(real == other or other in real.parents for other, _ in kept):
            kept.append((real, root))
    return tuple(root for _, root in kept)


def insist_on_store(root: Root, variable: str) -> None:
    """Make the last directory of the store's path if its parent is there; a mistyped path is never created.

    Raises BadSetting (exit 78) naming the path when it cannot be the store.
    """
    path = Path(root.path)
    why = None
    if path.is_symlink() and not path.exists():
        why = "it is a link to nothing"
    elif path.exists() and not path.is_dir():
        why = "it is a file"
    elif not path.exists() and (not path.parent.is_dir() or path.parent == Path("/")):
        why = f"it does not exist, nor may it be created in {path.parent}"
    if why is None:
        try:
            path.mkdir(exist_ok=True)
            probe = path / ".model_manager.probe"
            probe.touch()
            probe.unlink()
        except OSError as error:
            if error.errno not in FULL:  # a full disk is no wrong setting: downloads wait for space
                why = f"it cannot be written to ({error.strerror})"
    if why:
        raise BadSetting(name=variable, why=f"the models directory {path}: {why}", fix="Create it, or name another.")
