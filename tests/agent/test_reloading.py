from __future__ import annotations

from pathlib import Path

import pytest

from model_manager import settings as configuration
from model_manager.agent import reloading as module
from model_manager.agent.assignment.wanting import Wanting
from model_manager.agent.reloading import Reloading
from model_manager.settings import Settings
from model_manager.sources.catalog_cache import CachedCatalog
from tests.agent.assignment.test_wanting import Catalog
from tests.agent.stage import Stage, running, settings, turns, until


class Reload:
    """The loop; `environ` is what it reads next."""

    def __init__(self, scene: Stage) -> None:
        self.scene = scene
        self.environ: dict[str, str] = {}
        self.adopted: list[Settings] = []
        self.wanting = Wanting(scene.board, scene.shelves, CachedCatalog(Catalog(), scene.state / "cache"), scene.state)
        self.reloading = Reloading(scene.board, self.wanting, self._load, self.adopted.append)

    def _load(self) -> Settings:
        return settings(self.scene.store.parent, **self.environ)

    def __call__(self, **environ: str) -> bool:
        self.environ = environ
        return self.reloading.reload()


@pytest.fixture
def reload(scene: Stage) -> Reload:
    return Reload(scene)


def test_what_is_live_is_adopted_now(scene: Stage, reload: Reload) -> None:
    assert reload(MODEL_MANAGER_DISK_FLOOR="123", HF_TOKEN="hf_new")
    assert scene.board.settings.disk_floor == 123
    assert reload.adopted == [scene.board.settings]
    assert scene.board.settings_error == ""


def test_a_change_that_needs_a_restart_is_refused_whole(scene: Stage, reload: Reload) -> None:
    before = scene.board.settings
    assert not reload(MODEL_MANAGER_DISK_FLOOR="123", MODEL_DOWNLOAD_CONCURRENCY="9")
    assert scene.board.settings is before
    assert reload.adopted == []
    assert "concurrency" in scene.board.settings_error
    assert "restart" in scene.board.settings_error
    assert "disk_floor" not in scene.board.settings_error


def test_g3_bad_settings_are_refused_whole_and_every_problem_is_told(scene: Stage, reload: Reload, logged) -> None:
    before = scene.board.settings
    assert not reload(MODEL_MANAGER_DISK_FLOOR="-1", MODEL_DOWNLOAD_RETRY_ATTEMPTS="none")
    assert scene.board.settings is before
    assert "MODEL_MANAGER_DISK_FLOOR" in scene.board.settings_error
    assert "MODEL_DOWNLOAD_RETRY_ATTEMPTS" in scene.board.settings_error
    assert any("refused whole" in line for line in logged)


def test_what_was_mended_clears_the_complaint(scene: Stage, reload: Reload) -> None:
    reload(MODEL_MANAGER_DISK_FLOOR="-1")
    assert reload(MODEL_MANAGER_DISK_FLOOR="5")
    assert scene.board.settings_error == ""


def test_a_bad_assignment_file_is_no_reload(scene: Stage, reload: Reload) -> None:
    reload.wanting.file.write_text("{")
    assert not reload(MODEL_MANAGER_DISK_FLOOR="5")
    assert scene.board.settings.disk_floor == 5, "the settings themselves were fine"


def test_e7_no_token_is_told_by_a_refusal(scene: Stage, reload: Reload, logged: list[str]) -> None:
    token = "hf_CANARY" + "CANARY"
    reload(HF_TOKEN=token, CIVITAI_TOKEN="civitCANARY", MODEL_DOWNLOAD_CONCURRENCY="zero")
    reload(HF_TOKEN=token, CIVITAI_TOKEN="civitCANARY", REDIS_URL="redis://:pwCANARY@h/0")
    reload(HF_TOKEN=token, CIVITAI_TOKEN="civitCANARY")
    assert "CANARY" not in "".join(logged) + scene.board.settings_error


async def test_everybody_looks_again_after_a_reload(scene: Stage, reload: Reload) -> None:
    reload()
    bells = scene.board.bells
    assert all([await bell.wait(1) for bell in (bells.wanting, bells.gate, bells.fetching)])


async def test_a_ring_and_a_written_file_are_taken_up(scene: Stage, reload: Reload, monkeypatch) -> None:
    monkeypatch.setattr(module, "LOOK", 0.02)
    async with running(reload.reloading.run):
        scene.board.bells.reloading.ring()
        await until(lambda: len(reload.adopted) == 1)
        reload.wanting.file.write_text('{"workflows": ["flux"]}')
        await until(lambda: reload.wanting.assignment().workflows == ("flux",))
        reload.wanting.file.unlink()
        await until(lambda: reload.wanting.assignment().empty)


async def test_the_settings_file_is_watched(scene: Stage, monkeypatch, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("MODEL_MANAGER_DISK_FLOOR = 7\n")
    monkeypatch.setenv("MODEL_MANAGER_SETTINGS", str(file))
    monkeypatch.setattr(module, "LOOK", 0.02)
    reload = Reload(scene)
    watching = Reloading(scene.board, reload.wanting, lambda: _from(file, scene), reload.adopted.append)
    async with running(watching.run):
        await turns()
        file.write_text("MODEL_MANAGER_DISK_FLOOR = 77\n")
        await until(lambda: scene.board.settings.disk_floor == 77)
        file.write_text("MODEL_MANAGER_DISK_FLOOR = \n")
        await until(lambda: scene.board.settings_error)
        assert scene.board.settings.disk_floor == 77


def _from(file: Path, scene: Stage) -> Settings:
    return configuration.load(
        {
            "MODEL_MANAGER_SETTINGS": str(file),
            "MODEL_MANAGER_STATE_DIR": str(scene.state),
            "MODEL_MANAGER_STORE": str(scene.store),
            "MODEL_MANAGER_SETTLE_SECONDS": "0.1",
            "MACHINE_ID": "m1",
        }
    )


def test_a_reload_reads_what_stands_there_now_not_what_stood_at_the_start(scene: Stage, reload: Reload) -> None:
    assert reload(MODEL_MANAGER_DISK_FLOOR="1")
    assert reload(MODEL_MANAGER_DISK_FLOOR="2")
    assert [each.disk_floor for each in reload.adopted] == [1, 2]
