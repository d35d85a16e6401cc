from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_manager.decisions.resolving import keys, resolve, resolved, spelt, wishes
from model_manager.facts.disk import Fingerprint
from model_manager.facts.identity import Digests, Pin
from model_manager.facts.known import Known
from model_manager.facts.resolution import Extra, Layout, Ruling, Wish
from model_manager.facts.workflow import NodeType, Reference, Workflow

COMFY = Layout(trees=("/comfy/models",), extras=(Extra(category="loras", path="/nas/loras"),))


def sha(content: str) -> str:
    return content.encode().hex().ljust(64, "0")


def known(file: str, content: str = "", *, size: int = 100, quick: str = "", **more: object) -> Known:
    """A file below `models/<folder>/`, or below `/nas/loras/`. `content`: what it was found to hold; '' is unread."""
    folder, _, name = file.partition("/models/")[2].partition("/")
    if file.startswith("/nas/loras/"):
        folder, name = "loras", file.removeprefix("/nas/loras/")
    found = Known(
        content_id=hash(content or file),
        file=file,
        root=file.partition("/models/")[0] + "/models",
        folder=folder,
        name=name,
        fingerprint=Fingerprint(device=1, inode=hash(file), size=size, mtime_ns=1),
        digests=Digests(sha256=sha(content)) if content else None,
        quick=quick,
    )
    return replace(found, **more)  # type: ignore[arg-type]


def wish(name: str = "a.safetensors", folder: str = "loras", **more: object) -> Wish:
    return replace(Wish(name=name, text=name, folders=(folder,) if folder else ()), **more)  # type: ignore[arg-type]


def pin(content: str) -> Pin:
    return Pin(algorithms=("sha256",), hex=sha(content))


def one(asked: Wish, *files: Known, layout: Layout = COMFY) -> Ruling:
    (ruling,) = resolve([asked], files, layout)
    return ruling


def test_the_exact_name_in_its_folder_loads() -> None:
    ruling = one(wish(), known("/comfy/models/loras/a.safetensors"))
    assert ruling.good
    assert ruling.loaded is not None
    assert ruling.candidates == ()


def test_of_two_roots_the_first_one_that_has_it_is_loaded() -> None:
    first, second = known("/comfy/models/loras/a.safetensors", "one"), known("/nas/loras/a.safetensors", "two")
    assert one(wish(), second, first).loaded == first
    default = Layout(trees=COMFY.trees, extras=(Extra(category="loras", path="/nas/loras", first=True),))
    assert one(wish(), second, first, layout=default).loaded == second


def test_a_default_that_is_there_already_moves_to_the_front() -> None:
    layout = Layout(
        trees=("/comfy/models",),
        extras=(
            Extra(category="loras", path="/b"),
            Extra(category="loras", path="/b", first=True),
            Extra(category="loras", path="/b"),
        ),
    )
    assert layout.directories("loras") == ("/b", "/comfy/models/loras")


@pytest.mark.parametrize(
    ("category", "places"),
    [
        ("diffusion_models", ("/m/unet", "/m/diffusion_models", "/out/diffusion_models")),
        ("text_encoders", ("/m/text_encoders", "/m/clip", "/out/clip")),
        ("controlnet", ("/m/controlnet", "/m/t2i_adapter")),
        ("ipadapter", ("/m/ipadapter",)),
    ],
)
def test_the_order_of_search_is_comfyuis(category: str, places: tuple[str, ...]) -> None:
    assert Layout(trees=("/m",), outputs="/out").directories(category) == places


def test_legacy_folders_are_searched_as_comfyui_does() -> None:
    asked = wish("x.safetensors", "diffusion_models")
    old, new = (
        known("/comfy/models/unet/x.safetensors", "old"),
        known("/comfy/models/diffusion_models/x.safetensors", "new"),
    )
    assert one(asked, new, old).loaded == old


def test_a_loader_of_two_folders_looks_in_their_order() -> None:
    asked = wish("x.safetensors", folders=("vae", "checkpoints"))
    vae, checkpoint = known("/comfy/models/vae/x.safetensors"), known("/comfy/models/checkpoints/x.safetensors")
    assert one(asked, checkpoint, vae).loaded == vae
    assert one(asked, checkpoint).loaded == checkpoint


def test_backslashes_are_refused_by_comfyui_and_the_value_to_write_is_said() -> None:
    ruling = one(wish("sub/a.safetensors", text="sub\\a.safetensors"), known("/comfy/models/loras/sub/a.safetensors"))
    assert (ruling.state, ruling.loaded) == ("fixable", None)
    assert ruling.choice is not None
    assert (ruling.choice.by, ruling.choice.value) == ("path", "sub/a.safetensors")
    assert "backslashes" in ruling.why


def test_another_case_is_not_loaded_and_the_value_to_write_is_said() -> None:
    ruling = one(wish("A.safetensors"), known("/comfy/models/loras/a.safetensors"))
    assert ruling.state == "fixable"
    assert ruling.choice is not None
    assert (ruling.choice.by, ruling.choice.value) == ("path", "a.safetensors")
    assert "case" in ruling.why


def test_another_subfolder_is_found_by_name() -> None:
    ruling = one(wish(), known("/comfy/models/loras/style/a.safetensors"))
    assert ruling.choice is not None
    assert (ruling.choice.by, ruling.choice.value) == ("name", "style/a.safetensors")


def test_a_longer_name_that_contains_it_is_never_it() -> None:
    decoys = [
        known(f"/comfy/models/loras/{name}") for name in ("old_a.safetensors", "a.safetensors.bak", "aa.safetensors")
    ]
    assert one(wish(), *decoys).state == "missing"
    assert one(wish("sub/a.safetensors"), known("/comfy/models/loras/xsub/a.safetensors.pt")).state == "missing"


def test_the_name_in_another_folder_is_only_a_proposal() -> None:
    ruling = one(wish(), known("/comfy/models/checkpoints/a.safetensors"))
    assert ruling.state == "proposed"
    assert ruling.choice is None
    assert [candidate.by for candidate in ruling.candidates] == ["elsewhere"]
    assert ruling.candidates[0].value is None


def test_two_contents_of_one_name_are_ambiguous_and_copies_of_one_are_not() -> None:
    files = [known("/comfy/models/loras/x/a.safetensors", "one"), known("/comfy/models/loras/y/a.safetensors", "two")]
    ruling = one(wish(), *files)
    assert (ruling.state, len(ruling.candidates)) == ("ambiguous", 2)
    same = [replace(each, content_id=1) for each in files]
    assert one(wish(), *same).state == "fixable"


def test_a_hash_finds_the_file_under_any_name_in_any_folder() -> None:
    ruling = one(
        wish(pin=pin("one")),
        known("/comfy/models/checkpoints/other.ckpt", "one"),
        known("/comfy/models/loras/x/a.safetensors"),
    )
    assert ruling.state == "fixable"
    assert ruling.choice is not None
    assert (ruling.choice.by, ruling.choice.value) == ("digest", None)
    assert "lies in checkpoints" in ruling.why


def test_of_copies_with_the_promised_hash_one_that_loads_comes_first() -> None:
    here = known("/comfy/models/loras/b.safetensors", "one", content_id=7)
    there = known("/comfy/models/checkpoints/b.safetensors", "one", content_id=7)
    ruling = one(wish(pin=pin("one")), there, here)
    assert ruling.choice is not None
    assert (ruling.choice.known, ruling.choice.value) == (here, "b.safetensors")


def test_a_file_of_the_name_with_other_bytes_is_another_file() -> None:
    wrong, right = known("/comfy/models/loras/a.safetensors", "two"), known("/nas/loras/b.safetensors", "one")
    ruling = one(wish(pin=pin("one")), wrong, right)
    assert (ruling.state, ruling.loaded) == ("other", wrong)
    assert [candidate.value for candidate in ruling.candidates] == ["b.safetensors"]


def test_a_file_of_the_name_that_nobody_read_proves_nothing() -> None:
    ruling = one(wish(pin=pin("one")), known("/comfy/models/loras/a.safetensors"))
    assert ruling.state == "unproven"
    assert "not read yet" in ruling.why


def test_a_promised_hash_of_a_kind_that_was_not_computed_proves_nothing() -> None:
    md5 = Pin(algorithms=("md5",), hex="0" * 32)
    ruling = one(wish(pin=md5), known("/comfy/models/loras/a.safetensors", "one"))
    assert ruling.state == "unproven"
    assert "never computed" in ruling.why


def test_a_file_that_another_root_hides_cannot_be_had_by_any_value() -> None:
    shown, hidden = known("/comfy/models/loras/b.safetensors", "two"), known("/nas/loras/b.safetensors", "one")
    ruling = one(wish(pin=pin("one")), shown, hidden)
    assert ruling.choice is not None
    assert ruling.choice.value is None
    assert "found first" in ruling.why


def test_a_file_with_the_wrong_hash_is_no_candidate_by_its_name() -> None:
    assert one(wish(pin=pin("one")), known("/comfy/models/loras/x/a.safetensors", "two")).state == "missing"


def test_a_short_hash_comes_behind_a_full_one_and_before_names() -> None:
    short = Pin(algorithms=("autov2",), hex=sha("one")[:10])
    ruling = one(
        wish(pin=short), known("/comfy/models/loras/q.safetensors", "one"), known("/nas/loras/x/a.safetensors")
    )
    assert [candidate.by for candidate in ruling.candidates] == ["hash", "name"]


def test_a_quick_hash_alone_is_a_proposal_and_with_the_digest_a_proof() -> None:
    quick = (("blake3_sample_v1", "ab" * 8),)
    unread = known("/comfy/models/loras/b.safetensors", quick="ab" * 8)
    ruling = one(wish(quick=quick), unread)
    assert (ruling.state, ruling.candidates[0].by) == ("proposed", "quick hash")
    read = known("/comfy/models/loras/b.safetensors", "one", quick="ab" * 8)
    ruling = one(wish(quick=quick, pin=pin("one")), read)
    assert ruling.choice is not None
    assert ruling.choice.by == "digest"
    other = known("/comfy/models/loras/b.safetensors", "two", quick="ab" * 8)
    assert one(wish(quick=quick, pin=pin("one")), other).state == "missing"


def test_a_quick_hash_that_differs_tells_that_it_is_another_file() -> None:
    asked = wish(quick=(("blake3_sample_v1", "ab" * 8),))
    assert one(asked, known("/comfy/models/loras/a.safetensors", quick="cd" * 8)).state == "other"


def test_a_hash_that_somebody_claims_is_a_proposal() -> None:
    unread = known("/comfy/models/loras/b.safetensors", claims=(sha("one"),))
    ruling = one(wish(pin=pin("one")), unread)
    assert (ruling.state, ruling.candidates[0].by) == ("proposed", "quick hash")


def test_another_size_is_another_file() -> None:
    assert one(wish(size=5), known("/comfy/models/loras/a.safetensors", size=6)).state == "other"


def test_a_loader_of_comfyui_does_not_list_what_it_cannot_load() -> None:
    gguf = known("/comfy/models/diffusion_models/x.gguf")
    asked = wish("x.gguf", "diffusion_models")
    assert one(replace(asked, builtin=True), gguf).state == "missing"
    assert one(asked, gguf).state == "loads"


def test_where_no_folder_is_known_a_name_is_a_proposal() -> None:
    ruling = one(wish(folder=""), known("/comfy/models/loras/a.safetensors"))
    assert ruling.state == "proposed"
    assert "nobody says" in ruling.why


def test_an_embedding_is_found_without_its_ending_in_comfyuis_order() -> None:
    asked = wish("neg", "embeddings", kind="stem")
    pt, tensors = known("/comfy/models/embeddings/neg.pt"), known("/comfy/models/embeddings/neg.safetensors")
    assert one(asked, pt, tensors).loaded == tensors
    assert one(asked, pt).loaded == pt
    ruling = one(asked, known("/comfy/models/embeddings/sub/Neg.pt"))
    assert ruling.choice is not None
    assert ruling.choice.value == "sub/Neg"
    assert one(asked, known("/comfy/models/embeddings/neg.gguf")).state == "missing"


def test_a_name_that_cannot_stand_in_a_prompt_is_no_value() -> None:
    ruling = one(wish("neg", "embeddings", kind="stem"), known("/comfy/models/embeddings/my dir/neg.pt"))
    assert ruling.choice is not None
    assert ruling.choice.value is None


def test_files_of_a_pair_have_any_ending_of_weights() -> None:
    assert one(
        wish("taesd_encoder", "vae_approx", kind="stem"), known("/comfy/models/vae_approx/taesd_encoder.pth")
    ).good


def test_a_directory_is_there_when_one_of_its_files_is() -> None:
    part = known("/comfy/models/diffusers/Painter/unet/model.safetensors")
    assert one(wish("Painter", "diffusers", kind="directory"), part).good
    ruling = one(wish("painter", "diffusers", kind="directory"), part)
    assert ruling.choice is not None
    assert ruling.choice.value == "Painter"
    assert one(wish("Paint", "diffusers", kind="directory"), part).state == "missing"
    elsewhere = known("/comfy/models/loras/Painter/model.safetensors")
    assert one(wish("Painter", "diffusers", kind="directory"), elsewhere).state == "proposed"


def test_what_is_looked_up_is_all_that_could_be_found() -> None:
    asked = [
        wish("Sub/A.safetensors", pin=pin("one"), quick=(("blake3_sample_v1", "ab" * 8),)),
        wish("neg", "embeddings", kind="stem"),
        wish("Painter", "diffusers", kind="directory"),
    ]
    bases, hexes, directories = keys(asked)
    assert {"a.safetensors", "neg", "neg.pt", "neg.safetensors", "painter"} <= set(bases)
    assert set(hexes) == {sha("one"), "ab" * 8}
    assert directories == ("painter",)


def test_every_reference_of_a_workflow_gets_its_rulings() -> None:
    def reference(text: str, *names: str, **more: object) -> Reference:
        made = Reference(
            node=("1",), node_type="VAELoader", input="vae_name", text=text, names=names, folders=("vae_approx",), kind="stem",
            evidence="loader", confidence="certain", reason="", active=True,
        )  # fmt: skip
        return replace(made, **more)  # type: ignore[arg-type]

    workflow = Workflow(
        form="ui",
        references=(
            reference("taesd", "taesd_encoder", "taesd_decoder", pin=pin("one")),
            reference("pixel_space"),
            reference("x.pt", "x.pt", kind="file", pin=pin("two")),
        ),
        node_types=(NodeType(name="VAELoader", builtin=True),),
    )
    pair, none, plain = resolved(workflow, [known("/comfy/models/vae_approx/taesd_encoder.pth")], COMFY)
    assert [ruling.state for ruling in pair.rulings] == ["loads", "missing"]
    assert pair.state == "missing"
    assert (none.rulings, none.state) == ((), "loads")
    assert plain.rulings[0].wish.pin == pin("two")
    assert plain.rulings[0].wish.builtin
    assert [each.pin for each in wishes(workflow, workflow.references[0])] == [None, None]


NAMES = st.sampled_from(
    ["a.safetensors", "A.safetensors", "sub/a.safetensors", "sub/b.pt", "Sub/a.safetensors", "é.pt", "É.pt"]
)
FILES = st.lists(
    st.tuples(
        st.sampled_from(["/comfy/models/loras/", "/nas/loras/", "/comfy/models/vae/"]),
        NAMES,
        st.sampled_from(["", "x", "y"]),
    ),
    unique_by=lambda each: each[0] + each[1],
    max_size=8,
)


@settings(deadline=None, max_examples=200)
@given(FILES, NAMES, st.sampled_from(["", "x", "y", "z"]), st.randoms())
def test_a_value_that_is_proposed_makes_comfyui_load_exactly_that_file(
    files: list[tuple[str, str, str]], name: str, content: str, chance: random.Random
) -> None:
    """Held against the rule itself: the first directory of the search that has the name, letter by letter."""
    held = [known(place + each, inside) for place, each, inside in files]
    chance.shuffle(held)
    there = {each.file: each for each in held}
    order = COMFY.directories("loras")

    def opens(value: str) -> Known | None:
        return next((there[f"{place}/{value}"] for place in order if f"{place}/{value}" in there), None)

    ruling = one(wish(name, pin=pin(content) if content else None), *held)
    if ruling.state in ("loads", "unproven", "other"):
        assert ruling.loaded == opens(name)
    else:
        assert ruling.loaded is None
        assert opens(name) is None
    for candidate in ruling.candidates:
        if candidate.value is not None:
            assert opens(candidate.value) == candidate.known
        assert candidate.by in ("digest", "hash") or spelt(candidate.known.name).endswith(
            spelt(name).rpartition("/")[2]
        )
    if ruling.state == "loads" and content:
        assert ruling.loaded is not None
        assert ruling.loaded.digests == Digests(sha256=sha(content))


@pytest.mark.parametrize("text", ["./a.safetensors", "/a.safetensors", "x/../a.safetensors", "a.safetensors "])
def test_a_value_that_comfyui_does_not_list_is_not_loaded_although_it_leads_there(text: str) -> None:
    ruling = one(wish(text=text, builtin=True), known("/comfy/models/loras/a.safetensors"))
    assert ruling.state == "fixable"
    assert ruling.choice is not None
    assert ruling.choice.value == "a.safetensors"


def test_k1_a_name_that_no_file_can_have_is_missing_and_looked_up_nowhere() -> None:
    asked = [wish("\ud800.safetensors"), wish("\ud800", kind="directory")]
    assert keys(asked) == ((), (), ())
    assert [each.state for each in resolve(asked, [known("/comfy/models/loras/a.safetensors")], COMFY)] == [
        "missing"
    ] * 2


def test_a_file_in_the_right_folder_of_another_tree_is_said_to_be_out_of_sight() -> None:
    ruling = one(wish(), known("/other/models/loras/a.safetensors"))
    assert (ruling.state, ruling.candidates[0].why) == ("proposed", "this ComfyUI does not search /other/models")
