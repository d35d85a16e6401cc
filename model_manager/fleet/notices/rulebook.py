"""Rules as people write them: made, changed, tried out and removed."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from model_manager.errors import BadUrl
from model_manager.facts.notice import KINDS, Rule
from model_manager.fleet.notices import shapes
from model_manager.fleet.notices.alerting import sample
from model_manager.fleet.notices.delivering import Delivering
from model_manager.fleet.notices.ledger import Kept, Ledger
from model_manager.serving.asking import Asked
from model_manager.serving.problems import Answer, bad_body, no_such
from model_manager.sources.hooks import key_of, new_secret

MOST_RULES: Final = 200
MOST_PATTERNS: Final = 50
MOST_PATTERN: Final = 512
MOST_NAME: Final = 120
MOST_URL: Final = 2_000
WEEKS: Final = 31 * 86_400.0
"""Seconds: the longest that a rule waits for anything."""

Writes = Callable[[Kept | None], None]
"""Refuses a write to what is not as it was read."""


@dataclass(frozen=True, slots=True)
class Number:
    """What a number of a rule may be."""

    kind: type
    least: float
    most: float


NUMBERS: Final = {
    "below_bytes": Number(int, 0, 2**53 - 1),
    "below_percent": Number(float, 0, 100),
    "seconds": Number(float, 1, WEEKS),
    "attempts": Number(int, 1, 1000),
    "gather": Number(float, 0, 3600),
    "cooldown": Number(float, 0, WEEKS),
}
LISTS: Final = ("models", "machines")
FIELDS: Final = ("name", "kind", *LISTS, *NUMBERS, "url", "enabled", "secret")


class Rulebook:
    """`check` raises BadUrl for an address that is never asked. Methods raise Answer, StoreUnavailable."""

    def __init__(self, ledger: Ledger, delivering: Delivering, check: Callable[[str], None]) -> None:
        self._ledger = ledger
        self._delivering = delivering
        self._check = check

    async def all(self, _: Asked) -> shapes.RulePage:
        rows = tuple(map(shapes.rule_row, await self._ledger.rules()))
        return shapes.RulePage(items=rows, total=len(rows))

    async def one(self, asked: Asked) -> shapes.RuleRow:
        return shapes.rule_row(await self._insisted(asked))

    async def make(self, body: dict[str, Any]) -> shapes.RuleMade:
        """With a secret of ours, or the one that was given."""
        if len(await self._ledger.rules()) >= MOST_RULES:
            raise Answer(409, "too-many-rules", f"There are {MOST_RULES} rules. Remove one first.")
        secret = _secret(body) or new_secret()
        rule = self._read(body, secrets.token_hex(6), None)
        kept = await self._ledger.add(rule, secret)
        return shapes.RuleMade(rule=shapes.rule_row(kept), secret=secret)

    async def change(self, asked: Asked, body: dict[str, Any], insist: Writes) -> shapes.RuleRow:
        """What is left out becomes what it is in a new rule; only `url` and `secret` stay. A `url` of null takes the webhook out."""
        before = await self._insisted(asked)
        insist(before)
        secret = _secret(body) or before.secret
        rule = self._read(body, before.rule.id, before.rule)
        if not await self._ledger.change(rule, secret, before.version):
            raise Answer(
                409, "changed", "The rule was changed meanwhile. Read it again, and write it with its new ETag."
            )
        return shapes.rule_row(await self._insisted(asked))

    async def remove(self, asked: Asked, insist: Writes) -> shapes.RuleRemoved:
        kept = await self._insisted(asked)
        insist(kept)
        await self._ledger.drop(kept.rule.id)
        return shapes.RuleRemoved(id=kept.rule.id)

    async def test(self, asked: Asked) -> shapes.Notice:
        """A sample, delivered at once; the answer says what became of it."""
        kept = await self._insisted(asked)
        return await self._sent(await self._ledger.tell(sample(kept), HOLD))

    async def resend(self, asked: Asked) -> shapes.Notice:
        """A notice once more, with the same id and its time anew."""
        noted = await self._ledger.notice(asked["notice"])
        if noted is None:
            raise no_such("notice", str(asked["notice"]), "GET /notifications lists those that are kept.")
        now = self._ledger.now()
        again = replace(noted.delivery, state="waiting", begun=now, due=now + HOLD, why="")
        await self._ledger.settle(noted.id, again)
        return await self._sent(noted.id)

    async def _sent(self, identity: int) -> shapes.Notice:
        noted = await self._ledger.notice(identity)
        if noted is None:
            raise no_such("notice", str(identity), "GET /notifications lists those that are kept.")
        if noted.delivery.state == "waiting":
            noted = replace(noted, delivery=await self._delivering.deliver(noted))
        return shapes.notice(noted)

    async def _insisted(self, asked: Asked) -> Kept:
        kept = await self._ledger.rule(asked["rule"])
        if kept is None:
            raise no_such("rule", asked["rule"], "GET /notifications/rules lists them.")
        return kept

    def _read(self, body: Mapping[str, Any], identity: str, before: Rule | None) -> Rule:
        for name in body:
            if name not in FIELDS:
                raise bad_body(f"'{name[:60]!a}' is no field of a rule. Use {', '.join(FIELDS)}.")
        if body.get("kind") not in KINDS:
            raise bad_body(f"'kind' must be one of {', '.join(KINDS)}.")
        if not isinstance(enabled := body.get("enabled", True), bool):
            raise bad_body("'enabled' must be true or false.")
        fields: dict[str, Any] = {name: _number(name, body[name]) for name in NUMBERS if name in body}
        fields |= {name: _patterns(name, body[name]) for name in LISTS if name in body}
        url = self._url(body["url"]) if "url" in body else before.url if before else ""
        rule = Rule(id=identity, name=_name(body), kind=body["kind"], url=url, enabled=enabled, **fields)
        if rule.kind == "disk.low" and not rule.below_bytes and not rule.below_percent:
            raise bad_body("A rule of the kind 'disk.low' needs 'below_bytes' or 'below_percent'.")
        return rule

    def _url(self, url: Any) -> str:
        if url is None:
            return ""
        if not isinstance(url, str) or len(url) > MOST_URL:
            raise bad_body(f"'url' must be a text of at most {MOST_URL} characters; null for no webhook.")
        try:
            if url:
                self._check(url)
        except BadUrl as error:
            raise bad_body(f"'url' is refused: {error.facts['why']}. {PRIVATE}") from None
        return url


HOLD: Final = 60.0
"""Seconds for which only we deliver what somebody waits for."""

PRIVATE: Final = "Private hosts that may be asked are named in MODEL_MANAGER_NOTIFY_HOSTS."


def _name(body: Mapping[str, Any]) -> str:
    name = body.get("name")
    if not isinstance(name, str) or not name.strip() or len(name) > MOST_NAME or not name.isprintable():
        raise bad_body(f"'name' must be one line of 1 to {MOST_NAME} characters.")
    return name.strip()


def _number(name: str, value: Any) -> Any:
    bounds = NUMBERS[name]
    kinds = (int,) if bounds.kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not bounds.least <= value <= bounds.most:
        whole = "a whole number" if bounds.kind is int else "a number"
        raise bad_body(f"'{name}' must be {whole} from {bounds.least:g} to {bounds.most:g}.")
    return bounds.kind(value)


def _patterns(name: str, value: Any) -> tuple[str, ...]:
    fine = isinstance(value, list) and all(isinstance(each, str) and 0 < len(each) <= MOST_PATTERN for each in value)
    if not fine or len(value) > MOST_PATTERNS:
        raise bad_body(
            f"'{name}' must be a list of at most {MOST_PATTERNS} patterns, each of 1 to {MOST_PATTERN} characters."
        )
    return tuple(dict.fromkeys(value))


def _secret(body: Mapping[str, Any]) -> str:
    secret = body.get("secret", "")
    if not isinstance(secret, str) or (secret and key_of(secret) is None):
        raise bad_body("'secret' must be 'whsec_' and the base64 of 24 to 64 bytes; leave it out, and one is made.")
    return secret
