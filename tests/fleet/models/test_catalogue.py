from __future__ import annotations

import random

from model_manager.bus.holding import Holders
from model_manager.facts.mirror import Copy, Mirror
from model_manager.facts.shelf import ShelfPath
from model_manager.fleet.models.catalogue import FEW, Catalogue
from model_manager.fleet.shapes import ModelCounts
from tests.bus.telling import Teller, entry
from tests.fleet.made import mirror

Fleet = dict[str, Mirror]

NOTHING = mirror()


def asked(fleet: Fleet, place: str) -> list[tuple[Copy, set[str]]]:
    found: dict[Copy, set[str]] = {}
    for name, each in fleet.items():
        for copy in each.entries.values():
            if f"{copy.folder}/{copy.name}" == place:
                found.setdefault(copy, set()).add(name)
    return list(found.items())


def machines(fleet: Fleet, place: str) -> int:
    return len(set().union(*(who for _, who in asked(fleet, place))))


def test_after_any_changes_it_says_what_a_whole_count_would() -> None:
    """Changes by event, by hash and by forgetting, in any order."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    catalogue, fleet = Catalogue(), Fleet()
    holders = Holders(catalogue.touched)
    for _ in range(300):
        name = f"m{chance.randrange(4)}"
        before = fleet.get(name, NOTHING)
        held = [entry(f"{n}.safetensors", size=n + 1) for n in range(8) if chance.random() < 0.5]
        after = None if chance.random() < 0.1 else mirror(*held, machine_id=name)
        if after is None:
            fleet.pop(name, None)
        else:
            fleet[name] = after
        holders.replace(name, before.entries, (after or NOTHING).entries)
        if chance.random() < 0.2:
            catalogue.count_some(lambda place: asked(fleet, place), chance.randrange(4))
        if chance.random() < 0.3:
            rows = catalogue.rows(lambda place: asked(fleet, place))
            whole = {f"{c.folder}/{c.name}" for each in fleet.values() for c in each.entries.values()}
            assert set(rows) == whole
            assert all(row.machines == machines(fleet, place) for place, row in rows.items())
            assert catalogue.order(lambda place: asked(fleet, place)) == sorted(whole)
            assert catalogue.single == {place for place in whole if machines(fleet, place) == 1}
            assert catalogue.totals == ModelCounts(
                distinct=len(whole),
                copies=sum(len(who) for place in whole for _, who in asked(fleet, place)),
                single=len(catalogue.single),
                bytes=sum(copy.size * len(who) for place in whole for copy, who in asked(fleet, place)),
            )


def test_an_event_touches_only_its_own_models() -> None:
    catalogue, teller = Catalogue(), Teller()
    counted: list[str] = []
    a, b = entry("a.safetensors"), entry("b.safetensors")

    def who_has(place: str) -> list[tuple[Copy, set[str]]]:
        counted.append(place)
        return asked({"m1": mirror(a, b)}, place)

    entries, holders = mirror(a).entries, Holders(catalogue.touched)
    holders.replace("m1", {}, entries)
    catalogue.rows(who_has)
    holders.lay("m1", entries, holders.laid(teller.appear(b)))
    holders.lay("m1", entries, holders.laid(teller.change(b)))
    catalogue.rows(who_has)
    catalogue.rows(who_has)
    assert counted == ["loras/a.safetensors", "loras/b.safetensors"]


def test_places_are_found_whatever_they_are_spelt_like() -> None:
    catalogue = Catalogue()
    fleet = {"m1": mirror(entry("X.safetensors", "unet")), "m2": mirror(entry("x.safetensors", "diffusion_models"))}
    touched = [copy.place for each in fleet.values() for copy in each.entries.values()]
    catalogue.touched.update(touched)
    catalogue.rows(lambda place: asked(fleet, place))
    path = ShelfPath(folder="unet", name="x.safetensors")
    assert sorted(catalogue.places(path)) == ["diffusion_models/x.safetensors", "unet/X.safetensors"]
    catalogue.touched.update(touched)
    catalogue.rows(lambda place: [])
    assert not catalogue.places(path)


def test_the_order_is_another_object_whenever_it_is_another_list_however_many_come_and_go() -> None:
    catalogue, chance = Catalogue(), random.Random(3)
    held: list[str] = []
    for turn in range(20):
        before, many = list(held), (3, FEW + 20)[turn % 2]
        held = [name for name in held if chance.random() < 0.9] + [f"{turn}-{n}.pt" for n in range(many)]
        fleet = {"m1": mirror(*(entry(name) for name in held))}
        catalogue.touched.update(f"loras/{name}" for name in {*before} ^ {*held})
        seen, copy = catalogue._order, list(catalogue._order)
        order = catalogue.order(lambda place, fleet=fleet: asked(fleet, place))  # type: ignore[misc]
        assert order == sorted(f"loras/{name}" for name in held)
        assert seen == copy
        assert order is not seen
        assert order is catalogue.order(lambda place: [])


def test_a_row_that_stays_what_it_was_is_no_change() -> None:
    catalogue, one = Catalogue(), mirror(entry("a.pt"))
    catalogue.touched.add("loras/a.pt")
    catalogue.rows(lambda place: asked({"m1": one}, place))
    version = catalogue.journal.version
    catalogue.touched.add("loras/a.pt")
    catalogue.rows(lambda place: asked({"m1": one}, place))
    assert (catalogue.journal.version, catalogue.counts) == (version, 2)
