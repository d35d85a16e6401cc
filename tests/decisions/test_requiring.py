from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_manager.decisions.requiring import requirements
from model_manager.facts.model import Assignment, CollectionRecord, Described, Source, Undescribed, WorkflowRecord
from tests.decisions.making import SHA_A, SHA_B, model

A, B, C = (model(f"vae/{name}.safetensors", name=name, url=f"https://h.example/{name}") for name in "abc")


def flow(name, *models, optional=(), inline=(), **more):
    return WorkflowRecord(name=name, models=models, optional=tuple(optional), inline=inline, **more)


def described(workflows=(), models=(A, B, C), collections=(), **more):
    named = tuple((item.name, item) for item in models)
    return Described(workflows=tuple(workflows), models=named, collections=tuple(collections), **more)


def asked(*workflows, **more):
    return Assignment(workflows=workflows, **more)


def paths(found):
    return {wanted.model.name: wanted.required for wanted in found.wanted}


def kinds(found):
    return [(problem.kind, problem.subject) for problem in found.problems]


def test_nothing_assigned_is_nothing_required_and_that_is_known():
    found = requirements(Assignment(), Described())
    assert (found.wanted, found.problems, found.complete) == ((), (), True)


def test_what_workflows_collections_components_and_the_machine_need_once_each():
    said = described(
        [flow("one", "a", "b"), flow("two", "b", optional=["c"]), flow("three")],
        collections=[CollectionRecord(id="many", workflows=("two", "three"))],
    )
    found = requirements(asked("one", collections=("many",), components=("two",), models=("c",)), said)
    assert paths(found) == {"a": True, "b": True, "c": True}
    assert [need.name for need in found.workflows] == ["one", "two", "three"]
    (b,) = [wanted for wanted in found.wanted if wanted.model.name == "b"]
    assert b.needed_by == ("workflow:one", "workflow:two")


def test_optional_needs_come_last_and_are_required_as_soon_as_somebody_requires_them():
    found = requirements(asked("two"), described([flow("two", "b", optional=["a"])]))
    assert [(wanted.model.name, wanted.required) for wanted in found.wanted] == [("b", True), ("a", False)]
    both = requirements(asked("two", "one"), described([flow("two", optional=["a"]), flow("one", "a")]))
    assert paths(both) == {"a": True}


def test_a_workflow_may_be_assigned_by_its_id():
    found = requirements(asked("7c1"), described([flow("flux", "a", id="7c1")]))
    assert paths(found) == {"a": True}
    assert found.workflows[0].name == "flux"


def test_a_workflow_that_is_named_twice_is_one():
    found = requirements(asked("flux", "7c1"), described([flow("flux", "a", id="7c1")]))
    assert len(found.workflows) == 1


def test_what_a_model_depends_on_is_needed_too_and_circles_end():
    a, b, c = replace(A, depends=("b",)), replace(B, depends=("c",)), replace(C, depends=("a",))
    found = requirements(asked("one"), described([flow("one", "a")], [a, b, c]))
    assert paths(found) == {"a": True, "b": True, "c": True}
    assert found.workflows[0].required == (a.path, b.path, c.path)
    assert next(wanted for wanted in found.wanted if wanted.model == c).needed_by == ("model:b",)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (described(), ("unknown_workflow", "one")),
        (described([Undescribed(name="one", why="500")]), ("unknown_workflow", "one")),
        (described([flow("one", "a", "ghost")]), ("unknown_model", "ghost")),
        (described([flow("one", "a")], [replace(A, depends=("ghost",))]), ("unknown_model", "a")),
    ],
)
def test_f4_what_was_never_described_makes_the_whole_incomplete_never_smaller(said, problem):
    found = requirements(asked("one"), said)
    assert not found.complete
    assert kinds(found) == [problem]
    assert found.workflows[0].unknown


def test_f4_a_collection_that_was_never_described_is_incomplete():
    found = requirements(asked(collections=("many",)), described(collections=[Undescribed(name="many", why="404")]))
    assert (found.complete, kinds(found)) == (False, [("unknown_collection", "many")])


def test_f4_one_unknown_workflow_narrows_nothing_of_the_others():
    said = [flow("one", "a"), Undescribed(name="two", why="500")]
    found = requirements(asked("one", "two"), described(said))
    assert paths(found) == {"a": True}
    assert [need.unknown for need in found.workflows] == [None, "500"]


def test_an_unknown_optional_model_is_said_and_holds_nothing():
    found = requirements(asked("one"), described([flow("one", "a", optional=["ghost"])]))
    assert found.complete
    assert [(problem.subject, problem.blocks) for problem in found.problems] == [("ghost", False)]


def other(item, **changes):
    return replace(item, **changes)


@pytest.mark.parametrize(
    ("mine", "theirs", "conflict"),
    [
        ({"pin": SHA_A}, {"pin": SHA_B}, True),
        ({"pin": SHA_A}, {"pin": SHA_A.upper()}, False),
        ({"pin": SHA_A}, {}, False),
        ({"pin": f"sha256:{SHA_A}"}, {"pin": SHA_A[:10]}, False),
        ({"pin": f"sha256:{SHA_A}"}, {"pin": SHA_B[:10]}, True),
        ({"pin": SHA_A}, {"pin": "md5:" + "e" * 32}, False),
        ({"size": 1}, {"size": 2}, True),
        ({"size": 1}, {"size": 2, "exact": False}, False),
    ],
)
def test_f6_two_descriptions_of_one_place(mine, theirs, conflict):
    one = model("vae/x.safetensors", name="one", **mine)
    two = model("vae/x.safetensors", name="two", **theirs)
    found = requirements(asked("w", "v"), described([flow("w", "one"), flow("v", "two")], [one, two]))
    assert bool([p for p in found.problems if p.blocks]) == conflict
    assert len(found.wanted) == (0 if conflict else 1)
    assert all(bool(need.unknown) == conflict for need in found.workflows)
    assert found.complete


def test_f6_two_addresses_without_a_hash_are_doubtful_and_with_one_they_are_two_sources():
    one, two = (model("vae/x.safetensors", name=name, url=f"https://{name}.example/x") for name in ("one", "two"))
    found = requirements(asked("w"), described([flow("w", "one", "two")], [one, two]))
    assert [problem.blocks for problem in found.problems] == [False]
    assert found.wanted[0].model.sources == one.sources
    pinned = replace(two, pin=model(pin=SHA_A).pin)
    found = requirements(asked("w"), described([flow("w", "one", "two")], [one, pinned]))
    assert found.wanted[0].model.sources == (*one.sources, *two.sources)


def test_one_address_with_another_query_is_one_address():
    one = model("vae/x.safetensors", name="one", url="https://h.example/x?download=true")
    two = model("vae/x.safetensors", name="two", url="https://h.example/x")
    assert requirements(asked("w"), described([flow("w", "one", "two")], [one, two])).problems == ()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("vae/a.safetensors", "vae/A.safetensors"),
        ("vae/a.safetensors", "VAE/A.safetensors"),
        ("unet/a.gguf", "diffusion_models/A.gguf"),
    ],
)
def test_f6_names_that_differ_in_case_only_are_given_to_neither(first, second):
    one, two = model(first, name="one"), model(second, name="two")
    found = requirements(asked("w"), described([flow("w", "one", "two", "c")], [one, two, C]))
    assert paths(found) == {"c": True}
    assert {problem.subject for problem in found.problems} == {first, second}


def test_f6_the_same_name_in_two_folders_of_one_category_must_be_the_same_file():
    def both(*pins):
        items = [
            model(f"{folder}/x.safetensors", pin, name=folder)
            for folder, pin in zip(("unet", "diffusion_models"), pins, strict=True)
        ]
        return requirements(asked("w"), described([flow("w", "unet", "diffusion_models")], items))

    assert len(both(SHA_A, SHA_B).wanted) == 0
    assert len(both(SHA_A, SHA_A).wanted) == 2


def test_f6_one_name_with_two_descriptions_inside_two_workflows_is_a_conflict():
    mine = model("vae/x.safetensors", SHA_A, name="x")
    yours = model("vae/x.safetensors", SHA_B, name="x", url="https://other.example/x")
    found = requirements(
        asked("w", "v"), described([flow("w", "x", inline=(mine,)), flow("v", "x", inline=(yours,))], ())
    )
    assert kinds(found) == [("conflict", "vae/x.safetensors")]
    assert found.wanted == ()
    assert all(need.unknown for need in found.workflows)


def test_what_stands_in_from_the_cache_is_passed_on():
    found = requirements(asked("one"), described([flow("one", "a")], stale=True, described_at="2026-01-01T00:00:00Z"))
    assert (found.stale, found.described_at) == (True, "2026-01-01T00:00:00Z")


def test_the_generation_changes_exactly_when_something_else_is_asked():
    base = described([flow("one", "a")])
    same = requirements(asked("one"), replace(base, stale=True, described_at="later", doubts=("x",)))
    assert same.generation == requirements(asked("one"), base).generation
    others = [
        requirements(asked("one", models=("b",)), base),
        requirements(asked("one"), described([flow("one", "a", "b")])),
        requirements(
            asked("one"), described([flow("one", "a")], [other(A, sources=(Source(url="https://n.example/a"),))])
        ),
        requirements(asked("one"), described([flow("one", optional=["a"])])),
    ]
    assert len({same.generation, *(found.generation for found in others)}) == 5


names = st.lists(st.sampled_from("abcd"), max_size=4).map(tuple)


@given(st.lists(names, min_size=1, max_size=4), st.lists(names, min_size=1, max_size=4))
def test_every_workflow_is_answered_for_and_more_assignment_never_asks_for_less(required, optional):
    flows = [
        flow(f"w{n}", *mine, optional=spare) for n, (mine, spare) in enumerate(zip(required, optional, strict=False))
    ]
    said = described(flows)
    whole = requirements(asked(*(item.name for item in flows)), said)
    first = requirements(asked(flows[0].name), said)
    assert [need.name for need in whole.workflows] == [item.name for item in flows]
    assert {name for name, needed in paths(first).items() if needed} <= {
        name for name, needed in paths(whole).items() if needed
    }
    assert whole.complete == (not any("d" in item.models for item in flows))


def test_what_jobs_ask_for_is_optional_and_known_by_the_first_name_that_the_catalog_has():
    found = requirements(asked("one"), described([flow("one", "a")]), [("vae/b.safetensors", "b")])
    assert paths(found) == {"a": True, "b": False}
    assert found.wanted[1].needed_by == ("jobs",)
    assert found.complete


def test_what_jobs_ask_for_and_a_workflow_requires_stays_required():
    assert paths(requirements(asked("one"), described([flow("one", "a")]), [("a",)])) == {"a": True}


def test_k10_a_job_never_takes_the_place_of_a_model_that_a_workflow_needs():
    rival = model("vae/A.safetensors", name="rival", pin=SHA_B, url="https://h.example/r")
    mine = model("vae/a.safetensors", name="a", pin=SHA_A, url="https://h.example/a")
    found = requirements(asked("one"), described([flow("one", "a")], models=(mine, rival)), [("rival",)])
    assert paths(found) == {"a": True}
    assert found.complete
    assert found.workflows[0].unknown is None
    assert [(problem.subject, problem.blocks) for problem in found.problems] == [("rival", False)]


def test_a_model_that_jobs_ask_for_and_nobody_knows_blocks_nothing():
    found = requirements(asked("one"), described([flow("one", "a")]), [("nobody",)])
    assert (paths(found), found.complete) == ({"a": True}, True)
    assert kinds(found) == [("unknown_model", "nobody")]
