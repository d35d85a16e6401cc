from __future__ import annotations

from model_manager.facts.manifest import FOLDER_OF, TYPE_OF, Manifest, ManifestModel, Tracked, Unresolved

ONE = ManifestModel(key="ab" * 8, folder="unet", name="a.safetensors", sha256="1" * 64, blake3="2" * 64)
TWO = ManifestModel(key="ab" * 7 + "cd", folder="loras", name="b.safetensors", blake3="3" * 64)
BOTH = Manifest(models=(ONE, TWO), workflows=(Tracked(name="w", file="w.json", models=("ab" * 8, "none")),))


def test_a_type_and_a_folder_lead_to_each_other() -> None:
    assert {TYPE_OF[folder] for folder in TYPE_OF} <= FOLDER_OF.keys()
    assert all(FOLDER_OF[kind] == folder for folder, kind in TYPE_OF.items())


def test_a_model_is_found_by_its_key_or_by_how_one_of_its_hashes_begins() -> None:
    assert BOTH.model("ab" * 8) == ONE
    assert BOTH.model("111111") == ONE
    assert BOTH.model("333333") == TWO


def test_a_beginning_that_is_short_or_of_several_finds_nothing() -> None:
    assert BOTH.model("ababab") is None
    assert BOTH.model("33333") is None


def test_the_same_bytes_are_found_under_any_key() -> None:
    assert BOTH.same(ManifestModel(key="x", folder="vae", name="q.pt", blake3="3" * 64)) == TWO
    assert BOTH.same(ManifestModel(key="x", folder="vae", name="q.pt")) is None


def test_a_download_is_held_to_the_sha_256_before_the_blake3() -> None:
    assert str(ONE.pin) == f"sha256:{'1' * 64}"
    assert str(TWO.pin) == f"blake3:{'3' * 64}"
    assert ManifestModel(key="x", folder="vae", name="q.pt").pin is None


def test_legacy_folders_have_their_category() -> None:
    assert (ONE.category, ONE.label) == ("diffusion_models", "unet/a.safetensors")


def test_workflows_know_their_models_and_models_their_workflows() -> None:
    flow = BOTH.workflow("w")
    assert flow is not None
    assert BOTH.needed(flow) == (ONE,)
    assert (BOTH.used_by(ONE), BOTH.used_by(TWO)) == (("w",), ())
    assert BOTH.workflow("v") is None


def test_what_is_unresolved_says_where_it_belongs_if_that_is_known() -> None:
    assert Unresolved(folder="vae", name="q.pt").label == "vae/q.pt"
    assert Unresolved(folder="", name="q.pt").label == "q.pt"
