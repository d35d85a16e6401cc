from __future__ import annotations

from typing import Any

from model_manager.decisions.forecasting import needed_by, takes
from model_manager.facts.fleet import Missing, Needed
from model_manager.facts.identity import Pin
from model_manager.facts.mirror import made
from model_manager.facts.model import Assignment, Model, Requirements, Size, Source, Wanted, WorkflowNeed
from model_manager.facts.shelf import ShelfPath

HASH = "ab" * 32
OTHER = "cd" * 32
PATH = ShelfPath(folder="unet", name="x.safetensors")


def needed(pin: str = "", size: int | None = 10, path: ShelfPath = PATH) -> Needed:
    return Needed(path=path, size=size, pin=Pin.parse(pin))


def held(hash: str = HASH, verified: bool = True) -> Any:
    evidence = "pin" if verified else ""
    copy = made(("/m/unet/x.safetensors", 10, hash, verified, "unet", "x.safetensors", evidence))
    return {PATH.slot: [copy]}


def how(*arguments: Any) -> list[str]:
    return [each.how for each in takes(*arguments).missing]


def test_what_is_there_and_verified_takes_nothing() -> None:
    taken = takes([needed(f"sha256:{HASH}")], held(), (), None)
    assert taken.nothing
    assert taken.fits is True


def test_the_place_is_that_of_comfyui_whatever_its_spelling() -> None:
    spelt = ShelfPath(folder="diffusion_models", name="X.safetensors")
    assert takes([needed(path=spelt)], held(), (), None).nothing


def test_other_bytes_are_fetched() -> None:
    assert how([needed(f"sha256:{OTHER}")], held(), (), 100) == ["fetch"]
    assert how([needed(f"sha256:{OTHER}")], held(verified=False), (), 100) == ["fetch"]


def test_a_hash_that_nobody_can_compare_leaves_it_to_the_machine() -> None:
    assert how([needed(f"blake3:{OTHER}")], held(), (), 100) == []
    assert how([needed(OTHER)], held(), (), 100) == []


def test_what_nobody_judged_yet_is_verified_first() -> None:
    assert how([needed(f"sha256:{HASH}")], held(hash="", verified=False), (), 100) == ["verify"]


def test_bytes_that_lie_elsewhere_are_linked() -> None:
    taken = takes([needed(f"sha256:{HASH}")], {}, {HASH}, 0)
    assert taken.missing == (Missing(folder="unet", name="x.safetensors", size=10, how="link"),)
    assert (taken.bytes, taken.fits) == (0, True)


def test_room_is_compared_with_what_is_fetched() -> None:
    assert [takes([needed()], {}, (), room).fits for room in (9, 10, None)] == [False, True, None]


def test_unknown_sizes_are_counted_and_make_it_unknown() -> None:
    taken = takes([needed(size=None), needed()], {}, (), 10**9)
    assert (taken.bytes, taken.unknown, taken.fits) == (10, 1, None)


def test_a_workflow_needs_what_the_catalog_says_of_it() -> None:
    source = Source(url="https://h/x")
    model = Model(name="x", path=PATH, sources=(source,), size=Size(bytes=7, exact=True), pin=Pin.parse(HASH))
    lost = ShelfPath(folder="vae", name="y.safetensors")
    need = WorkflowNeed(name="flux", required=(PATH, lost))
    wanted = Wanted(model=model, required=True, needed_by=("workflow:flux",))
    understood = Requirements(generation="g", assignment=Assignment(), wanted=(wanted,), workflows=(need,))
    assert needed_by(need, understood) == (Needed(path=PATH, size=7, pin=Pin.parse(HASH)), Needed(path=lost))
