"""The pages as they are sent; tests/fleet/ui opens them in a browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from model_manager.fleet.pages import HERE, POLICY, files
from tests.fleet.stage import Client

OURS = sorted(path for path in HERE.rglob("*.js") if path.parent.name != "vendor")
UNSAFE = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerouslySet|\beval\(|new Function|srcdoc"
)
ELSEWHERE = re.compile(r"""["'(](?:https?:)?//[a-z0-9]""", re.IGNORECASE)


async def test_the_root_leads_to_the_pages(fleet: Client) -> None:
    async with fleet.session.get(fleet.url + "/", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, "/ui/")


@pytest.mark.parametrize("view", ["", "matrix", "models/loras%2Fa.safetensors", "machines/m1", "nonsense/of/any/depth"])
async def test_every_view_is_an_address_that_the_document_answers(fleet: Client, view: str) -> None:
    async with fleet.session.get(f"{fleet.url}/ui/{view}") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert (await answer.read()) == (HERE / "index.html").read_bytes()


async def test_assets_are_compressed_and_tagged(fleet: Client) -> None:
    url = f"{fleet.url}/ui/assets/app.js"
    async with fleet.session.get(url, headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
        tag, body = answer.headers["ETag"], await answer.read()
    async with fleet.session.get(url, headers={"Accept-Encoding": "identity"}) as answer:
        assert "Content-Encoding" not in answer.headers
        assert await answer.read() == body == (HERE / "app.js").read_bytes()
    async with fleet.session.get(url, headers={"If-None-Match": tag}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")


@pytest.mark.parametrize(
    "path", ["none.js", "vendor/LICENSE.htm", "..%2Fpages.py", "%2e%2e/pages.py", "../../pages.py"]
)
async def test_what_is_no_asset_is_refused(fleet: Client, path: str) -> None:
    async with fleet.session.get(f"{fleet.url}/ui/assets/{path}") as answer:
        assert answer.status in (200, 404)
        text = await answer.text()
    assert "from __future__" not in text
    assert "Apache License" not in text


async def test_a_foreign_host_name_gets_no_page(fleet: Client) -> None:
    await fleet.get("/ui/", 403, {"Host": "evil.example"})


def test_everything_that_the_document_and_the_scripts_name_is_there() -> None:
    known = files()
    named = set(re.findall(r'/ui/assets/([^"]+)', known["index.html"].body.decode()))
    assert named <= known.keys()
    for path in OURS:
        for target in re.findall(r"""(?:from|import\()\s*'(\.[^']+)'""", path.read_text()):
            assert (path.parent / target).resolve().is_file(), f"{path.name} imports {target}"


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_k8_no_text_becomes_markup_and_nothing_comes_from_elsewhere(path: Path) -> None:
    text = path.read_text()
    assert not UNSAFE.search(text)
    assert not ELSEWHERE.search(text)
    assert len(text.splitlines()) < 400


def test_styles_and_the_document_need_nobody_else() -> None:
    for path in (*HERE.glob("*.css"), HERE / "index.html"):
        assert not ELSEWHERE.search(path.read_text())
        assert "@import" not in path.read_text()


def test_what_others_wrote_comes_with_its_licence() -> None:
    assert {path.name for path in (HERE / "vendor").iterdir()} == {"preact-htm.js", "LICENSE.htm", "LICENSE.preact"}
