"""The references of one node."""

from __future__ import annotations

from typing import Any

from model_manager.decisions.workflows.collecting import Collecting
from model_manager.facts.graph import Budget, Listed, Node, Value
from model_manager.facts.loaders import loader_of
from model_manager.facts.workflow import Reference, Spot


def collected(
    kind: str, listed: tuple[Listed, ...] = (), why: str = "", budget: int = 1000, **inputs: Any
) -> Collecting:
    values = tuple(Value(input=name, content=content, spots=(Spot(keys=(name,)),)) for name, content in inputs.items())
    node = Node(path=("1",), type=kind, values=values, listed=listed, why=why)
    return Collecting(node, loader_of(kind), None, Budget(values=budget))


def found(kind: str, **more: Any) -> list[Reference]:
    return collected(kind, **more).references()


def states(references: list[Reference]) -> dict[str, str]:
    """Name → why it does not count, '' when it does."""
    return {name: "" if each.active else each.reason for each in references for name in each.names}


def test_what_a_node_lists_is_told_of_what_it_selects() -> None:
    listed = (
        Listed(name="v.pt", folder="vae", url="https://h.test/v"),
        Listed(name="w.pt", folder="vae", url="https://h.test/w"),
    )
    selected, other = found("VAELoader", listed=listed, vae_name="sub/v.pt")
    assert (selected.url, selected.active) == ("https://h.test/v", True)
    assert (other.names, other.active, other.evidence) == (("w.pt",), False, "listed")


def test_a_second_folder_that_is_listed_comes_first() -> None:
    (one,) = found("LTXVAudioVAELoader", listed=(Listed(name="a.pt", folder="vae"),), ckpt_name="a.pt")
    assert one.folders == ("vae", "checkpoints")


def test_rows_count_as_their_switches_say() -> None:
    stack = {"switch_1": "Off", "lora_name_1": "a.pt", "switch_2": "On", "lora_name_2": "b.pt", "lora_name_3": "None"}
    assert states(found("CR LoRA Stack", **stack)) == {"a.pt": "switch_1 is off", "b.pt": ""}
    rows = {"toggle": True, "num_loras": 1, "lora_1_name": "a.pt", "lora_2_name": "b.pt"}
    assert states(found("easy loraStack", **rows)) == {"a.pt": "", "b.pt": "only the first 1 rows count"}
    assert set(states(found("easy loraStack", **rows | {"toggle": False})).values()) == {"toggle is off"}


def test_rows_of_dicts_and_wrapped_lists_are_walked() -> None:
    row = {"on": True, "lora": "a.pt", "strength": 1}
    assert states(found("Power Lora Loader (rgthree)", lora_1=row, lora_2=row | {"on": False, "lora": "b.pt"})) == {
        "a.pt": "", "b.pt": "the row is switched off",
    }  # fmt: skip
    loras = {"__value__": [{"name": "style", "active": True}, {"name": "idle", "active": False}]}
    references = found("Lora Loader (LoraManager)", text="<lora:style:1>", loras=loras)
    assert {(each.names[0], each.kind, each.active) for each in references} == {
        ("style", "stem", True),
        ("idle", "stem", False),
    }
    (deep,) = found("Any", data=[{"x": [{"lora_name": "c.pt"}]}])
    assert (deep.folder, deep.spots[0].keys) == ("loras", ("data", 0, "x", 0, "lora_name"))


def test_text_that_is_shown_or_written_is_no_reference() -> None:
    assert found("ShowText|pysssss", text="embedding:a x.pt") == []
    assert found("CheckpointSave", filename_prefix="x.safetensors") == []


def test_what_a_node_fetches_by_itself_is_an_oddity() -> None:
    node = collected("DownloadAndLoadFlorence2Model", model="microsoft/Florence-2-base", precision="fp16")
    assert node.references() == []
    assert "microsoft/Florence-2-base" in node.oddities[0].why
    muted = collected("DownloadAndLoadFlorence2Model", why="the node is muted", model="microsoft/Florence-2-base")
    assert (muted.references(), muted.oddities) == ([], [])


def test_tags_of_comfyuis_own_encoder_take_no_part_and_embeddings_are_certain() -> None:
    references = found("CLIPTextEncode", text="embedding:e <lora:l:1>")
    assert [(each.names, each.confidence, each.active) for each in references] == [
        (("e",), "certain", True),
        (("l",), "guess", False),
    ]
    assert references[0].spots == (Spot(keys=("text",), span=(10, 11)),)
    assert "ignores it" in references[1].reason


def test_tags_that_nobody_loads_take_no_part() -> None:
    value = Value(input="text", content="a <lora:l:1>, embedding:e", spots=())
    node = Node(path=("1",), type="Text Multiline", values=(value,))
    states_of = {
        deaf: {each.names[0]: each.active for each in Collecting(node, None, None, Budget(), deaf).references()}
        for deaf in (True, False)
    }
    assert states_of == {True: {"l": False, "e": True}, False: {"l": True, "e": True}}


def test_one_row_is_selected() -> None:
    rows = {"toggle": True, "select": 2, "num_loras": 3, "lora_1_name": "a.pt", "lora_2_name": "b.pt"}
    assert states(found("easy loraSwitcher", **rows)) == {"a.pt": "row 2 is the one that counts", "b.pt": ""}


def test_a_text_that_repeats_its_rows_is_not_read_and_one_without_rows_is() -> None:
    rows = [{"name": "a", "active": True}]
    assert states(found("Lora Loader (LoraManager)", text="<lora:a:1> <lora:off:1>", loras=rows)) == {"a": ""}
    assert states(found("Lora Loader (LoraManager)", text="<lora:old:1>")) == {"old": ""}


def test_a_model_where_the_table_has_none_is_one_of_a_loader_with_one_folder() -> None:
    (moved,) = found("WanVideoVAELoader", precision="v.safetensors")
    (renamed,) = found("WanVideoModelLoader", unheard_of="m.gguf")
    (named,) = found("WanVideoModelLoader", lora_name="l.safetensors")
    assert [each.folder for each in (moved, renamed, named)] == ["vae", "diffusion_models", "loras"]
    (several,) = found("Efficient Loader", clip_skip="x.safetensors")
    assert several.evidence != "loader"


def test_an_address_comes_with_what_is_fetched() -> None:
    url = "https://huggingface.co/a/b/resolve/main/f.safetensors"
    (one,) = found("EmProps_Asset_Downloader", url=url, save_to="vae", filename="f.safetensors")
    assert (one.url, one.folder, one.evidence, one.confidence) == (url, "vae", "download", "certain")


def test_a_value_held_twice_is_one_reference_with_both_spots() -> None:
    value = Value(input="vae_name", content="v.pt", spots=(Spot(keys=("a",)),))
    other = Value(input="vae_name", content="v.pt", spots=(Spot(keys=("b",)),))
    node = Node(path=("1",), type="VAELoader", values=(value, other))
    (one,) = Collecting(node, loader_of("VAELoader"), None, Budget()).references()
    assert one.spots == (Spot(keys=("a",)), Spot(keys=("b",)))


def test_a_spent_budget_ends_it() -> None:
    assert len(found("Any", budget=100, **{f"n{n}": f"{n}.pt" for n in range(100)})) < 10


def test_no_secret_of_a_node_that_fetches_comes_along() -> None:
    values = {
        "url": "https://civitai.com/api/download/models/5/f.safetensors?token=CANARY",
        "save_to": "loras",
        "token": "CANARY",
    }
    for more in ({}, {"filename": "f.safetensors"}):
        node = collected("EmProps_Asset_Downloader", **values, **more)
        assert "CANARY" not in repr((node.references(), node.oddities))


def test_reasons_stay_on_one_line() -> None:
    (one,) = found("Odd\nType\u202e", x="a.pt")
    assert one.reason.isprintable()
