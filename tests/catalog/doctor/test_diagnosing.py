"""What is wrong with a record, and the record as it should be. The dirt is that of real catalogs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model_manager.catalog.doctor.diagnosing import Ailment, addressed, shelved, visited
from model_manager.catalog.doctor.visiting import Outcome, Visit
from model_manager.catalog.records import CatalogModel

HUB = "https://huggingface.co/o/r/resolve/main/{}"
URL = HUB.format("a.safetensors")
SHA, OTHER = "a1" * 32, "b2" * 32
RECORD = CatalogModel(
    id="a", name="a.safetensors", sources=(URL,), save_to="models/unet/a.safetensors", size="17.2GB", hash=SHA
)


def there(url: str = URL, size: int | None = 17_200_000_000, sha256: str | None = SHA, *, gated: bool = False) -> Visit:
    return Visit(url=url, outcome="there", size=size, sha256=sha256, gated=gated)


def kinds(told: list[Ailment]) -> list[tuple[str, bool]]:
    return [(each.kind, bool(each.fix)) for each in told]


def test_a_sound_record_has_nothing() -> None:
    assert visited(RECORD, [there()], ()) == ([], RECORD)
    assert addressed(RECORD) == ([], RECORD)


def test_the_page_of_a_file_becomes_the_file() -> None:
    told, mended = addressed(replace(RECORD, sources=(URL.replace("resolve", "blob"),)))
    assert (kinds(told), mended.sources) == ([("page", True)], (URL,))


def test_another_models_address_is_told_and_nothing_is_learnt_from_it() -> None:
    wrong = replace(RECORD, sources=(HUB.format("flux.safetensors"),), size=None, hash=None)
    told, mended = addressed(wrong)
    more, mended = visited(mended, [there(wrong.sources[0])], ())
    assert (kinds(told), more, mended) == ([("other file", False)], [], wrong)


@pytest.mark.parametrize(
    ("said", "real", "wrong"),
    [
        ("2.13GB", 6_940_000_000, True),
        ("17.2GB", 17_246_524_772, False),
        ("16GiB", 17_200_000_000, False),
        (17_200_000_000, 17_200_000_001, True),
        (None, 5, True),
    ],
)
def test_sizes_are_exact_or_near_enough(said: int | str | None, real: int, wrong: bool) -> None:
    told, mended = visited(replace(RECORD, size=said), [there(size=real)], ())
    assert kinds(told) == ([("size", True)] if wrong else [])
    assert mended.size == (real if wrong else said)


def test_a_missing_hash_is_filled_in_and_a_wrong_one_is_left_to_a_person() -> None:
    told, mended = visited(replace(RECORD, hash=None), [there()], ())
    assert (kinds(told), mended.hash, dict(mended.hashes)) == ([("hash", True)], f"sha256:{SHA}", {"sha256": SHA})
    for said in (f"sha256:{OTHER}", OTHER[:10]):
        told, mended = visited(replace(RECORD, hash=said), [there()], ())
        assert (kinds(told), mended.hash) == ([("hash", False)], said)
    for fits in (OTHER, SHA[:10]):  # nobody said that the first is no BLAKE3
        assert visited(replace(RECORD, hash=fits), [there()], ())[0] == []


def test_addresses_of_different_files_are_told_and_not_chosen_from() -> None:
    urls = (URL, "https://mirror.example/a.safetensors")
    record = replace(RECORD, sources=urls, hash=None, size=None)
    told, mended = visited(record, [there(), there(urls[1], 5, OTHER)], ())
    assert (kinds(told), mended) == ([("hash", False), ("size", False)], record)


def test_a_dead_address_goes_only_where_another_one_lives() -> None:
    dead = Visit(url="https://gone.example/a.safetensors", outcome="gone", why="404")
    told, mended = visited(replace(RECORD, sources=(dead.url, URL)), [dead, there()], ())
    assert (kinds(told), mended.sources) == ([("gone", True)], (URL,))
    alone = replace(RECORD, sources=(dead.url,))
    assert visited(alone, [dead], ()) == (
        [Ailment(kind="gone", name=RECORD.name, what=f"{dead.url}: 404", url=dead.url)],
        alone,
    )


@pytest.mark.parametrize("outcome", ["away", "strange", "forbidden"])
def test_what_nobody_can_tell_changes_nothing(outcome: Outcome) -> None:
    record = replace(RECORD, auth_required=True, hash=None, size=None)
    told, mended = visited(record, [Visit(url=URL, outcome=outcome, why="x")], ())
    assert (kinds(told), mended) == ([(outcome, False)], record)


def test_every_record_says_that_it_needs_a_token_and_few_do() -> None:
    record = replace(RECORD, auth_required=True, auth_env_var="HF_TOKEN")
    told, mended = visited(record, [there()], ())
    assert (kinds(told), mended.auth_required, mended.auth_env_var) == ([("no token", True)], False, None)
    assert visited(record, [there(gated=True)], {"HF_TOKEN"}) == ([], record)


def test_a_token_that_was_refused_is_told_apart_from_one_that_is_not_set_and_from_a_licence() -> None:
    record = replace(RECORD, auth_required=True, auth_env_var="HF_TOKEN")
    refused = Visit(url=URL, outcome="closed", why="401", gated=True, token="HF_TOKEN", refused=True)
    licence = replace(refused, refused=False, why="accept its licence")
    for visit, tokens, expected in (
        (refused, {"HF_TOKEN"}, ("expired", "HF_TOKEN")),
        (refused, set(), ("closed", "HF_TOKEN")),
        (licence, {"HF_TOKEN"}, ("closed", None)),
    ):
        ((told,), mended) = visited(record, [visit], tokens)
        assert (told.kind, told.token, told.url, mended) == (*expected, URL, record)


def test_k5_a_gated_model_says_which_token_and_without_it_is_told() -> None:
    closed = Visit(url=URL, outcome="closed", why="accept its licence", gated=True)
    told, mended = visited(RECORD, [closed], ())
    assert kinds(told) == [("closed", False), ("token", True)]
    assert (mended.auth_required, mended.auth_env_var) == (True, "HF_TOKEN")
    told, _ = visited(mended, [there(gated=True)], ())
    assert kinds(told) == [("token", False)]


@pytest.mark.parametrize(
    ("place", "folders", "kind", "mended"),
    [
        ("models/unet/a.safetensors", {"diffusion_models"}, [], None),
        (
            "models/checkpoints/a.safetensors",
            {"diffusion_models"},
            [("folder", True)],
            "diffusion_models/a.safetensors",
        ),
        ("checkpoints", {"loras"}, [("folder", True)], "loras/a.safetensors"),
        ("checkpoints/a.safetensors", {"loras", "vae"}, [("folder", False)], None),
        ("../a.safetensors", {"loras"}, [], None),
    ],
)
def test_folders_are_those_from_which_workflows_load(place, folders, kind, mended) -> None:
    record = replace(RECORD, save_to=place)
    told, after = shelved(record, {"a.safetensors": folders})
    assert (kinds(told), after.save_to) == (kind, mended or place)
