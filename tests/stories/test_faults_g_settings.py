"""The configuration is wrong: said at once, with the name and what to write, and nothing is touched; or it is merely untidy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stories.machine import CANARIES, Machine, catalog, record, safetensors, sha256, workflow
from tests.stories.origin import FaultyOrigin

ONE, TWO = safetensors(60_000, 1), safetensors(70_000, 2)
CONFIGURATION = 78
NOWHERE = "http://127.0.0.1:9"


def shop(origin: FaultyOrigin) -> dict[str, object]:
    return {
        "models": [
            record("one", origin.put("one.safetensors", ONE), "vae/one.safetensors", ONE),
            record("two", origin.put("two.safetensors", TWO), "vae/two.safetensors", TWO),
        ],
        "workflows": [workflow("flux", "one"), workflow("żółw 名", "two")],
    }


async def refused(machine: Machine, *said: str) -> None:
    """It leaves with the exit code that supervisors do not restart, and says why."""
    machine.start()
    assert await machine.exited(20) == CONFIGURATION, machine.log()
    assert [part for part in said if part not in machine.log()] == [], machine.log()
    assert "Traceback" not in machine.log()
    assert machine.leaks() == []


async def test_g1_untidy_lists_are_read_as_they_are_meant(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with catalog(home / "c", shop(origin)) as url:
        machine = machine_of(
            url, WORKFLOW_IDS=" flux ,,żółw 名,flux, ", COLLECTION_IDS=",", MODEL_MANAGER_ALLOW_HOSTS=origin.host
        )
        machine.start()
        await machine.until_ready()
        assert machine.files() == {"vae/one.safetensors": sha256(ONE), "vae/two.safetensors": sha256(TWO)}
        assert set(machine.status()["readiness"]["workflows"]) == {"flux", "żółw 名"}


@pytest.mark.parametrize("ids", ["", " ", ",,", " , "])
async def test_g1_nothing_assigned_is_said_to_be_nothing_and_is_ready(
    home: Path, machine_of: Callable[..., Machine], ids: str
) -> None:
    async with catalog(home / "c", {}) as url:
        machine = machine_of(url, WORKFLOW_IDS=ids)
        machine.start()
        await machine.until_ready()
        status = machine.status()
        assert (status["assignment"]["empty"], status["readiness"]["required"]) == (True, 0)


@pytest.mark.parametrize(
    ("content", "mode", "why"),
    [
        (None, 0, "No such file"),
        (CANARIES["HF_TOKEN"], 0o644, "0644"),
        ("", 0o600, "exactly one token"),
        ("a\nb", 0o600, "exactly one token"),
    ],
)
async def test_g2_a_token_file_that_cannot_be_used_is_named(
    home: Path, machine_of: Callable[..., Machine], content: str | None, mode: int, why: str
) -> None:
    token = home / "token"
    if content is not None:
        token.write_text(content)
        token.chmod(mode)
    await refused(machine_of(NOWHERE, HF_TOKEN="", HF_TOKEN_FILE=str(token)), "HF_TOKEN_FILE", str(token), why)


async def test_g2_a_token_with_a_newline_is_trimmed_and_one_in_two_lines_refused(
    home: Path, machine_of: Callable[..., Machine]
) -> None:
    async with catalog(home / "c", {}) as url:
        token = home / "token"
        token.write_text(f"\n{CANARIES['HF_TOKEN']}\n")
        token.chmod(0o600)
        good = machine_of(
            url, "a", HF_TOKEN="", HF_TOKEN_FILE=str(token), CIVITAI_TOKEN=f"{CANARIES['CIVITAI_TOKEN']}\n"
        )
        good.start()
        await good.until_ready()
        assert good.leaks() == []
    await refused(machine_of(NOWHERE, "b", HF_TOKEN=f"{CANARIES['HF_TOKEN']}\nX-Evil: 1"), "HF_TOKEN", "one token")


async def test_g3_a_settings_file_that_turns_bad_changes_nothing_and_is_shown_until_it_is_mended(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    def problems() -> str:
        return " ".join(machine.status()["problems"])

    async with catalog(home / "c", shop(origin)) as url:
        file = home / "settings.toml"
        file.write_text('WORKFLOW_IDS = ["flux"]\n')
        machine = machine_of(url, MODEL_MANAGER_SETTINGS=str(file), MODEL_MANAGER_ALLOW_HOSTS=origin.host)
        machine.start()
        await machine.until_ready()
        for bad, why in (
            ('WORKFLOW_IDS = ["flux", "żół', "cannot be read"),
            ("WORKFLOW_IDS = 7\nMACHINE_IDS = 'x'\n", "MACHINE_IDS"),
            ('WORKFLOW_IDS = ["flux"]\nMODEL_DOWNLOAD_CONCURRENCY = 9\n', "restart"),
        ):
            file.write_text(bad)
            await machine.until(lambda why=why: why in problems(), f"'{why}' is shown")
            assert machine.ready()
            assert machine.status()["assignment"]["workflows"] == ["flux"]
        file.write_text('WORKFLOW_IDS = ["flux", "żółw 名"]\n')
        await machine.until(lambda: problems() == "", "mended")
        await machine.until(lambda: len(machine.files()) == 2, "and adopted")
        await machine.until_ready()


async def test_g3_an_assignment_file_that_turns_bad_changes_nothing(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with catalog(home / "c", shop(origin)) as url:
        machine = machine_of(url, MODEL_MANAGER_ALLOW_HOSTS=origin.host)
        machine.state.mkdir(parents=True)
        file = machine.state / "assignment.json"
        file.write_text('{"workflows": ["flux"]}')
        machine.start()
        await machine.until_ready()
        for bad in ('{"workflows": ["fl', '{"workflow": []}', "[]", '{"workflows": [7]}'):
            file.write_text(bad)
            code, answer = machine.ask("/reload", "POST")
            assert (code, answer["accepted"]) == (409, False)
            assert answer["reason"]
            status = machine.status()
            assert status["readiness"]["ready"]
            assert status["assignment"]["workflows"] == ["flux"]
            assert answer["reason"] in status["problems"]


def make_file(path: Path) -> None:
    path.write_text("x")


def make_dangling(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (None, "missing/models"),
        (make_file, "models"),
        (make_dangling, "models"),
        (None, "/model_manager_typo"),
        (None, "/proc/model_manager"),
    ],
)
async def test_g4_a_models_directory_that_cannot_be_one_is_named_and_never_made(
    home: Path, machine_of: Callable[..., Machine], make: Callable[[Path], None] | None, path: str
) -> None:
    store = home / path
    if make:
        make(store)
    there = store.exists()
    await refused(machine_of(NOWHERE, MODEL_MANAGER_STORE=str(store)), str(store))
    assert store.exists() is there
    assert not (home / "missing").exists()


async def test_g4_one_directory_under_two_names_is_one_directory(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with catalog(home / "c", shop(origin)) as url:
        store = home / "store"
        store.mkdir()
        (home / "linked").symlink_to(store)
        machine = machine_of(
            url, WORKFLOW_IDS="flux", MODEL_MANAGER_STORE=str(store), MODEL_PATH=str(home / "linked"),
            COMFYUI_MODELS_PATH=str(home / "linked"), MODEL_MANAGER_ALLOW_HOSTS=origin.host,
        )  # fmt: skip
        machine.start()
        await machine.until_ready()
        assert machine.status()["inventory"]["models"] == 1
        assert [path.name for path in store.rglob("*.safetensors")] == ["one.safetensors"]


async def test_g4_a_store_that_is_a_link_is_used_where_it_leads(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with catalog(home / "c", shop(origin)) as url:
        (home / "volume").mkdir()
        (home / "models").symlink_to(home / "volume")
        machine = machine_of(
            url, WORKFLOW_IDS="flux", MODEL_MANAGER_STORE=str(home / "models"), MODEL_MANAGER_ALLOW_HOSTS=origin.host
        )
        machine.start()
        await machine.until_ready()
        assert (home / "volume/vae/one.safetensors").read_bytes() == ONE
        assert (home / "models").is_symlink()


async def test_g5_numbers_out_of_range_are_all_refused_at_the_start(machine_of: Callable[..., Machine]) -> None:
    wrong = {
        "MODEL_DOWNLOAD_CONCURRENCY": "0",
        "MODEL_DOWNLOAD_TIMEOUT_MINUTES": "-1",
        "MODEL_MANAGER_RECONCILE_SECONDS": "1e9",
        "MODEL_MANAGER_HEARTBEAT_SECONDS": "nan",
        "MACHINE_ID": "a:b",
        "MODEL_MANAGER_STROE": "/x",
    }
    machine = machine_of(NOWHERE, **wrong)
    await refused(machine, *wrong)
    assert not machine.state.exists()
