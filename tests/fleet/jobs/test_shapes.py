from __future__ import annotations

from model_manager.facts import wire
from model_manager.facts.job import Available
from model_manager.fleet.jobs.desk import iso, models_of
from model_manager.fleet.jobs.shapes import ModelOfJob


def test_a_model_keeps_the_name_that_it_was_asked_by() -> None:
    (model,) = models_of([Available(model="sha256:ab", machines=0)], {"sha256:ab": "civitai:1"})
    assert model == ModelOfJob(model="civitai:1", machines=0, available=False)
    assert wire.loads(wire.dumps(model)) == {"model": "civitai:1", "machines": 0, "available": False, "without": None}


def test_times_are_utc_and_none_is_empty() -> None:
    assert (iso(0.5), iso(None)) == ("1970-01-01T00:00:00.500+00:00", "")
