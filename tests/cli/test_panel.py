from __future__ import annotations

import io

import pytest
from rich.console import Console

from model_manager.cli.panel import Panel, can_draw
from tests.cli.making import progress, transfer

MOVING = progress(transfer("a.gguf", bytes=3, total=4), models=1, moving=1, bytes=3, total=4)


def terminal(**more: object) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    environ = {"TERM": "xterm-256color", "COLUMNS": "60", "LINES": "20"}
    return Console(file=file, force_terminal=True, _environ={**environ, **more}), file  # type: ignore[dict-item]


def test_a_terminal_gets_lines_that_are_drawn_anew_and_leave_no_trace() -> None:
    console, file = terminal()
    with Panel(console) as panel:
        panel.show(MOVING)
        drawn = file.getvalue()
        console.print("an event")
    assert " 75%" in drawn
    assert "0 of 1 models, 3 of 4 B" in drawn
    erased = "\x1b[2K"
    assert file.getvalue().count(erased) >= 2
    assert "an event" in file.getvalue()


def test_colours_are_left_out_where_they_are_not_wanted() -> None:
    console, file = terminal(NO_COLOR="1")
    with Panel(console) as panel:
        panel.show(MOVING)
    assert "\x1b[36m" not in file.getvalue()
    console, file = terminal()
    with Panel(console) as panel:
        panel.show(MOVING)
    assert "\x1b[36m" in file.getvalue()


@pytest.mark.parametrize(("environ", "draws"), [({}, True), ({"TERM": "dumb"}, False)])
def test_what_cannot_be_drawn_anew_is_said_now_and_then(environ: dict[str, object], draws: bool) -> None:
    console, file = terminal(**environ)
    assert can_draw(console) is draws
    with Panel(console) as panel:
        panel.show(MOVING)
        panel.show(MOVING)
    if not draws:
        assert file.getvalue() == "0 of 1 models, 3 of 4 B\n"


def test_a_terminal_that_went_away_ends_nothing() -> None:
    class Gone(io.StringIO):
        gone = False

        def write(self, text: str) -> int:
            if self.gone:
                raise OSError("Input/output error")
            return super().write(text)

    file = Gone()
    console = Console(file=file, force_terminal=True, width=60)
    with Panel(console) as panel:
        file.gone = True
        panel.show(MOVING)
        panel.show(MOVING)
