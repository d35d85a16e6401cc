"""Rules against a fleet: one notice when it begins, one when it ends, whoever dies in between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from model_manager.facts.event import DownloadFailed, DownloadVerified
from model_manager.facts.machine import Disk
from model_manager.fleet.notices.ledger import LEASE
from tests.bus.telling import Teller
from tests.fleet.alarms import Scene, said, scene
from tests.fleet.stage import files


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(tmp_path) as made:
        yield made


def failure(name: str, attempt: int, final: bool = False) -> DownloadFailed:
    return DownloadFailed(folder="loras", name=name, reason="no route", attempt=attempt, final=final, retry_at="")


def success(name: str) -> DownloadVerified:
    return DownloadVerified(folder="loras", name=name, size=1, sha256="", evidence="pin", fetched=1, seconds=1.0)


async def test_what_is_there_when_a_rule_is_made_is_nothing_new(stage: Scene) -> None:
    stage.hold("m1", *files("old.pt"))
    await stage.rule("model.appeared")
    await stage.rule("model.vanished")
    assert await stage.look() == []
    stage.hold("m1", *files("old.pt", "new.pt"))
    assert said(await stage.look()) == [("begin", ["loras/new.pt"])]
    assert await stage.look() == []


async def test_three_hundred_models_that_go_with_a_machine_are_one_notice(stage: Scene) -> None:
    stage.hold("m1", *files(*(f"{n:03}.pt" for n in range(300)), "shared.pt"))
    stage.hold("m2", *files("shared.pt"))
    await stage.rule("model.vanished")
    await stage.look()
    stage.hold("m1")
    (notice,) = await stage.look()
    assert (notice.edge, notice.body["count"], len(notice.body["subjects"])) == ("begin", 300, 50)
    assert notice.body["text"].startswith("nobody has it any more: loras/000.pt; ")
    assert notice.body["text"].endswith("and 297 more")
    stage.hold("m3", *files("007.pt"))
    assert said(await stage.look()) == [("end", ["loras/007.pt"])]
    stage.hold("m3")
    assert said(await stage.look()) == [("begin", ["loras/007.pt"])]


async def test_a_group_of_machines_has_a_model_while_one_of_them_has_it(stage: Scene) -> None:
    stage.hold("gpu-1", *files("a.pt", "b.gguf"))
    stage.hold("gpu-2", *files("a.pt"))
    stage.hold("cpu-1", *files("a.pt"))
    await stage.rule("model.vanished", machines=("gpu-*",), models=("loras/*.pt",))
    await stage.look()
    stage.hold("gpu-1")
    assert await stage.look() == []
    stage.hold("gpu-2")
    assert said(await stage.look()) == [("begin", ["loras/a.pt"])]


async def test_a_burst_is_gathered_and_what_undoes_itself_is_not_told(stage: Scene) -> None:
    stage.hold("m1", *files("a.pt"))
    await stage.rule("model.vanished", gather=10.0, cooldown=100.0)
    await stage.look()
    stage.hold("m1")
    assert await stage.look() == []
    stage.hold("m1", *files("a.pt"))
    assert await stage.look(20) == []
    stage.hold("m1")
    await stage.look()
    assert said(await stage.look(10)) == [("begin", ["loras/a.pt"])]
    stage.hold("m1", *files("a.pt"))
    assert await stage.look(50) == []
    assert said(await stage.look(60)) == [("end", ["loras/a.pt"])]


async def test_a_disk_at_its_limit_is_told_of_once(stage: Scene) -> None:
    await stage.rule("disk.low", below_bytes=100, machines=("m*",))
    for free, expected in ((101, []), (99, ["begin"]), (105, []), (99, []), (111, ["end"])):
        stage.beat("m1", "other", disks=(Disk(root="/m dels", free=free, total=1000, floor=0),))
        assert [each.edge for each in await stage.look()] == expected, free


async def test_a_disk_of_a_machine_that_is_not_heard_stays_as_it_was(stage: Scene) -> None:
    await stage.rule("disk.low", below_percent=50)
    stage.beat("m1", disks=(Disk(root="/m", free=1, total=1000, floor=0),))
    assert said(await stage.look()) == [("begin", ["m1 /m"])]
    stage.beat()
    assert await stage.look() == []


async def test_a_silent_machine_is_told_of_after_its_time_and_again_when_it_is_heard(stage: Scene) -> None:
    await stage.rule("machine.silent", seconds=30)
    stage.beat("m1", "m2")
    await stage.look()
    for _ in range(3):
        stage.beat("m2")
        assert await stage.look(9) == []
    stage.beat("m2")
    assert said(await stage.look(9)) == [("begin", ["m1"])]
    stage.beat("m1", "m2")
    assert said(await stage.look()) == [("end", ["m1"])]


async def test_a_machine_that_says_goodbye_is_not_silent(stage: Scene) -> None:
    await stage.rule("machine.silent", seconds=5)
    stage.beat("m1")
    await stage.look()
    stage.tell(Teller("m1").bye())
    stage.beat()
    for _ in range(5):
        assert await stage.look(9) == []


async def test_l7_while_redis_is_away_nobody_becomes_silent(stage: Scene) -> None:
    await stage.rule("machine.silent", seconds=30)
    stage.beat("m1")
    await stage.look()
    stage.view.lost("it is gone")
    assert await stage.look(3_600) == []
    stage.view.reached()
    assert await stage.look(9) == []
    stage.beat("m1")
    assert await stage.look(9) == []


async def test_a_download_is_told_of_when_it_failed_often_enough_or_for_good(stage: Scene) -> None:
    await stage.rule("download.failed", attempts=3)
    await stage.look()
    one, two = Teller("m1"), Teller("m2")
    stage.tell(one.tell(failure("a b.pt", 1)), one.tell(failure("a b.pt", 2)))
    assert await stage.look() == []
    stage.tell(one.tell(failure("a b.pt", 3)), two.tell(failure("c.pt", 1, final=True)))
    (notice,) = found = await stage.look()
    assert said(found) == [("begin", ["m1 loras/a b.pt", "m2 loras/c.pt"])]
    assert notice.body["text"] == "download failed: loras/a b.pt on m1: no route; loras/c.pt on m2: no route"
    stage.tell(one.tell(failure("a b.pt", 4)))
    assert await stage.look() == []
    stage.tell(one.tell(success("a b.pt")))
    (over,) = await stage.look()
    assert over.body["subjects"] == [
        {"key": "m1 loras/a b.pt", "machine_id": "m1", "model": "loras/a b.pt", "why": "loras/a b.pt on m1"}
    ]


async def test_jobs_that_wait_for_one_model_are_one_notice(stage: Scene) -> None:
    await stage.rule("job.waiting", seconds=60)
    stage.waits = {"loras/my lora.pt": (stage.wall(), 500)}
    assert await stage.look(50) == []
    assert said(await stage.look(50)) == [("begin", ["loras/my lora.pt"])]
    stage.waits = {}
    (over,) = await stage.look(50)
    assert (over.edge, over.body["subjects"][0]["model"]) == ("end", "loras/my lora.pt")


async def test_of_several_aggregators_one_tells_and_another_takes_over(stage: Scene) -> None:
    stage.hold("m1", *files("a.pt"))
    await stage.rule("model.vanished")
    first, second = stage.alerting, stage.another()
    await first.once()
    await second.once()
    assert (first.leads, second.leads) == (True, False)
    stage.hold("m1")
    for each in (second, first, second, first):
        await each.once()
    assert len(await stage.ledger.notices(0, 10)) == 1
    stage.now.seconds += LEASE + 1  # the first one was killed
    stage.hold("m1", *files("a.pt"))
    await second.once()
    assert second.leads
    assert said(await stage.ledger.notices(0, 10)) == [("begin", ["loras/a.pt"]), ("end", ["loras/a.pt"])]


async def test_d4_what_happened_while_no_aggregator_ran_is_told_by_the_next(stage: Scene) -> None:
    stage.hold("m1", *files("a.pt"))
    stage.tell(Teller("m9").hello())
    for kind in ("model.vanished", "download.failed", "machine.silent"):
        await stage.rule(kind, seconds=60)
    stage.beat("m1", "m2")
    await stage.look()
    stage.hold("m1")
    stage.beat("m1")
    teller = Teller("m1")
    stage.tell(teller.tell(failure("b.pt", 5)))
    stage.now.seconds += 3_600
    stage.alerting = stage.another()
    stage.beat("m1")
    assert said(await stage.look()) == [("begin", ["m1 loras/b.pt"]), ("begin", ["loras/a.pt"])]
    for _ in range(7):
        stage.beat("m1")
        await stage.look(10)
    assert said(await stage.ledger.notices(2, 10)) == [("begin", ["m2"])]


async def test_events_that_were_trimmed_meanwhile_are_owned_up_to(stage: Scene) -> None:
    stage.tell(Teller("m1").hello())
    await stage.rule("download.failed")
    await stage.look()
    stage.stream = [("7-0", Teller("m1").hello())]
    stage.now.seconds += LEASE + 1
    stage.alerting = stage.another()
    assert [each.edge for each in await stage.look()] == ["gap"]


async def test_a_rule_that_was_changed_or_switched_off_forgets(stage: Scene) -> None:
    stage.hold("m1", *files("a.pt", "b.gguf"))
    kept = await stage.rule("model.vanished", models=("*.pt",))
    await stage.look()
    await stage.ledger.change(replace(kept.rule, models=("*.gguf",)), kept.secret, kept.version)
    assert await stage.look() == []
    stage.hold("m1")
    assert said(await stage.look()) == [("begin", ["loras/b.gguf"])]
    (kept,) = await stage.ledger.rules()
    await stage.ledger.change(replace(kept.rule, enabled=False), kept.secret, kept.version)
    stage.hold("m1", *files("b.gguf"))
    assert await stage.look() == []


async def test_a_ledger_that_cannot_be_used_holds_nothing_else_up(stage: Scene) -> None:
    await stage.ledger.close()
    stage.ledger.path.write_bytes(b"no database at all, but long enough to be one" * 100)
    ledger = stage.opened()
    alerting = stage.another(ledger)
    await alerting._safely()
    assert not alerting.leads
    ledger.path.unlink()
    await alerting._safely()
    assert alerting.leads
    await ledger.close()
