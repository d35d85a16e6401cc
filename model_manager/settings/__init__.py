"""Settings, for programs and the command line only."""

from model_manager.settings.fields import SECRETS, Change, Settings, change_of, names
from model_manager.settings.loading import FILE_VARIABLE, load

__all__ = ["FILE_VARIABLE", "SECRETS", "Change", "Settings", "change_of", "load", "names"]
