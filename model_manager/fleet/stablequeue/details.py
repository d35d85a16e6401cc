"""The rest of StableQueue's routes for one model: what a hash would take, CivitAI by hash, a field by hand, its lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from model_manager.fleet.models.enquiring import Enquiring
from model_manager.fleet.models.knowing import Knowing
from model_manager.fleet.models.lore import believed
from model_manager.fleet.models.previewing import Pictures
from model_manager.fleet.registry import Registry, kept, number_of
from model_manager.fleet.stablequeue import answers, shapes
from model_manager.fleet.stablequeue.models import EDITABLE, Models, is_plain
from model_manager.fleet.stablequeue.removals import place_at
from model_manager.fleet.stablequeue.rows import model
from model_manager.serving.answering import tagged
from model_manager.serving.asking import Asked
from model_manager.serving.problems import Answer, bad_body, no_such

PACE: Final = 300e6
"""Bytes per second at which a hash is foretold: SHA-256 of one core without the instructions for it."""

FIELDS: Final = (*EDITABLE, "civitai_nsfw")

_RESCAN: Final = {"generateHash": "hash", "retrieveFromCivitai": "civitai", "getPreview": "preview"}


class Details:
    def __init__(
        self,
        registry: Registry,
        models: Models,
        enquiring: Enquiring,
        pictures: Pictures,
        knowing: Knowing,
    ) -> None:
        self._registry = registry
        self._models = models
        self._enquiring = enquiring
        self._pictures = pictures
        self._knowing = knowing

    async def known(self, asked: Asked) -> shapes.StableQueueKnown:
        return await self._knowing.known(await self._place(asked))

    async def named(self, asked: Asked) -> shapes.StableQueueKnown:
        """By `folder/name`. Raises Answer 404."""
        place = asked["name"]
        await kept(self._registry.places())
        if self._registry.row(place) is None and not self._registry.claimants(place):
            raise no_such("model", place, "GET /search finds models by parts of their names.")
        return await self._knowing.known(place)

    async def preview(self, request: web.Request, values: Asked) -> web.StreamResponse:
        """The bytes, of the type that they are."""
        picture = await self._pictures.of(await self._place(values))
        response = tagged(request, picture.data, picture.type)
        response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox; frame-ancestors 'none'"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        return response

    async def hash_info(self, asked: Asked) -> answers.StableQueueHashInfo:
        """Whether it has its hash, and how long reading it would take."""
        place, registry = await self._place(asked), self._registry
        row, sha256 = registry.row(place), registry.sha256(place)
        size = row.size if row else 0
        alive = self._enquiring.holder(registry.holders(place), 0) is not None
        seconds = round(size / PACE, 1)
        why = "" if alive else "no machine of ours that lives holds it"
        if sha256:
            why = "it has its hash; it can be read again"
        return answers.StableQueueHashInfo(
            success=True,
            model=answers.StableQueueHashed(
                id=number_of(place), filename=place.partition("/")[2], hasHash=bool(sha256), existingHash=sha256 or None
            ),
            fileInfo=answers.StableQueueFileInfo(
                size=f"{size / 1e9:.2f} GB",
                sizeBytes=size,
                canCalculateHash=alive,
                reason=why,
                estimatedTime=seconds,
                estimatedTimeDisplay=f"about {seconds:g} s",
            ),
        )

    async def fetch(self, asked: Asked, _: Mapping[str, Any]) -> answers.StableQueueFetched:
        """By SHA-256 alone. Raises Answer 400 without a hash, 404 where CivitAI knows none, 503."""
        place = await self._place(asked)
        if not self._registry.sha256(place):
            detail = "Its SHA-256 is not known, or differs from machine to machine. POST …/calculate-hash has it read."
            raise Answer(400, "no-hash", detail)
        found = await self._models.refresh(asked, {})
        if not found.found:
            raise no_such("model at CivitAI", place, "What is known of it stays as it was.")
        told = found.metadata
        return answers.StableQueueFetched(
            success=True,
            message=f"{len(told)} fields came from CivitAI.",
            metadata=answers.StableQueueMetadata(
                model_name=_text(told, "civitai_model_name"),
                version_name=_text(told, "civitai_model_version_name"),
                base_model=_text(told, "civitai_model_base"),
                civitai_id=_text(told, "civitai_id"),
                civitai_version_id=_text(told, "civitai_version_id"),
                preview_downloaded=await self._shown(place),
                trained_words=self._registry.tags(place),
            ),
        )

    async def rescan(self, asked: Asked, body: Mapping[str, Any]) -> answers.StableQueueRescanned:
        """One model anew: its machine tells what it knows; whatever else is wished for follows. What people told stays."""
        if body.keys() - _RESCAN.keys() or not all(isinstance(each, bool) for each in body.values()):
            raise bad_body(f"A rescan has {', '.join(_RESCAN)}, each true or false.")
        place = await self._place(asked)
        before = model(self._registry, place)
        await self._learn(place)
        order = None
        if body.get("generateHash"):
            order = (await self._models.calculate(asked, {})).order
        fetched = bool(body.get("retrieveFromCivitai")) and bool(self._registry.sha256(place))
        found = fetched and (await self._models.refresh(asked, {})).found
        shown = bool(body.get("getPreview")) and await self._shown(place)
        after = model(self._registry, place)
        hashed = bool(after.hash_sha256) and not before.hash_sha256
        return answers.StableQueueRescanned(
            success=True,
            message="It was looked at again." + (" Its hash comes with the next event." if order else ""),
            model=answers.StableQueueUpdated(id=after.id, filename=after.filename, updated=after != before),
            stats={"total": 1, "updated": int(after != before), "hashesCalculated": int(hashed), "errors": 0},
            operations=answers.StableQueueOperations(
                hashCalculated=hashed, civitaiDataFetched=found, previewDownloaded=shown, hashOrder=order
            ),
        )

    async def _learn(self, place: str) -> None:
        """Raises Answer 404 when no machine that lives holds it, 503."""
        holders = self._registry.holders(place)
        machine_id = self._enquiring.holder(holders, number_of(place))
        if machine_id is None:
            raise Answer(404, "no-such-model", "No machine of ours that lives holds it, so none can look at it.")
        said = await self._enquiring.ask(machine_id, "describe", [holders[machine_id][0].path])
        for each in said.get("files", ()):
            self._registry.lore.put(place, self._registry.sha256(place), believed(each.get("told", ())))
        self._pictures.forget(place)

    async def _shown(self, place: str) -> bool:
        """Whether it has a picture now."""
        try:
            return bool((await self._pictures.of(place)).data)
        except Answer:
            return False

    async def update_field(self, _: Asked, body: dict[str, Any]) -> answers.StableQueueFieldUpdated:
        """By hand, as `edit` does it for many fields. Raises Answer 400, 404."""
        if body.keys() - {"local_path", "filename", "field", "value"} or body.get("field") not in FIELDS:
            raise bad_body(f"Name a model by 'local_path' and 'filename', a 'field' of {', '.join(FIELDS)}, a 'value'.")
        value = body.get("value")
        if not is_plain(value):
            raise bad_body("'value' must be a text, a number, true, false, a list of texts, or null to take it back.")
        place, _path = await place_at(self._registry, body)
        await kept(self._registry.store.tell(place, "manual", {str(body["field"]): value}))
        return answers.StableQueueFieldUpdated(success=True, message="It is told.", model=model(self._registry, place))

    async def clean(self, _: Asked, __: Mapping[str, Any]) -> answers.StableQueueCleaned:
        """Words that services told of models whose place nobody holds any more. What people told stays, and every file."""
        registry = self._registry
        here = {*await kept(registry.places())}
        if not registry.view.exact:
            raise Answer(
                503, "starting", "What machines hold was not read yet. Ask again in a moment.", {"Retry-After": "2"}
            )
        gone = [place for place in registry.store.told if place not in here]
        cleared = await kept(registry.store.forget(gone))
        twins = sum(1 for place in here if len(registry.same(registry.sha256(place))) > 1)
        said = f"{cleared} words of models that are nowhere any more went. {twins} models are duplicates; their files stay."
        return answers.StableQueueCleaned(success=True, message=said, clearedCount=cleared)

    async def loras(self, asked: Asked) -> tuple[answers.StableQueueListed, ...]:
        return await self._listed("loras", asked)

    async def checkpoints(self, asked: Asked) -> tuple[answers.StableQueueListed, ...]:
        return await self._listed("checkpoints", asked)

    async def _listed(self, folder: str, asked: Asked) -> tuple[answers.StableQueueListed, ...]:
        places = await kept(self._registry.places("", folder))
        return tuple(self._line(place) for place in places[asked["offset"] : asked["offset"] + asked["limit"]])

    def _line(self, place: str) -> answers.StableQueueListed:
        """What was told is beside the file's own name, and never in its place."""
        row, known = model(self._registry, place), self._pictures.known(place)
        directory, _, name = row.filename.rpartition("/")
        return answers.StableQueueListed(
            id=row.id,
            filename=name,
            relativePath=directory,
            name=row.name,
            baseModel=row.civitai_model_base,
            modelId=row.civitai_id,
            modelVersionId=row.civitai_version_id,
            trainedWords=self._registry.tags(place),
            hash=row.hash_sha256,
            previewAvailable=known,
            previewPath=f"/api/v1/models/{row.id}/preview",
        )

    async def _place(self, asked: Asked) -> str:
        return await kept(self._registry.place(asked["id"]))


def _text(told: Mapping[str, Any], name: str) -> str | None:
    value = told.get(name)
    return None if value is None else str(value)
