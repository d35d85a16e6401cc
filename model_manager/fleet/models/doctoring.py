"""What the catalog's doctor found of its records: dead links, tokens that are missing or ended, wrong sizes; and having it look."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from model_manager.errors import CatalogUnavailable, ModelManagerError, NotAuthorized, NotFound, printable
from model_manager.facts import wording
from model_manager.fleet.needs import NO_CATALOG
from model_manager.serving.asking import Asked, Param
from model_manager.serving.problems import Answer, away
from model_manager.sources.catalog_doctor import CatalogDoctor, Told

Opened = Callable[[Callable[[CatalogDoctor], Awaitable[Told]]], Awaitable[Told]]
"""Does something with the catalog's doctor. Raises what `CatalogDoctor.report` raises."""

TEXT: Final = 1_000
"""Characters of a text that the catalog tells."""

MOST_KINDS: Final = 100

PAGED: Final = (
    Param(name="of", help="Whose findings: the last check-up that is done, or the newest.", choices=("done", "latest"), default="done"),
    Param(name="kind", help="Only findings of this kind.", most=64),
    Param(name="limit", help="Findings of one page.", kind="integer", default=200, most=1_000),
    Param(name="offset", help="Findings before the page.", kind="integer", default=0, least=0, most=10_000_000),
)  # fmt: skip
BEGINNING: Final = (
    Param(name="visit", help="Ask every address for one byte.", kind="flag", default=True),
    Param(name="per_minute", help="Requests to one host.", kind="integer", default=120, most=6_000),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkup:
    """A check-up of the catalog's records. `state` as the catalog's documents have it: running, stopping, done, stopped, failed,
    broken off. Times are ISO 8601 UTC, "" for none; `age` in seconds since it was last at work. `kinds` count all findings."""

    number: int
    state: str
    why: str
    started: str
    ended: str
    seen: str
    age: int | None
    visit: bool
    records: int
    examined: int
    wrong: int
    mendable: int
    kinds: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong with a record. `fix`: what would be written, "" where a person must decide; `url`: the address that it is about,
    `token`: the variable that is missing or refused; null where it is about none."""

    kind: str
    record: str
    id: str
    name: str
    what: str
    fix: str
    url: str | None
    token: str | None
    mended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogReport:
    """What the doctor of the catalog at `host` found. `latest` is the newest check-up, `shown` the one whose findings follow; null
    for none yet."""

    host: str
    latest: Checkup | None
    shown: Checkup | None
    findings: tuple[Finding, ...]
    findings_total: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogAsked:
    """`outcome` busy: a check-up went on already, or there was none to end. `GET /doctor` says how it goes."""

    outcome: Literal["begun", "stopping", "busy"]
    message: str


class Doctoring:
    """`opened` None: no catalog is named. Every method raises Answer 409 then, and 502 or 503 when the catalog is no help."""

    def __init__(
        self, opened: Opened | None, host: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._opened = opened
        self._host = host
        self._now = now

    async def report(self, asked: Asked) -> CatalogReport:
        query = {name: str(asked[name]) for name in ("of", "kind", "limit", "offset") if asked[name] is not None}
        body = (await self._do(lambda doctor: doctor.report(query))).body
        found = body.get("findings")
        latest = self._checkup(body.get("latest"))
        return CatalogReport(
            host=self._host,
            latest=latest,
            shown=self._checkup(body.get("shown")),
            findings=tuple(
                _finding(each) for each in (found if isinstance(found, list) else ()) if isinstance(each, dict)
            ),
            findings_total=_count(body.get("findings_total")),
            message="" if latest else "The catalog's doctor has not looked yet. POST /doctor has it look.",
        )

    async def begin(self, asked: Asked) -> CatalogAsked:
        query = {"visit": "true" if asked["visit"] else "false", "per_minute": str(asked["per_minute"])}
        told = await self._do(lambda doctor: doctor.begin(query))
        if told.busy:
            return CatalogAsked(outcome="busy", message="A check-up goes on already. GET /doctor says how far it is.")
        return CatalogAsked(
            outcome="begun", message="The catalog looks at its records. GET /doctor says how far it is."
        )

    async def stop(self, _: Asked) -> CatalogAsked:
        told = await self._do(lambda doctor: doctor.stop())
        if told.busy:
            return CatalogAsked(outcome="busy", message="No check-up goes on.")
        return CatalogAsked(outcome="stopping", message="The check-up ends; what it found stays.")

    async def _do(self, do: Callable[[CatalogDoctor], Awaitable[Told]]) -> Told:
        if self._opened is None:
            raise Answer(409, "no-catalog", f"There is nothing to look at: {NO_CATALOG}.")
        try:
            return await self._opened(do)
        except NotFound:
            detail = (
                f"The catalog at {self._host} has no doctor. 'model-manager catalog serve' of this release has one."
            )
            raise Answer(409, "no-doctor", detail) from None
        except NotAuthorized as error:
            why = printable(error.facts["why"])
            detail = f"{self._host}: {why}. Set EMPROPS_API_KEY where the aggregator runs to a token of the catalog's writers."
            raise Answer(409, "catalog-token", detail) from None
        except CatalogUnavailable as error:
            raise away("catalog", printable(error), error.retry_after) from None
        except ModelManagerError as error:
            raise Answer(502, "catalog-strange", printable(error)) from None

    def _checkup(self, row: Any) -> Checkup | None:
        if not isinstance(row, dict):
            return None
        kinds = row.get("kinds")
        seen = wording.date(row.get("seen")) or ""
        return Checkup(
            number=_count(row.get("number")),
            state=_text(row.get("state")),
            why=_text(row.get("why")),
            started=wording.date(row.get("started")) or "",
            ended=wording.date(row.get("ended")) or "",
            seen=seen,
            age=max(0, int((self._now() - datetime.fromisoformat(seen)).total_seconds())) if seen else None,
            visit=row.get("visit") is True,
            records=_count(row.get("records")),
            examined=_count(row.get("examined")),
            wrong=_count(row.get("wrong")),
            mendable=_count(row.get("mendable")),
            kinds=_kinds(kinds if isinstance(kinds, dict) else {}),
        )


def _finding(row: Mapping[str, Any]) -> Finding:
    return Finding(
        kind=_text(row.get("kind")),
        record=_text(row.get("record")),
        id=_text(row.get("id")),
        name=_text(row.get("name")),
        what=_text(row.get("what")),
        fix=_text(row.get("fix")),
        url=wording.link(row.get("url")),
        token=_text(row.get("token")) or None,
        mended=row.get("mended") is True,
    )


def _text(value: Any) -> str:
    return printable(value, TEXT) if isinstance(value, str) else ""


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 2**53 else 0


def _kinds(counts: Mapping[str, Any]) -> dict[str, int]:
    return {_text(kind): _count(count) for kind, count in list(counts.items())[:MOST_KINDS]}
