"""Which input does each saved value of a node belong to?

The editor saves values in the order of the widgets, without names. Names come, in this order, from: the values themselves
when they are saved as a dict, the known order of the type, `widgets_values_named` (frontend 1.40 and later), and the
node's list of inputs when it is complete. Custom nodes change their order from version to version: what the node itself
says comes first there. A value that nobody names has the name ''.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from model_manager.facts.loaders import Loader

AFTER_SEED: Final = frozenset({"fixed", "increment", "decrement", "randomize", "increment-wrap"})
"""What the editor saves behind a seed, as a value of its own without an input."""


def names(values: Sequence[Any], loader: Loader | None, by_name: object, inputs: Sequence[str]) -> list[str]:
    """A name for each value. `by_name` is `widgets_values_named`, `inputs` the widgets among the node's inputs."""
    if loader is not None and loader.custom and (own := _by_inputs(values, inputs)):
        return own
    if loader is not None and (known := _by_order(values, loader)):
        return known
    if isinstance(by_name, dict) and by_name:
        return _by_value(values, by_name)
    return _by_inputs(values, inputs) or [""] * len(values)


def _by_inputs(values: Sequence[Any], inputs: Sequence[str]) -> list[str]:
    """The names of the node's own inputs, in their order; none when there are more or fewer of them than values."""
    plain = [place for place, value in enumerate(values) if not _is_extra(value)]
    if not inputs or len(plain) != len(inputs):
        return []
    named = dict(zip(plain, inputs, strict=True))
    return [named.get(place, "") for place in range(len(values))]


def _by_order(values: Sequence[Any], loader: Loader) -> list[str]:
    """The known order, unless a model would be a number: then this node has another order than the one we know."""
    widgets = loader.order(len(values))
    for widget, value in zip(widgets, values, strict=False):
        if widget.folders and isinstance(value, (int, float)) and not isinstance(value, bool):
            return []
    found = [widget.name for widget in widgets]
    return found + [""] * (len(values) - len(found))


def _by_value(values: Sequence[Any], by_name: dict[str, Any]) -> list[str]:
    if len(by_name) == len(values):
        return [str(name) for name in by_name]
    counts = Counter(value for value in by_name.values() if isinstance(value, str))
    known = {value: name for name, value in by_name.items() if isinstance(value, str) and counts[value] == 1}
    return [str(known.get(value, "")) if isinstance(value, str) else "" for value in values]


def _is_extra(value: Any) -> bool:
    return isinstance(value, str) and value in AFTER_SEED
