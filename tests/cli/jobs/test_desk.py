from __future__ import annotations

import pytest

from model_manager.cli.jobs.desk import asked
from model_manager.errors import BadSetting, NoSuchJob
from tests.cli.jobs.conftest import Fleet


def test_a_question_is_answered_from_the_redis_of_the_settings(fleet: Fleet) -> None:
    with pytest.raises(NoSuchJob):
        asked(lambda claims: claims.job("1"))


def test_without_one_it_is_said(bare: None) -> None:
    with pytest.raises(BadSetting, match="REDIS_URL"):
        asked(lambda claims: claims.job("1"))
