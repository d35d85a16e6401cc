"""The questions that the view alone answers: the fleet, machines, models, workflows, and who has a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from model_manager import __version__
from model_manager.facts.mirror import Copy
from model_manager.fleet import shapes
from model_manager.fleet.models.finding import Finding
from model_manager.fleet.models.sorting import Chosen, page_of
from model_manager.fleet.rows import assigned, download, downloads, folders, machine_row, pace_of
from model_manager.fleet.view import View
from model_manager.serving.asking import Asked
from model_manager.serving.paging import page
from model_manager.serving.problems import bad_parameter, no_such

Choose = Callable[[Asked], Awaitable[Chosen]]
"""The models that are wanted, in the order that is wanted."""


class Answers:
    """Every method takes the parameters of its route and answers a record of `shapes`. Raises Answer for refusals."""

    def __init__(
        self, view: View, choose: Choose | None = None, added: Callable[[str], int | None] = lambda place: None
    ) -> None:
        """`choose`: with the filters and orders that need more than the view. `added`: when a machine first saw a model."""
        self._view = view
        self._finding = Finding(view)
        self._choose = choose or self._named
        self._added = added

    async def fleet(self, _: Asked) -> shapes.Fleet:
        view = self._view
        return shapes.Fleet(
            version=__version__,
            exact=view.exact and not view.mirrors.unsure,
            redis=self._redis(),
            machines=self._machine_counts(),
            models=self._model_counts(),
            workflows=self._workflow_counts(),
            downloads=self._download_counts(),
        )

    async def health(self, _: Asked) -> shapes.Health:
        view = self._view
        state = "starting" if not view.exact else "away" if view.away else "ok"
        return shapes.Health(state=state, version=__version__, redis=self._redis())

    async def machines(self, asked: Asked) -> shapes.Machines:
        view = self._view
        holders = None if asked["has"] is None else view.mirrors.who_has(name=asked["has"])
        able = view.ids if holders is None else [each for each in view.ids if _serves(holders.get(each, ()))]
        chosen = [each for each in able if self._fits(each, asked)]
        found = page(chosen, asked["cursor"], asked["limit"], lambda each: machine_row(view, each))
        return shapes.Machines(items=found.items, next=found.next, total=found.total)

    async def machine(self, asked: Asked) -> shapes.Machine:
        view, machine_id = self._view, self._known(asked["machine_id"])
        mirror, heartbeat = view.mirror(machine_id), view.heartbeat(machine_id)
        return shapes.Machine(
            machine=machine_row(view, machine_id),
            instance=mirror.instance if mirror else "",
            digest=mirror.digest if mirror else "",
            workflows=view.workflows(machine_id),
            disks=heartbeat.disks if heartbeat else (),
            folders=folders(mirror),
            assignment=assigned(mirror, heartbeat),
            downloads=tuple(download(name, body) for name, body in sorted(downloads(view, machine_id).items())),
        )

    async def machine_models(self, asked: Asked) -> shapes.HeldFiles:
        mirror = self._view.mirror(self._known(asked["machine_id"]))
        entries: Mapping[str, Copy] = mirror.entries if mirror else {}
        folder = asked["folder"]
        paths = sorted(path for path, copy in entries.items() if folder is None or copy.folder == folder)
        found = page(
            paths, asked["cursor"], asked["limit"], lambda path: self._file(entries[path], asked["machine_id"])
        )
        return shapes.HeldFiles(items=found.items, next=found.next, total=found.total)

    async def models(self, asked: Asked) -> shapes.Models:
        chosen, rows = await self._choose(asked), self._view.rows()
        found = page_of(chosen, asked["cursor"], asked["limit"], lambda place: self._told(rows[place]))
        return shapes.Models(items=found.items, next=found.next, total=found.total)

    async def _named(self, asked: Asked) -> Chosen:
        """By what the view alone knows."""
        return Chosen(self._finding.places(asked["q"] or "", asked["folder"], asked["single"]))

    async def model(self, asked: Asked) -> shapes.Holders:
        """Raises Answer 404 where nobody has it."""
        holders = self._view.mirrors.who_has(name=asked["name"])
        if not holders:
            raise no_such("model", asked["name"], "GET /models?q=… shows what the fleet has.")
        return self._holders(asked["name"], holders, asked)

    async def who_has(self, asked: Asked) -> shapes.Holders:
        name, sha256 = asked["name"], asked["sha256"]
        if (name is None) == (sha256 is None):
            raise bad_parameter("name", "or 'sha256' must be given, and not both.")
        holders = self._view.mirrors.who_has(name=name, sha256=sha256 and sha256.lower())
        return self._holders(name or sha256, holders, asked)

    async def workflows(self, asked: Asked) -> shapes.Workflows:
        rows = self.workflow_rows()
        wanted = asked["q"]
        chosen = sorted(name for name in rows if wanted is None or wanted.lower() in name.lower())
        found = page(chosen, asked["cursor"], asked["limit"], rows.__getitem__)
        return shapes.Workflows(items=found.items, next=found.next, total=found.total)

    def _known(self, machine_id: str) -> str:
        if not self._view.knows(machine_id):
            raise no_such("machine", machine_id, "GET /machines lists those that were heard of.")
        return machine_id

    def _fits(self, machine_id: str, asked: Asked) -> bool:
        view = self._view
        return (
            (asked["state"] is None or view.state(machine_id) == asked["state"])
            and (asked["ready"] is None or view.ready(machine_id) == asked["ready"])
            and (asked["q"] is None or asked["q"].lower() in machine_id.lower())
            and (asked["collection"] is None or asked["collection"] in self._collections(machine_id))
            and (
                asked["workflow"] is None or any(flow.name == asked["workflow"] for flow in view.workflows(machine_id))
            )
        )

    def _collections(self, machine_id: str) -> tuple[str, ...]:
        heartbeat = self._view.heartbeat(machine_id)
        return heartbeat.collections if heartbeat else ()

    def _holders(self, what: str, holders: Mapping[str, Sequence[Copy]], asked: Asked) -> shapes.Holders:
        view = self._view

        def made(machine_id: str) -> shapes.Holder:
            state, copies = view.state(machine_id), holders[machine_id]
            serves = state == "live" and _serves(copies)
            files = tuple(self._file(copy, machine_id) for copy in copies)
            return shapes.Holder(machine_id=machine_id, state=state, serves=serves, files=files)

        found = page(sorted(holders), asked["cursor"], asked["limit"], made)
        return shapes.Holders(asked=what, items=found.items, next=found.next, total=found.total)

    def _told(self, row: shapes.ModelRow) -> shapes.ModelRow:
        used, added = self._view.usage.anywhere(row.folder, row.name, row.hashes), self._added(row.model)
        return row if used is None and added is None else replace(row, last_used=used, added=added)

    def _file(self, copy: Copy, machine_id: str) -> shapes.HeldFile:
        return shapes.HeldFile(
            folder=copy.folder,
            name=copy.name,
            path=copy.path,
            size=copy.size,
            hash=copy.hash,
            verified=copy.verified,
            evidence=copy.evidence,
            last_used=self._view.usage.there(machine_id, copy),
        )

    def _redis(self) -> shapes.Redis:
        """An age that is nothing unusual is none: it would be another answer each time."""
        entries, seconds = self._view.lag
        age = self._view.age if self._view.away is not None else 0.0
        return shapes.Redis(
            away=self._view.away, age=float(round(age)), lag_entries=entries, lag_seconds=round(seconds, 1)
        )

    def _machine_counts(self) -> shapes.MachineCounts:
        view = self._view
        states = {machine_id: view.state(machine_id) for machine_id in view.ids}
        counts = Counter(states.values())
        return shapes.MachineCounts(
            total=len(states),
            live=counts["live"],
            stale=counts["stale"],
            away=counts["away"],
            ready=sum(state == "live" and view.ready(machine_id) for machine_id, state in states.items()),
            unsure=len(view.mirrors.unsure),
        )

    def _model_counts(self) -> shapes.ModelCounts:
        self._view.rows()
        return self._view.catalogue.totals

    def workflow_rows(self) -> dict[str, shapes.WorkflowRow]:
        """Every workflow that a machine which is not away was told to serve, by name."""
        counts: dict[str, tuple[int, int]] = {}
        for machine_id in self._view.ids:
            if (state := self._view.state(machine_id)) == "away":
                continue
            for flow in self._view.workflows(machine_id):
                count, ready = counts.get(flow.name, (0, 0))
                counts[flow.name] = count + 1, ready + (flow.ready and state == "live")
        return {
            name: shapes.WorkflowRow(workflow=name, assigned=count, ready=ready)
            for name, (count, ready) in counts.items()
        }

    def _workflow_counts(self) -> shapes.WorkflowCounts:
        rows = self.workflow_rows().values()
        return shapes.WorkflowCounts(assigned=len(rows), ready=sum(row.ready > 0 for row in rows))

    def _download_counts(self) -> shapes.DownloadCounts:
        paces = [pace_of(self._view, machine_id) for machine_id in self._view.busy]
        return shapes.DownloadCounts(running=sum(p.running for p in paces), speed=sum(p.speed for p in paces))


def _serves(copies: Sequence[Copy]) -> bool:
    return any(copy.verified for copy in copies)
