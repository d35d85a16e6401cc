"""Who visits addresses for the catalog's doctor: origins with our tokens and without, as the settings say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from model_manager.agent.entitlements import hosts, tokens
from model_manager.catalog.doctor.visiting import Visitor
from model_manager.facts.quota import Quota, Quotas
from model_manager.settings import Settings
from model_manager.sources.catalog_versions import CivitaiVersions
from model_manager.sources.civitai import CivitaiOrigin
from model_manager.sources.credentials import Credentials
from model_manager.sources.https import HttpsOrigin
from model_manager.sources.huggingface import HuggingFaceOrigin
from model_manager.sources.origin import Origin
from model_manager.sources.searching import Asker
from model_manager.sources.transport.limits import Limits
from model_manager.sources.transport.spacing import Spacing
from model_manager.sources.transport.web import Web, tls, web


@asynccontextmanager
async def visitor(settings: Settings, per_minute: int) -> AsyncIterator[Visitor]:
    """Below one limit for each host."""
    ca_file = str(settings.ca_file) if settings.ca_file else None
    limits = Limits(Quotas(requests=Quota(each=per_minute)))
    named = Credentials(tokens=tokens(settings), hosts=hosts(settings))
    nobody = Credentials(hosts=hosts(settings))
    timeout = aiohttp.ClientTimeout(total=60, sock_connect=10)
    async with (
        web(nobody, allow=settings.allow_hosts, ca_file=ca_file, proxy=settings.proxy, limits=limits) as open_,
        web(named, allow=settings.allow_hosts, ca_file=ca_file, proxy=settings.proxy, limits=limits) as known,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls(ca_file)), timeout=timeout, proxy=settings.proxy
        ) as session,
    ):
        asker = Asker(session, settings.civitai_api, settings.civitai_token, "CIVITAI_TOKEN", Spacing(per_minute / 60))
        yield Visitor(_origins(open_, settings), _origins(known, settings), CivitaiVersions(asker))


def _origins(net: Web, settings: Settings) -> tuple[Origin, ...]:
    return HuggingFaceOrigin(net, settings.hf_hosts), CivitaiOrigin(net, settings.civitai_hosts), HttpsOrigin(net)
