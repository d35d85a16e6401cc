from __future__ import annotations

from dataclasses import replace

from model_manager.decisions.analysing import analysis, wishes
from model_manager.facts.analysis import Item
from model_manager.facts.description import Address
from model_manager.facts.identity import Digests
from model_manager.facts.known import Known
from model_manager.facts.manifest import Manifest, ManifestModel, Tracked, Unresolved
from tests.decisions.test_resolving import COMFY, known, sha

MODEL = ManifestModel(
    key="k", folder="loras", name="a.safetensors", size=100, sha256=sha("one"),
    sources=(Address(kind="url", url="https://x.example/a"),),
)  # fmt: skip
HERE = "/comfy/models/loras/a.safetensors"


def one(model: ManifestModel, *files: Known, samples: dict[str, tuple[tuple[str, str], ...]] | None = None) -> Item:
    (item,) = analysis(Manifest(models=(model,)), files, COMFY, samples=samples).items
    return item


def test_the_promised_bytes_in_their_place_are_here() -> None:
    assert one(MODEL, known(HERE, "one")).outcome == "here"


def test_the_promised_bytes_elsewhere_are_linked() -> None:
    item = one(MODEL, known("/comfy/models/vae/b.safetensors", "one"))
    assert (item.outcome, item.known and item.known.name) == ("linked", "b.safetensors")
    wrong = known(HERE, "two")
    assert one(MODEL, wrong, known("/nas/loras/b.safetensors", "one")).outcome == "linked"


def test_a_file_of_the_name_that_nobody_read_is_read_first() -> None:
    assert one(MODEL, known(HERE)).outcome == "read"
    assert one(MODEL, known(HERE, size=99)).outcome == "downloaded"


def test_one_of_two_full_hashes_is_enough() -> None:
    both = replace(MODEL, blake3="f" * 64)
    assert len(wishes(both)) == 2
    assert one(both, known(HERE, digests=Digests(blake3="f" * 64))).outcome == "here"


def test_what_is_not_here_is_downloaded_or_unknown_and_says_so() -> None:
    item = one(MODEL)
    assert (item.outcome, "checked against its hash" in item.why) == ("downloaded", True)
    assert "no hash is known" in one(replace(MODEL, sha256="")).why
    item = one(replace(MODEL, sources=()), known(HERE, "two"))
    assert (item.outcome, "other bytes" in item.why) == ("unknown", True)


def test_without_a_full_hash_samples_make_it_likely_and_other_samples_do_not() -> None:
    theirs = replace(MODEL, sha256="", quick=(("xxh3_128_sample_v1", "ab" * 8),))
    found = {HERE: (("xxh3_128_sample_v1", "ab" * 8),)}
    other = {HERE: (("xxh3_128_sample_v1", "cd" * 8),)}
    assert one(theirs, known(HERE, "one"), samples=found).outcome == "likely"
    assert (
        one(theirs, known("/nas/loras/z.safetensors", "one"), samples={"/nas/loras/z.safetensors": found[HERE]}).outcome
        == "likely"
    )
    assert one(theirs, known(HERE, "one"), samples=other).outcome == "downloaded"


def test_optional_models_may_be_left_out_and_what_is_unresolved_is_named() -> None:
    flow = Tracked(name="w", file="w.json", unresolved=(Unresolved(folder="vae", name="q.pt"),))
    manifest = Manifest(models=(MODEL, replace(MODEL, key="o", importance="optional")), workflows=(flow, flow))
    assert len(analysis(manifest, (), COMFY).items) == 2
    found = analysis(manifest, (), COMFY, optional=False)
    assert ([item.model.key for item in found.items], found.unresolved) == (["k"], ("vae/q.pt",))
