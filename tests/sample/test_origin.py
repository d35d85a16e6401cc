"""The loopback origin, from outside."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import aiohttp
import pytest

from model_manager.sample.models import SampleFile
from model_manager.sample.origin import Origin, served

PATH = "/files/small.safetensors"


async def _get(session: aiohttp.ClientSession, **headers: str) -> tuple[int, bytes, str | None]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with session.get(PATH, headers=named) as response:
        return response.status, await response.read(), response.headers.get("Content-Range")


async def test_the_whole_file_comes_with_its_length_and_a_strong_entity_tag(
    session: aiohttp.ClientSession, file: SampleFile
) -> None:
    async with session.get(PATH) as response:
        assert response.status == 200
        assert response.headers["ETag"] == f'"{file.sha256}"'
        assert response.headers["Accept-Ranges"] == "bytes"
        assert response.headers["Content-Type"] == "application/octet-stream"
        assert response.content_length == file.size
        assert await response.read() == file.path.read_bytes()


async def test_head_says_the_same_without_a_body(session: aiohttp.ClientSession, file: SampleFile) -> None:
    async with session.head(PATH) as response:
        assert (response.status, response.content_length, await response.read()) == (200, file.size, b"")


async def test_a_range_comes_alone(session: aiohttp.ClientSession, file: SampleFile) -> None:
    body = file.path.read_bytes()
    assert await _get(session, Range="bytes=100000-") == (
        206,
        body[100000:],
        f"bytes 100000-{file.size - 1}/{file.size}",
    )
    assert await _get(session, Range="bytes=5-9") == (206, body[5:10], f"bytes 5-9/{file.size}")
    assert await _get(session, Range="bytes=-7") == (
        206,
        body[-7:],
        f"bytes {file.size - 7}-{file.size - 1}/{file.size}",
    )


async def test_b4_a_resume_goes_on_only_with_the_same_entity_tag(
    session: aiohttp.ClientSession, file: SampleFile
) -> None:
    body = file.path.read_bytes()
    same = await _get(session, Range="bytes=1000-", If_Range=f'"{file.sha256}"')
    assert same == (206, body[1000:], f"bytes 1000-{file.size - 1}/{file.size}")
    for other in ('"changed"', f'W/"{file.sha256}"', "Sat, 21 Nov 2026 02:00:00 GMT"):
        assert await _get(session, Range="bytes=1000-", If_Range=other) == (200, body, None)


async def test_b15_a_range_beyond_the_file_is_416_with_its_size(
    session: aiohttp.ClientSession, file: SampleFile
) -> None:
    for start in (file.size, file.size + 1000):
        assert await _get(session, Range=f"bytes={start}-") == (416, b"", f"bytes */{file.size}")


async def test_a_known_entity_tag_is_304(session: aiohttp.ClientSession, file: SampleFile) -> None:
    assert await _get(session, If_None_Match=f'"{file.sha256}"') == (304, b"", None)
    assert (await _get(session, If_None_Match='"other"'))[0] == 200


@pytest.mark.parametrize("name", ["other.safetensors", "..%2Fport", "%2e%2e%2fport", "small.safetensors%00"])
async def test_l6_only_its_own_files_are_served(session: aiohttp.ClientSession, name: str) -> None:
    async with session.get(f"/files/{name}") as response:
        assert response.status == 404


async def test_a_file_that_became_shorter_breaks_the_answer_off(
    session: aiohttp.ClientSession, file: SampleFile
) -> None:
    file.path.write_bytes(file.path.read_bytes()[:1000])
    with pytest.raises(aiohttp.ClientPayloadError):
        await _get(session)


async def test_an_answer_is_no_faster_than_its_rate(tmp_path: Path, file: SampleFile) -> None:
    origin = Origin([file], rate=file.size * 4)
    async with (
        served(origin.application(), remembered=tmp_path / "port") as url,
        aiohttp.ClientSession(url) as session,
    ):
        began = time.monotonic()
        status, body, _ = await _get(session)
        seconds = time.monotonic() - began
    assert (status, len(body)) == (200, file.size)
    assert seconds >= 0.15


async def test_the_same_port_is_taken_again(tmp_path: Path, file: SampleFile) -> None:
    origin = Origin([file])
    remembered = tmp_path / "port"
    async with served(origin.application(), remembered=remembered) as first:
        assert remembered.read_text() == f"{first.rpartition(':')[2]}\n"
    async with served(origin.application(), remembered=remembered) as second:
        assert second == first


@pytest.mark.parametrize("text", ["", "80", "99999", "no port", "²", "\x00\xff"])
async def test_a_port_that_cannot_be_had_is_replaced(tmp_path: Path, file: SampleFile, text: str) -> None:
    (tmp_path / "port").write_bytes(text.encode("latin-1"))
    async with served(Origin([file]).application(), remembered=tmp_path / "port") as url:
        assert int(url.rpartition(":")[2]) >= 1024


async def test_a_port_that_is_taken_is_replaced(tmp_path: Path, file: SampleFile) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        (tmp_path / "port").write_text(str(taken))
        async with served(Origin([file]).application(), remembered=tmp_path / "port") as url:
            assert url != f"http://127.0.0.1:{taken}"
