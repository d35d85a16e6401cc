from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from model_manager.facts.companions import MAX_JSON, PREVIEWS, Belongings, belongings


def test_json_files_and_the_best_preview_belong_to_the_model_with_their_stem() -> None:
    listing = [
        "a.safetensors", "a.json", "a.civitai.info", "a.metadata.json", "a.cm-info.json", "a.png", "a.preview.png",
        "a.safetensors.rgthree-info.json", "a.txt", "b.json", "ab.json",
    ]  # fmt: skip
    found = belongings(listing)
    assert list(found) == ["a.safetensors"]
    assert found["a.safetensors"].json == (
        "a.civitai.info", "a.metadata.json", "a.cm-info.json", "a.safetensors.rgthree-info.json", "a.json",
    )  # fmt: skip
    assert found["a.safetensors"].preview == "a.preview.png"


def test_the_preview_of_stablequeue_comes_first_and_a_video_last() -> None:
    names = [f"a{ending}" for ending in PREVIEWS]
    while names:
        assert belongings(["a.gguf", *reversed(names)])["a.gguf"].preview == names[0]
        del names[0]
    assert belongings(["a.gguf"]) == {"a.gguf": Belongings()}


def test_a_name_belongs_to_the_longest_stem_that_is_there() -> None:
    found = belongings(["a.safetensors", "a.b.safetensors", "a.b.json", "a.b.civitai.json", "a.c.json", "a.json"])
    assert found["a.b.safetensors"].json == ("a.b.civitai.json", "a.b.json")
    assert found["a.safetensors"].json == ("a.json", "a.c.json")


def test_two_models_with_one_stem_share_and_endings_may_be_in_capitals() -> None:
    found = belongings(["a.safetensors", "A.ckpt", "a.ckpt", "a.JSON", "a.PNG"])
    assert found["a.safetensors"] == found["a.ckpt"] == Belongings(json=("a.JSON",), preview="a.PNG")
    assert found["A.ckpt"] == Belongings()


def test_a_thousand_json_files_of_one_model_are_not_all_read() -> None:
    listing = ["a.safetensors", *(f"a.{n}.json" for n in range(1000)), "a.json"]
    assert len(belongings(listing)["a.safetensors"].json) == MAX_JSON
    assert belongings(listing)["a.safetensors"].json[0] == "a.json"


@given(
    st.lists(st.text(alphabet="ab.", max_size=9).map(lambda stem: f"{stem}.json"), max_size=9),
    st.text("ab.", max_size=6),
)
def test_every_name_has_at_most_one_stem(names: list[str], stem: str) -> None:
    found = belongings([f"{stem}.ckpt", f"{stem}.a.ckpt", *names])
    owned = [name for each in found.values() for name in each.json]
    assert len(owned) == len(set(owned)) or len(set(names)) < len(names)
