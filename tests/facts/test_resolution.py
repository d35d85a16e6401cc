from __future__ import annotations

from model_manager.facts.disk import Fingerprint
from model_manager.facts.known import Known
from model_manager.facts.resolution import Candidate, Extra, Layout, Resolved, Ruling, Wish
from model_manager.facts.workflow import Reference

FILE = Known(
    content_id=1, file="/m/loras/a.pt", root="/m", folder="loras", name="a.pt",
    fingerprint=Fingerprint(device=1, inode=1, size=1, mtime_ns=1),
)  # fmt: skip
REFERENCE = Reference(
    node=("1",), node_type="X", input="x", text="a.pt", names=("a.pt",), folders=("loras",), kind="file", evidence="loader",
    confidence="certain", reason="", active=True,
)  # fmt: skip


def test_what_is_appended_comes_after_comfyuis_own_and_what_is_default_before() -> None:
    layout = Layout(
        trees=("/m", "/store"),
        extras=(Extra(category="loras", path="/a"), Extra(category="loras", path="/b", first=True)),
        outputs="/out",
    )
    assert layout.directories("loras") == ("/b", "/m/loras", "/store/loras", "/a", "/out/loras")
    assert layout.directories("vae_approx") == ("/m/vae_approx", "/store/vae_approx")


def test_only_one_change_beyond_doubt_is_a_choice() -> None:
    wish = Wish(name="a.pt", folders=("loras", "vae"))
    candidate = Candidate(known=FILE, by="name", value="a.pt", why="")
    assert Ruling(wish=wish, state="fixable", why="", candidates=(candidate,)).choice == candidate
    assert Ruling(wish=wish, state="ambiguous", why="", candidates=(candidate,)).choice is None
    assert Ruling(wish=wish, state="loads", why="").good
    assert (candidate.label, wish.folder, Wish(name="x").folder) == ("loras/a.pt", "loras", "")


def test_a_reference_is_as_good_as_the_worst_of_its_files() -> None:
    wish = Wish(name="a.pt")
    rulings = (Ruling(wish=wish, state="loads", why=""), Ruling(wish=wish, state="missing", why=""))
    assert Resolved(reference=REFERENCE, rulings=rulings).state == "missing"
    assert Resolved(reference=REFERENCE).state == "loads"
