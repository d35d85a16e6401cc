from __future__ import annotations

from typing import Any

import pytest

from model_manager.decisions.needing import derived, label, meant, names, offered, with_flows
from model_manager.decisions.requiring import requirements
from model_manager.decisions.resolving import resolved, wishes
from model_manager.decisions.workflows.referring import referred
from model_manager.facts.description import Address
from model_manager.facts.disk import Fingerprint
from model_manager.facts.flow import Flow
from model_manager.facts.identity import Pin
from model_manager.facts.known import Known
from model_manager.facts.model import Assignment, Described, Model, Requirements, Size, Source, Undescribed
from model_manager.facts.resolution import Layout, Wish
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.workflow import Workflow
from tests.decisions.workflows.drawing import node, prompt, ui

URL = "https://example.com/files/x.safetensors"
SHA = "a" * 64
LAYOUT = Layout(trees=("/m",), assumed=True)


def listed(name: str, url: str, directory: str = "vae") -> dict[str, Any]:
    return {"properties": {"models": [{"name": name, "url": url, "directory": directory}]}}


def known(place: str) -> Known:
    folder, _, name = place.partition("/")
    mark = Fingerprint(device=1, inode=hash(place) % 1000, size=5, mtime_ns=1)
    return Known(content_id=hash(place), file=f"/m/{place}", root="/m", folder=folder, name=name, fingerprint=mark)


def model(place: str, *, pin: str = SHA, **more: Any) -> Model:
    path = ShelfPath.parse(place, place.rpartition("/")[2])
    sources = (Source(url="https://catalog.example/it"),)
    return Model(name=path.name, path=path, sources=sources, pin=Pin.parse(f"sha256:{pin}"), **more)


def needs(
    document: Any,
    *here: str,
    catalog: tuple[Model, ...] = (),
    once: tuple[str, ...] = (),
    workflow: Workflow | None = None,
) -> Requirements:
    """What the file `f.json` needs of a machine that holds these."""
    read = workflow or referred(document)
    files = [known(place) for place in here]
    found = resolved(read, files, LAYOUT)
    addresses = tuple(address for url in once if (address := Address.parse(url)))
    gone = {wish: addresses for each in read.references for wish in wishes(read, each)}
    by_name = {each.path.name.rpartition("/")[2]: each for each in catalog}
    flow = Flow(name="f.json", file="/f.json", workflow=read)
    described = with_flows(
        Described(models=tuple(by_name.items())), [derived(flow, found, files, by_name, gone if once else {})]
    )
    return requirements(Assignment(workflows=("f.json",)), described)


def wanted(said: Requirements) -> dict[str, tuple[bool, list[str]]]:
    return {str(each.model.path): (each.required, [s.url for s in each.model.sources]) for each in said.wanted}


def test_what_a_workflow_names_is_required_and_comes_from_where_it_says() -> None:
    said = needs(ui(node(1, "VAELoader", "x.safetensors", **listed("x.safetensors", URL))))
    assert wanted(said) == {"vae/x.safetensors": (True, [URL])}
    assert (said.complete, said.workflows[0].unknown, said.wanted[0].needed_by) == (True, None, ("workflow:f.json",))


def test_what_does_not_take_part_is_not_needed() -> None:
    muted = node(1, "VAELoader", "x.safetensors") | {"mode": 2}
    assert wanted(needs(ui(muted, node(2, "VAELoader", "y.safetensors")))) == {"vae/y.safetensors": (True, [])}


def test_the_catalog_brings_its_hash_size_dependencies_and_place() -> None:
    record = model("unet/x.safetensors", size=Size(bytes=7, exact=True), depends=("other",))
    said = needs(ui(node(1, "UNETLoader", "x.safetensors", "default")), catalog=(record,))
    (only,) = said.wanted
    assert (str(only.model.path), only.model.pin, only.model.size) == ("unet/x.safetensors", record.pin, record.size)
    assert only.model.depends == ("other",)


def test_a_record_of_the_same_name_for_another_folder_is_another_model() -> None:
    said = needs(ui(node(1, "VAELoader", "x.safetensors")), catalog=(model("loras/x.safetensors"),))
    assert wanted(said) == {"vae/x.safetensors": (True, [])}


def test_a_place_that_was_good_once_is_taken_only_with_a_promised_hash() -> None:
    document = ui(node(1, "VAELoader", "x.safetensors"))
    assert wanted(needs(document, once=(URL,))) == {"vae/x.safetensors": (True, [])}
    read = referred(document)
    assert offered(resolved(read, (), LAYOUT)[0].rulings[0], "", {}, ())[:1] == ()


def test_a_file_that_lies_in_another_folder_of_the_search_is_the_one() -> None:
    record = ui(node(1, "UNETLoader", "x.safetensors", "default"))
    assert list(wanted(needs(record, "unet/x.safetensors"))) == ["unet/x.safetensors"]


def test_a_guess_never_holds_the_gate_and_is_said() -> None:
    said = needs(prompt(n1=("SomeOddNode", {"thing": "x.safetensors"})))
    assert (wanted(said), said.complete) == ({}, True)
    assert [(each.blocks, "looks like a model" in each.why) for each in said.problems] in (
        [(False, True)],
        [(False, False)],
    )


def test_what_could_not_be_read_is_never_complete() -> None:
    read = referred({"1": {"class_type": "VAELoader", "inputs": {"vae_name": "x.safetensors"}}, "2": {"inputs": {}}})
    assert not read.complete
    said = needs(None, workflow=read)
    assert list(wanted(said)) == ["vae/x.safetensors"]
    assert (said.complete, bool(said.workflows[0].unknown)) == (False, True)


def test_a_file_that_never_could_be_read_is_unknown() -> None:
    flow = derived(Flow(name="f.json", file="/f.json", why="it is broken"), (), (), {}, {})
    said = requirements(Assignment(workflows=("f.json",)), with_flows(Described(), [flow]))
    assert flow.record == Undescribed(name="f.json", why="it is broken")
    assert (said.complete, said.workflows[0].unknown) == (False, "it is broken")


@pytest.mark.parametrize("name", ["a:b.safetensors", "x.exe", "con.safetensors"])
def test_k1_a_name_that_could_leave_the_shelves_is_never_wanted(name: str) -> None:
    said = needs(ui(node(1, "VAELoader", name, **listed(name, URL))))
    assert (wanted(said), said.complete) == ({}, False)


def test_a_directory_is_there_with_its_files_or_somebody_has_to_put_it_there() -> None:
    document = ui(node(1, "DiffusersLoader", "pipe"))
    here = ("diffusers/pipe/unet/a.safetensors", "diffusers/pipe/vae/b.safetensors")
    assert list(wanted(needs(document, *here, "diffusers/other/c.safetensors"))) == list(here)
    absent = needs(document)
    assert (absent.complete, "put the directory there" in str(absent.workflows[0].unknown)) == (False, True)


def test_a_name_without_an_ending_gets_that_of_the_file_here_or_of_its_source() -> None:
    document = ui(node(1, "CLIPTextEncode", "a cat, embedding:fine"))
    assert list(wanted(needs(document, "embeddings/fine.pt"))) == ["embeddings/fine.pt"]
    assert "ending" in str(needs(document).workflows[0].unknown)


def test_a_catalog_is_asked_for_files_without_their_folders() -> None:
    read = referred(ui(node(1, "VAELoader", "a/x.safetensors"), node(2, "VAELoader", "b/x.safetensors")))
    assert names([read]) == ("x.safetensors",)


def test_a_promise_of_the_workflow_is_not_replaced_by_the_catalogs() -> None:
    mine = Wish(name="x.safetensors", folders=("vae",), pin=Pin.parse(f"sha256:{'b' * 64}"))
    found, record = meant(mine, {"x.safetensors": model("vae/x.safetensors")})
    assert (found.pin, record is None) == (mine.pin, False)
    assert meant(Wish(name="x.safetensors"), {"x.safetensors": model("vae/x.safetensors")})[0].folders == ("vae",)
    assert label(Wish(name="x")) == "?/x"
