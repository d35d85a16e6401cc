"""Models that are removed from machines, and brought back: said first, done when it is confirmed, and never unlinked."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from model_manager.errors import Unavailable, printable
from model_manager.facts.order import What
from model_manager.fleet.models.enquiring import Enquiring
from model_manager.fleet.ordering import Ordering
from model_manager.fleet.pushing import insisted
from model_manager.fleet.registry import Registry, kept
from model_manager.fleet.stablequeue import answers
from model_manager.serving.asking import Asked
from model_manager.serving.problems import Answer, bad_body, no_such

AT_ONCE: Final = 32
"""Machines that are asked at the same time."""

REMEMBERED: Final = 1_000
"""Removals whose machines are known."""

SECONDS: Final = 30.0
"""That a machine gets: it moves files."""

FIELDS: Final = {"local_path", "filename", "machines", "confirm", "force"}

_ORDER: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(slots=True)
class _Heard:
    """What machines said, together."""

    files: list[answers.StableQueueFile] = field(default_factory=list)
    left: list[answers.StableQueueKept] = field(default_factory=list)
    bytes: int = 0
    until: str = ""


class Removals:
    def __init__(self, registry: Registry, enquiring: Enquiring, ordering: Ordering) -> None:
        self._registry = registry
        self._enquiring = enquiring
        self._ordering = ordering
        self._known: OrderedDict[str, tuple[str, ...]] = OrderedDict()

    async def delete(self, _: Asked, body: dict[str, Any]) -> answers.StableQueueDeleted:
        """Without `confirm` only said. Raises Answer 400, 404 when no machine of ours holds the file."""
        confirmed, forced = _flag(body, "confirm"), _flag(body, "force")
        if unknown := sorted(str(name) for name in body.keys() - FIELDS):
            raise bad_body(f"There is no field '{printable(unknown[0], 60)}'. Use {', '.join(sorted(FIELDS))}.")
        place, paths = await self._meant(body)
        options = [name for name, given in (("confirm", confirmed), ("force", forced)) if given]
        order, everybody = secrets.token_hex(8), len(paths) == len(self._registry.holders(place))
        if confirmed:
            self._remember(order, tuple(paths))
        heard = await self._asked(paths, "remove", options, order)
        return answers.StableQueueDeleted(
            success=True,
            message=_said(len(heard.files), len(heard.left), confirmed),
            dry_run=not confirmed,
            order=order,
            until=heard.until,
            deletedFiles=tuple(heard.files),
            errors=tuple(heard.left),
            bytes=heard.bytes,
            modelRemovedFromDatabase=confirmed and everybody and not heard.left,
        )

    async def restore(self, _: Asked, body: dict[str, Any]) -> answers.StableQueueRestored:
        """Raises Answer 400, 404 for a removal that is not known here, and whose machines are not named."""
        order = body.get("order")
        if body.keys() - {"order", "machines"} or not isinstance(order, str) or not _ORDER.fullmatch(order):
            raise bad_body("Name the 'order' that the removal answered, and perhaps its 'machines'.")
        machines = insisted(self._registry.view, _names(body)) if "machines" in body else self._of(order)
        heard = await self._asked({each: [order] for each in machines}, "restore", [], "")
        said = f"{len(heard.files)} files came back." if heard.files else "There was nothing to bring back."
        return answers.StableQueueRestored(
            success=True, message=said, files=tuple(heard.files), errors=tuple(heard.left)
        )

    def _of(self, order: str) -> Sequence[str]:
        found = self._known.get(order) or tuple(self._ordering.answers(order))
        if not found:
            raise no_such("removal", order, "Name its 'machines': another aggregator may have asked them.")
        return found

    async def _meant(self, body: Mapping[str, Any]) -> tuple[str, dict[str, list[str]]]:
        """The model, and machine → its paths there."""
        place, whole = await place_at(self._registry, body)
        holders = self._registry.holders(place)
        chosen = insisted(self._registry.view, _names(body)) if "machines" in body else list(holders)
        paths = {
            machine_id: found
            for machine_id in chosen
            if (found := [copy.path for copy in holders.get(machine_id, ()) if whole is None or copy.path == whole])
        }
        if not paths:
            raise no_such("copy", place, "No machine that is meant holds it. GET /who-has?name=… says who does.")
        return place, paths

    async def _asked(
        self, files: Mapping[str, Sequence[str]], what: What, options: Sequence[str], order: str
    ) -> _Heard:
        heard, turn = _Heard(), asyncio.Semaphore(AT_ONCE)

        async def one(machine_id: str, paths: Sequence[str]) -> None:
            try:
                async with turn:
                    said = await self._enquiring.ask(machine_id, what, paths, options, identity=order, seconds=SECONDS)
            except (Answer, Unavailable) as error:
                why = error.detail if isinstance(error, Answer) else str(error)
                heard.left.append(
                    answers.StableQueueKept(machine_id=machine_id, path=paths[0], why=printable(why, 500))
                )
                return
            _add(heard, machine_id, said)

        async with asyncio.TaskGroup() as group:
            for machine_id, paths in sorted(files.items()):
                group.create_task(one(machine_id, paths), name=f"{what} {machine_id}")
        return heard

    def _remember(self, order: str, machines: tuple[str, ...]) -> None:
        self._known[order] = machines
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


async def place_at(registry: Registry, body: Mapping[str, Any]) -> tuple[str, str | None]:
    """The model that `local_path` and `filename` name, as a row has them, and its whole path; None without a `local_path`.

    Raises Answer 400, 404.
    """
    directory, name = body.get("local_path"), body.get("filename")
    if not isinstance(name, str) or not name or not isinstance(directory, str | None):
        raise bad_body("Name the model by 'local_path' and 'filename', as its row has them.")
    name = name.replace("\\", "/")
    whole = f"{directory.rstrip('/')}/{name}" if directory else None
    found = [place for place in await kept(registry.places(name)) if place.partition("/")[2] == name]
    if whole is not None:
        found = [
            place for place in found if any(c.path == whole for cs in registry.holders(place).values() for c in cs)
        ]
    if not found:
        raise no_such("model", name, "GET /api/v1/models lists them, with 'local_path' and 'filename'.")
    if len(found) > 1:
        raise Answer(
            409, "several", f"{len(found)} models are called so: {', '.join(found[:3])}. Give 'local_path' too."
        )
    return found[0], whole


def _add(heard: _Heard, machine_id: str, said: Mapping[str, Any]) -> None:
    for each in said.get("files", ()):
        heard.files.append(
            answers.StableQueueFile(
                type=str(each.get("type", "")), path=str(each.get("path", "")), machine_id=machine_id
            )
        )
    for each in said.get("refused", ()):
        why = printable(each.get("why", ""), 500)
        heard.left.append(answers.StableQueueKept(machine_id=machine_id, path=str(each.get("path", "")), why=why))
    for name in said.get("missing", ()):
        heard.left.append(
            answers.StableQueueKept(machine_id=machine_id, path=str(name), why="it is not there any more")
        )
    heard.bytes += said["bytes"] if isinstance(said.get("bytes"), int) else 0
    heard.until = max(heard.until, str(said.get("until", "")))


def _said(files: int, left: int, confirmed: bool) -> str:
    stay = f" {left} stay; see 'errors'." if left else ""
    if confirmed:
        return f"{files} files were moved aside.{stay}"
    return f"{files} files would be moved aside.{stay} Ask again with 'confirm': true to do it."


def _flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise bad_body(f"'{name}' must be true or false.")
    return value


def _names(body: Mapping[str, Any]) -> list[str]:
    names = body.get("machines")
    if not isinstance(names, list) or not names or not all(isinstance(each, str) for each in names):
        raise bad_body("'machines' is a list of machine ids.")
    return names
