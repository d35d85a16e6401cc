"""Where the aggregator's spans go."""

from __future__ import annotations

from typing import Final

from loguru import logger

from model_manager import __version__
from model_manager.errors import BadSetting
from model_manager.settings import Settings
from model_manager.tracing.otlp import exporting
from model_manager.tracing.spans import Tracer

SERVICE: Final = "model_manager.fleet"


def tracer_of(settings: Settings) -> Tracer | None:
    """None where nobody wants traces. What is wrong with them stops nothing."""
    if not settings.otlp_endpoint:
        return None
    try:
        return exporting(settings.otlp_endpoint, SERVICE, __version__)
    except BadSetting as error:
        logger.bind(reason=str(error)).warning("no traces are sent")
        return None
