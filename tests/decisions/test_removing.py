from __future__ import annotations

from dataclasses import replace

from model_manager.decisions.removing import refusal, wanted_at
from model_manager.facts.disk import Fingerprint, Held
from model_manager.facts.model import Assignment, Model, Requirements, Wanted
from model_manager.facts.shelf import ShelfPath

PATH = ShelfPath(folder="unet", name="x.safetensors")
HELD = Held(
    file="/models/unet/x.safetensors",
    root="/models",
    shelf=PATH,
    fingerprint=Fingerprint(device=1, inode=1, size=1, mtime_ns=1),
)
WANTED = Wanted(model=Model(name="x", path=PATH, sources=()), required=True, needed_by=("workflow:flux",))
NEEDS = Requirements(generation="g", assignment=Assignment(), wanted=(WANTED,))


def said(requirements: Requirements | None, *, held: Held = HELD, force: bool = False) -> str:
    return refusal(held, "/models", requirements, wanted_at(requirements).get(held.shelf.slot), force=force)


def test_what_an_assignment_requires_stays_unless_it_is_forced() -> None:
    assert "required by workflow:flux" in said(NEEDS)
    assert said(NEEDS, force=True) == ""
    assert said(replace(NEEDS, wanted=(replace(WANTED, required=False),))) == ""


def test_the_same_place_under_its_other_name_is_required_too() -> None:
    held = replace(HELD, shelf=ShelfPath(folder="diffusion_models", name="X.safetensors"))
    assert "required" in said(NEEDS, held=held)


def test_unknown_is_not_unwanted() -> None:
    assert "not known yet" in said(None)
    assert "not known yet" in said(replace(NEEDS, wanted=(), complete=False))
    assert said(replace(NEEDS, wanted=())) == ""


def test_other_directories_are_only_read_whatever_is_forced() -> None:
    assert "only read" in said(NEEDS, held=replace(HELD, root="/mnt"), force=True)
