from __future__ import annotations

from model_manager.catalog.doctor.diagnosing import Ailment
from model_manager.catalog.doctor.doctoring import Examined
from model_manager.catalog.doctor.noting import Notebook
from model_manager.catalog.records import CatalogModel, Stored


def test_what_was_noted_is_read_as_it_was_more_than_once() -> None:
    told = Ailment(kind="size", name="a", what="its size is 1\n", fix="the size 2", url="https://h/a")
    mended = CatalogModel(id="a", name="a.pt", sources=("https://h/a",), size=2, hashes=(("sha256", "ab" * 32),))
    both = [
        Examined(kind="model", stored=Stored("a", "a.pt", 3, "{}"), ailments=(told, told), mended=mended),
        Examined(kind="workflow", stored=Stored("w", "w", 1, "{}"), ailments=(told,), mended=None),
    ]
    with Notebook() as notebook:
        for each in both:
            notebook.add(each)
        assert (notebook.count, notebook.mendable) == (2, 1)
        assert [*notebook] == [*notebook] == both
