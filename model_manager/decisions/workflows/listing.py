"""Which files, and which package, does a node say that it needs?

`properties.models` is what the author of a template wrote down for a node (name, url, directory, sometimes a hash);
`properties.cnr_id`, `aux_id` and `ver` say where the node is from.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from model_manager.facts.graph import Listed
from model_manager.facts.identity import Pin
from model_manager.facts.shelf import CATEGORY_OF

LONGEST: Final = 2_048
"""Characters of an address."""

_SECRET = re.compile(
    r"(?:^|(?<=&))(?:token|api_?key|access_?token|key|secret|password|authorization|auth|signature)(?==|$)",
    re.IGNORECASE,
)


def listed(models: Any) -> tuple[Listed, ...]:
    """The files of a list of models; entries without a name are none."""
    if not isinstance(models, list):
        return ()
    return tuple(_one(model) for model in models if isinstance(model, dict) and isinstance(model.get("name"), str))


def _one(model: dict[str, Any]) -> Listed:
    directory = model.get("directory")
    folder = directory.strip("/\\").replace("\\", "/") if isinstance(directory, str) else ""
    return Listed(
        name=model["name"],
        folder=canonical(folder),
        url=address(model.get("url")),
        pin=_pin(model),
    )


def address(url: Any) -> str:
    """A web address without the secrets that people leave in it (user and password, tokens in the query); else ''."""
    if not isinstance(url, str) or len(url) > LONGEST or not url.isprintable():
        return ""
    try:
        parts = urlsplit(url.strip())
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return ""
    if parts.scheme not in ("https", "http") or not host:
        return ""
    query = parts.query
    if _SECRET.search(query):
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=100)
        query = urlencode([(name, value) for name, value in pairs if not _SECRET.match(name)])
    return urlunsplit((parts.scheme, host, parts.path, query, ""))


def _pin(model: dict[str, Any]) -> Pin | None:
    text, kind = model.get("hash"), model.get("hash_type")
    if isinstance(text, str) and isinstance(kind, str) and ":" not in text:
        return Pin.parse(f"{kind}:{text}") or Pin.parse(text)
    return Pin.parse(text)


def canonical(folder: str) -> str:
    """The category of ComfyUI for a directory: `models/unet` and `unet/sub` are `diffusion_models`."""
    head = folder.removeprefix("models/").partition("/")[0]
    return CATEGORY_OF.get(head, head)


def package_of(node: dict[str, Any]) -> tuple[str, str]:
    """The package that a node says it is from, and its version; '' when it does not say."""
    properties = node.get("properties")
    if not isinstance(properties, dict):
        properties = node.get("_meta")
    if not isinstance(properties, dict):
        return "", ""
    found = (properties.get(key) for key in ("cnr_id", "aux_id"))
    package = next((text for text in found if isinstance(text, str) and text), "")
    version = properties.get("ver")
    return package, version if isinstance(version, str) else ""
