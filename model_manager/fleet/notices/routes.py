"""The routes of notifications."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from model_manager.facts import wire
from model_manager.facts.notice import KINDS
from model_manager.fleet.handling import Ask, doing, reading
from model_manager.fleet.notices import shapes
from model_manager.fleet.notices.bulletin import Bulletin
from model_manager.fleet.notices.ledger import Kept
from model_manager.fleet.notices.rulebook import Rulebook
from model_manager.serving.answering import Handler, answered, tag_of
from model_manager.serving.asking import Param, asked, asked_object
from model_manager.serving.problems import Answer
from model_manager.serving.routing import Route

FURTHEST: Final = 9_999_999_999

RULE: Final = Param(name="rule", help="Its id.", where="path", pattern="^[0-9a-f]{12}$", most=12, required=True)
NOTICE: Final = Param(name="notice", help="Its number.", kind="integer", where="path", most=FURTHEST, required=True)
AFTER: Final = Param(name="after", help="The number of a notice, exclusive.", kind="integer", least=0, most=FURTHEST)

WRITING: Final = (401, 403, 404, 408, 409, 412, 413, 415, 503)

READING: Final = (
    Route(
        method="GET", path="/notifications", name="notifications", answer=shapes.Notices, refusals=(503,),
        summary="What was told by rules: after a notice, before one, or lately.",
        params=(
            AFTER,
            Param(name="before", help="The number of a notice, exclusive.", kind="integer", least=1, most=FURTHEST),
            Param(name="limit", help="Notices of one answer.", kind="integer", default=100, most=500),
            Param(name="rule", help="Only of this rule.", pattern="^[0-9a-f]{12}$", most=12),
            Param(name="kind", help="Only of this kind.", choices=KINDS),
            Param(
                name="delivery", help="Only those in this state of delivery.",
                choices=("none", "waiting", "delivered", "dead"),
            ),
        ),
    ),
    Route(
        method="GET", path="/notifications/rules", name="rules", answer=shapes.RulePage, refusals=(503,),
        summary="What is told, and when.",
    ),
    Route(
        method="GET", path="/notifications/rules/{rule}", name="rule", answer=shapes.RuleRow, refusals=(404, 503),
        summary="A rule.", params=(RULE,),
    ),
)  # fmt: skip

STREAM: Final = Route(
    method="GET", path="/notifications/stream", name="notification_stream", content="text/event-stream",
    summary="Live notices. Go on with the header Last-Event-ID.", params=(AFTER,), refusals=(503,),
)  # fmt: skip

DOING: Final = (
    Route(
        method="POST", path="/notifications/rules", name="make_rule", answer=shapes.RuleMade, takes="Rule", good=(201,),
        summary="Make a rule. The answer has the secret of its webhook, once.", refusals=WRITING,
    ),
    Route(
        method="PUT", path="/notifications/rules/{rule}", name="change_rule", answer=shapes.RuleRow, takes="Rule",
        summary="Replace a rule; with If-Match only as it was read. Without `url` and `secret` the former ones stay.",
        params=(RULE,), refusals=WRITING,
    ),
    Route(
        method="DELETE", path="/notifications/rules/{rule}", name="remove_rule", answer=shapes.RuleRemoved, secured=True,
        summary="Remove a rule. What it told stays in the history.", params=(RULE,), refusals=(401, 403, 404, 412, 503),
    ),
    Route(
        method="POST", path="/notifications/rules/{rule}/test", name="test_rule", answer=shapes.Notice, secured=True,
        summary="Tell a sample and deliver it at once; `delivery` says what became of it.",
        params=(RULE,), refusals=(401, 403, 404, 503),
    ),
    Route(
        method="POST", path="/notifications/{notice}/resend", name="resend_notice", answer=shapes.Notice, secured=True,
        summary="Deliver a notice once more, under the same id.", params=(NOTICE,), refusals=(401, 403, 404, 503),
    ),
)  # fmt: skip

ROUTES: Final = (*READING, STREAM, *DOING)


def handlers(rulebook: Rulebook, bulletin: Bulletin) -> dict[str, Handler]:
    """By the names of the routes."""
    asks: dict[str, Ask] = {"notifications": bulletin.page, "rules": rulebook.all, "rule": rulebook.one}
    named = {route.name: route for route in DOING}

    async def change(request: web.Request) -> web.StreamResponse:
        values, body = asked(request, (RULE,)), await asked_object(request)
        row = await rulebook.change(values, body, lambda kept: insist(request, kept))
        response = answered(request, row)
        response.headers["ETag"] = f'W/"{tag_of(wire.dumps(row))}"'
        return response

    async def remove(request: web.Request) -> web.StreamResponse:
        values = asked(request, (RULE,))
        return answered(request, await rulebook.remove(values, lambda kept: insist(request, kept)))

    async def stream(request: web.Request) -> web.StreamResponse:
        return await bulletin.stream(request, asked(request, STREAM.params))

    return {
        **{route.name: reading(route, asks[route.name]) for route in READING},
        "make_rule": doing(named["make_rule"], lambda _, body: rulebook.make(body)),
        "test_rule": doing(named["test_rule"], lambda values, _: rulebook.test(values)),
        "resend_notice": doing(named["resend_notice"], lambda values, _: rulebook.resend(values)),
        "change_rule": change,
        "remove_rule": remove,
        STREAM.name: stream,
    }


def insist(request: web.Request, kept: Kept | None) -> None:
    """Holds If-Match against the rule as it is. Raises Answer 412."""
    wanted = request.if_match
    tag = tag_of(wire.dumps(shapes.rule_row(kept))) if kept else None
    if wanted is not None and not any(each.value in (tag, "*") for each in wanted):
        detail = "The rule is not what If-Match names. Read it again, and write it with its new ETag."
        raise Answer(412, "changed", detail)


_TEXTS: Final[dict[str, Any]] = {
    "type": "array", "maxItems": 50, "items": {"type": "string", "minLength": 1, "maxLength": 512},
}  # fmt: skip

BODY: Final[dict[str, Any]] = {
    "type": "object",
    "description": "What is left out of `models` and `machines` means all. docs/notifications.md explains each kind.",
    "required": ["name", "kind"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 120},
        "kind": {"enum": list(KINDS)},
        "models": {**_TEXTS, "description": "Patterns of `folder/name`."},
        "machines": {**_TEXTS, "description": "Patterns of machine ids. Together they are one group."},
        "below_bytes": {"type": "integer", "minimum": 0, "maximum": 2**53 - 1},
        "below_percent": {"type": "number", "minimum": 0, "maximum": 100},
        "seconds": {"type": "number", "minimum": 1, "maximum": 2_678_400, "default": 300},
        "attempts": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 3},
        "url": {"type": ["string", "null"], "maxLength": 2000, "description": "null takes the webhook out."},
        "enabled": {"type": "boolean", "default": True},
        "gather": {"type": "number", "minimum": 0, "maximum": 3600, "default": 5},
        "cooldown": {"type": "number", "minimum": 0, "maximum": 2_678_400, "default": 60},
        "secret": {"type": "string", "description": "`whsec_` and base64; left out, one is made."},
    },
    "additionalProperties": False,
}
