from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_manager.decisions.planning import not_admitted, plan, same_content
from model_manager.facts.disk import HUB
from model_manager.facts.identity import Digests
from model_manager.facts.model import Assignment, Requirements, Wanted, WorkflowNeed
from model_manager.facts.plan import Check, Fetch, Keep, Link, Refuse
from model_manager.facts.shelf import ShelfPath
from tests.decisions.making import SHA_A, SHA_B, digests, held, model, shelf


def asked(*models, optional=()):
    wanted = [Wanted(model=item, required=True, needed_by=("machine",)) for item in models]
    wanted += [Wanted(model=item, required=False, needed_by=("machine",)) for item in optional]
    return Requirements(generation="g", assignment=Assignment(), wanted=tuple(wanted))


def steps(requirements, *here, **more):
    return plan(requirements, here, **more).steps


@pytest.mark.parametrize(
    ("wanted", "here", "kind"),
    [
        (model(pin=SHA_A), [], Fetch),
        (model(pin=SHA_A), [held()], Keep),
        (model(pin=SHA_A), [held(sha256=None, evidence=None)], Check),
        (model(pin=SHA_B), [held()], Fetch),
        (model(pin=SHA_A), [held("loras/y.safetensors")], Link),
        (model(pin=SHA_A), [held("loras/y.safetensors", evidence=None)], Fetch),
        (model(pin=SHA_A[:10]), [held("loras/y.safetensors")], Fetch),
        (model("vae/x.ckpt"), [], Refuse),
        (model("vae/x.ckpt"), [held("vae/x.ckpt", evidence="content")], Keep),
        (model("vae/x.ckpt", pin=SHA_A), [], Fetch),
        (model(url=None), [], Refuse),
        (model(url=None, pin=SHA_A), [held()], Keep),
        (model("unet/x.safetensors", pin=SHA_A), [held("diffusion_models/x.safetensors")], Keep),
    ],
)
def test_one_step_for_one_model(wanted, here, kind):
    (step,) = steps(asked(wanted), *here)
    assert isinstance(step, kind)


def test_a_wrong_file_in_the_very_place_is_replaced_by_name():
    (step,) = steps(asked(model(pin=SHA_B)), held())
    assert step.replaces == held()
    (beside,) = steps(asked(model("unet/x.safetensors", pin=SHA_B)), held("diffusion_models/x.safetensors"))
    assert isinstance(beside, Fetch)
    assert beside.replaces is None


def test_a_right_file_counts_wherever_a_loader_finds_it_even_beside_a_wrong_one():
    other = held("vae/x.safetensors", sha256=SHA_B, root="/other")
    (step,) = steps(asked(model(pin=SHA_A)), other, held())
    assert step == Keep(wanted=asked(model(pin=SHA_A)).wanted[0], held=held())


def test_i3_the_same_content_is_fetched_once():
    first, second = model("vae/a.safetensors", pin=SHA_A), model("loras/b.safetensors", pin=SHA_A)
    one, other = steps(asked(first, second))
    assert (one.after, other.after) == (None, one.wanted.model.path)
    assert plan(asked(first, second), ()).bytes == one.bytes


def test_nobody_waits_for_a_model_whose_place_is_blocked_while_there_is_another():
    first, second = model("loras/a.safetensors", pin=SHA_A), model("vae/b.safetensors", pin=SHA_A)
    by_path = {step.wanted.model.path: step for step in steps(asked(first, second), blocked=[first.path])}
    assert (by_path[first.path].after, by_path[second.path].after) == (second.path, None)
    (alone,) = steps(asked(first), blocked=[first.path])
    assert alone.after is None


def test_i3_the_same_address_is_fetched_once_even_without_a_hash():
    assert same_content(model("vae/a.safetensors"), model("loras/b.safetensors"))
    assert not same_content(model("vae/a.safetensors", pin=SHA_A), model("loras/b.safetensors", pin=SHA_B))
    assert not same_content(model("vae/a.safetensors", pin=SHA_A[:10]), model("loras/b.safetensors", pin=SHA_A[:10]))


def test_required_goes_before_optional_and_small_before_large():
    big, small, spare = (
        model(f"vae/{name}.safetensors", size=size, url=f"https://h.example/{name}")
        for name, size in (("big", 900), ("small", 100), ("spare", 1))
    )
    order = [str(step.wanted.model.path) for step in steps(asked(big, small, optional=[spare]))]
    assert order == ["vae/small.safetensors", "vae/big.safetensors", "vae/spare.safetensors"]


def test_the_nearest_workflow_goes_first_and_what_needs_no_download_before_all():
    far, near, here = (
        model(f"vae/{name}.gguf", size=size, url=f"https://h.example/{name}")
        for name, size in (("far", 100), ("near", 900), ("here", 5000))
    )
    needs = [("f", (far, here)), ("n", (near,))]
    workflows = tuple(WorkflowNeed(name=name, required=tuple(m.path for m in models)) for name, models in needs)
    wanted = replace(asked(far, near, here), workflows=workflows)
    assert [step.wanted.model for step in steps(wanted)] == [near, far, here]
    kept = held("vae/here.gguf", size=5000)
    assert [step.wanted.model for step in steps(wanted, kept)] == [here, far, near]


PINNED = model(pin=SHA_A, size=100)
UNREAD = held("loras/y.safetensors", sha256=None, evidence=None)


@pytest.mark.parametrize(
    ("wanted", "here", "candidates"),
    [
        (PINNED, [UNREAD], [UNREAD]),
        (model(pin=f"blake3:{SHA_A}", size=100), [UNREAD], [UNREAD]),
        (model(pin=SHA_A, size=101), [UNREAD], []),
        (model(pin=SHA_A, size=100, exact=False), [UNREAD], []),
        (model(pin=SHA_A), [UNREAD], []),
        (model(pin=SHA_A[:10], size=100), [UNREAD], []),
        (model(size=100), [UNREAD], []),
        (PINNED, [held("loras/y.safetensors", sha256=SHA_B)], []),
        (PINNED, [held("loras/y.safetensors", sha256=SHA_B, evidence=None)], []),
        (model(pin=f"blake3:{SHA_A}", size=100), [replace(UNREAD, digests=Digests(sha256=SHA_B))], [True]),
        (model(pin=f"blake3:{SHA_A}", size=100), [replace(UNREAD, digests=Digests(blake3=SHA_B))], []),
        (PINNED, [replace(UNREAD, digests=Digests(blake3=SHA_B))], [True]),
        (PINNED, [held(f"loras/{n}.safetensors", sha256=None, evidence=None) for n in range(3)], [True] * 3),
        (PINNED, [held(f"loras/{n}.safetensors", sha256=None, evidence=None) for n in range(4)], []),
    ],
)
def test_a_file_of_the_very_length_is_read_before_a_download_starts(wanted, here, candidates):
    (step,) = steps(asked(wanted), *here)
    assert isinstance(step, Fetch)
    assert step.waits is bool(candidates)
    assert len(step.candidates) == len(candidates)
    assert set(step.candidates) <= set(here)


def test_a_file_in_the_place_of_another_wanted_model_is_read_for_that_one_alone():
    other = model("loras/y.safetensors", pin=SHA_B, size=100)
    by_path = {step.wanted.model: step for step in steps(asked(PINNED, other), UNREAD)}
    assert isinstance(by_path[other], Check)
    assert by_path[PINNED].candidates == ()


def test_a_file_of_the_cache_is_a_candidate_by_its_name_whatever_the_catalog_says_of_the_length():
    blob = replace(held("x/y", sha256=None, evidence=None), shelf=ShelfPath(folder=HUB, name=SHA_A))
    for wanted in (PINNED, model(pin=SHA_A), model(pin=f"sha256:{SHA_A}", size=7)):
        (step,) = steps(asked(wanted), blob, UNREAD)
        assert step.candidates == (blob,)
    (step,) = steps(asked(PINNED), replace(blob, digests=digests(SHA_B)), UNREAD)
    assert step.candidates == (UNREAD,)
    (step,) = steps(asked(PINNED), replace(blob, digests=digests(SHA_A), evidence="pin"))
    assert isinstance(step, Link)


def test_c12_a_file_that_rotted_is_linked_anew_from_its_twin_but_never_from_itself():
    rotten = held(sha256=SHA_B, evidence=None)
    twin = held("loras/y.safetensors")
    (step,) = steps(asked(model(pin=SHA_A)), rotten, twin)
    assert step == Link(wanted=step.wanted, held=twin, replaces=rotten)
    hard_link = replace(twin, fingerprint=rotten.fingerprint)
    (step,) = steps(asked(model(pin=SHA_A)), rotten, hard_link)
    assert isinstance(step, Fetch)
    assert step.replaces == rotten


@pytest.mark.parametrize("digest", [Digests(sha256=SHA_A), Digests(blake3=SHA_A)])
def test_one_full_digest_is_enough_to_be_found_by(digest):
    (step,) = steps(asked(model(pin=SHA_A)), replace(held("loras/y.safetensors"), digests=digest))
    assert isinstance(step, Link)


def test_the_plan_says_how_much_will_be_downloaded():
    kept, fetched = model("vae/a.safetensors", pin=SHA_A, size=100), model("vae/b.safetensors", pin=SHA_B, size=7)
    assert plan(asked(kept, fetched), [held("vae/a.safetensors")]).bytes == 7


@pytest.mark.parametrize(
    ("wanted", "unpinned", "pickle", "admitted"),
    [
        (model(), "accept", False, True),
        (model(), "refuse", False, False),
        (model(pin=SHA_A), "refuse", False, True),
        (model(url="https://huggingface.co/a/b/resolve/main/x"), "refuse", False, True),
        (model(url="https://huggingface.co.evil.example/x"), "refuse", False, False),
        (model(url="https://evilhuggingface.co/x"), "refuse", False, False),
        (model("vae/x.pt"), "accept", False, False),
        (model("vae/x.pt"), "accept", True, True),
        (model("vae/x.PT", pin=SHA_A), "accept", False, True),
        (model("vae/x.pt", pin="md5:" + "e" * 32), "accept", False, False),
        (model("vae/x.gguf"), "accept", False, True),
    ],
)
def test_k6_what_may_be_downloaded_at_all(wanted, unpinned, pickle, admitted):
    assert (not_admitted(wanted, unpinned, pickle) is None) == admitted


paths = st.sampled_from(["vae/a.safetensors", "vae/b.safetensors", "loras/a.safetensors", "unet/c.gguf", "vae/d.ckpt"])
hashes = st.sampled_from([None, SHA_A, SHA_B, SHA_A[:10]])


@given(
    st.dictionaries(paths, hashes, min_size=1),
    st.lists(
        st.builds(
            held,
            paths,
            sha256=st.sampled_from([None, SHA_A, SHA_B]),
            evidence=st.sampled_from([None, "content", "pin"]),
        )
    ),
)
def test_every_model_has_exactly_one_step_and_whoever_waits_waits_for_a_fetch(wanted, here):
    found = steps(
        asked(*(model(path, pin=pin, url=f"https://h.example/{path}") for path, pin in wanted.items())), *here
    )
    assert sorted(str(step.wanted.model.path) for step in found) == sorted(wanted)
    leaders = {step.wanted.model.path for step in found if isinstance(step, Fetch) and step.after is None}
    assert all(step.after in leaders for step in found if isinstance(step, Fetch) and step.after)
    assert all(step.held.verified or step.wanted.model.pin for step in found if isinstance(step, Keep))


def test_a_shelf_is_read_as_written():
    assert str(shelf("vae/deep/x.safetensors")) == "vae/deep/x.safetensors"


def test_bytes_that_are_here_need_no_address():
    asked = Wanted(model=model(pin=SHA_A, url=None), required=True, needed_by=("person",))
    requirements = Requirements(generation="g", assignment=Assignment(), wanted=(asked,))
    assert isinstance(plan(requirements, [held("loras/y.safetensors")]).steps[0], Link)
    assert isinstance(plan(requirements, [held("loras/y.safetensors", sha256=SHA_B)]).steps[0], Refuse)
