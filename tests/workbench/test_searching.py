from __future__ import annotations

from collections.abc import Sequence

from model_manager.errors import CatalogUnreachable, ModelManagerError, NotFound, OriginUnavailable
from model_manager.facts.model import Model
from model_manager.facts.resolution import Wish
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.sourcing import Find
from model_manager.workbench.searching import Searching

WISH = Wish(name="sub/x.pt", folders=("vae",))
MODEL = Model(name="x.pt", path=ShelfPath(folder="vae", name="x.pt"), sources=())
FIND = Find(teller="civitai", url="https://c.example/x", name="x.pt")


class Service:
    def __init__(self, answer: tuple[Find, ...] | ModelManagerError, host: str = "one") -> None:
        self.answer = answer
        self.host = host
        self.asked: list[str] = []

    async def finds(self, name: str, queries: Sequence[str]) -> tuple[Find, ...]:
        self.asked.append(name)
        if isinstance(self.answer, ModelManagerError):
            raise self.answer
        return self.answer


class Catalog:
    def __init__(self, answer: Model | ModelManagerError) -> None:
        self.answer = answer
        self.asked = 0

    async def models(self, names: Sequence[str]) -> dict[str, Model | ModelManagerError]:
        self.asked += 1
        return dict.fromkeys(names, self.answer)


async def test_without_being_told_so_only_the_catalog_is_asked() -> None:
    service = Service((FIND,))
    heard = await Searching((service,), Catalog(MODEL)).of(WISH, online=False)
    assert (heard.catalog, heard.finds, service.asked) == (MODEL, (), [])


async def test_everybody_is_asked_by_the_name_of_the_file_alone() -> None:
    one, two = Service((FIND,)), Service((), "two")
    heard = await Searching((one, two), None).of(WISH, online=True)
    assert (heard.finds, one.asked, two.asked) == ((FIND,), ["x.pt"], ["x.pt"])


async def test_who_fails_once_is_not_asked_again_and_the_others_are() -> None:
    bad, good = Service(OriginUnavailable(host="one", name="x", why="it is down")), Service((FIND,), "two")
    searching = Searching((bad, good), None)
    for _ in range(2):
        heard = await searching.of(WISH, online=True)
        assert heard.finds == (FIND,)
        assert "it is down" in heard.doubts[0]
    assert (len(bad.asked), len(good.asked)) == (1, 2)


async def test_a_catalog_that_is_away_is_said_and_one_that_does_not_know_is_not() -> None:
    away = Catalog(CatalogUnreachable(host="c", why="it is down"))
    searching = Searching((), away)
    assert (await searching.of(WISH, online=False)).doubts
    assert (await searching.of(WISH, online=False)).doubts
    assert away.asked == 1
    assert (await Searching((), Catalog(NotFound(where="c", name="x"))).of(WISH, online=False)).doubts == ()
