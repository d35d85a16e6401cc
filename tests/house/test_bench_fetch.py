"""The benchmark of fetching: its origin, its goals, and that it believes nobody's bytes."""

from __future__ import annotations

import ssl
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.fetching.beside import idle_process
from tests.bench.fetching.cells import LARGE, MIB, Cell, Shape, chosen
from tests.bench.fetching.files import Source, sources
from tests.bench.fetching.goals import Found, rows
from tests.bench.fetching.origin import Origin, origin
from tests.bench.fetching.running import CommandFailed, Run, peak_of, run
from tests.bench.fetching.tools import at_hand
from tests.bench.fetching.verifying import WrongBytes, fastest
from tests.bench.row import Row

SMALL = Shape(2, MIB + 7)


def took(seconds: float, cpu: float = 1.0, memory: int = MIB, lag: float = 0.0) -> Run:
    return Run(seconds=seconds, cpu=cpu, memory=memory, lag=lag)


def row(cell: Cell, found: Found, words: str) -> Row:
    (one,) = (row for row in rows(cell, "sha256", found) if words in row.case)
    return one


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Origin, tuple[Source, ...]]]:
    with origin(tmp_path / "origin", tmp_path / "files", None) as server, sources(tmp_path / "files", SMALL) as files:
        yield server, files


def get(server: Origin, url: str, **headers: str) -> tuple[int, bytes]:
    context = ssl.create_default_context(cafile=str(server.ca_file))
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), context=context, timeout=20) as answer:
        return answer.status, answer.read()


def test_our_own_origin_serves_whole_files_and_ranges_plain_and_over_tls(
    served: tuple[Origin, tuple[Source, ...]],
) -> None:
    server, files = served
    for tls in (False, True):
        for file in files:
            address, content = server.url(Cell(shape=SMALL, tls=tls), file.name), file.path.read_bytes()
            assert get(server, address) == (200, content)
            assert get(server, address, Range="bytes=5-70000") == (206, content[5:70001])
            assert get(server, address, Range=f"bytes={MIB}-") == (206, content[MIB:])


@pytest.mark.parametrize("algorithm", ["sha256", "blake3"])
def test_other_bytes_than_the_origins_are_noticed(tmp_path: Path, algorithm: str) -> None:
    with sources(tmp_path / "files", SMALL) as files:
        verifier = fastest(at_hand(), algorithm, files)  # type: ignore[arg-type]
        verifier.verify(files, tmp_path / "files")
        data = bytearray(files[1].path.read_bytes())
        data[-1] ^= 1
        files[1].path.write_bytes(data)
        with pytest.raises(WrongBytes, match=verifier.name):
            verifier.verify(files, tmp_path / "files")


def test_a_command_that_fails_says_why() -> None:
    with pytest.raises(CommandFailed, match="ended with 3: no luck"):
        run((sys.executable, "-c", "import sys; print('no luck', file=sys.stderr); sys.exit(3)"))


def test_a_program_that_measured_itself_is_believed() -> None:
    cost, _ = run((sys.executable, "-c", 'print(\'{"seconds": 0.25, "cpu": 0.125}\')'))
    assert (cost.seconds, cost.cpu) == (0.25, 0.125)


def test_an_idle_process_says_how_late_it_woke() -> None:
    with idle_process() as beside:
        time.sleep(0.1)
    assert 0 < beside.worst < 60
    assert beside.stolen >= 0


def test_memory_that_was_given_back_still_counts() -> None:
    size = len(b"x" * 60_000_000)
    assert peak_of("self") > size
    assert peak_of(2**22 + 1) == 0


def test_the_goal_of_one_large_file_is_a_share_of_the_best_peer_and_little_more_than_its_hash() -> None:
    peers = {"curl + openssl": [took(9), took(10), took(99)], "aria2c + openssl": [took(20)]}
    found = Found(ours=[took(5.4), took(1), took(7)], alone=[took(5)], peers=peers)
    best, alone = row(Cell(shape=LARGE), found, "best: curl + openssl"), row(Cell(shape=LARGE), found, "openssl alone")
    assert (best.ours, best.peer, best.goal, best.met) == (5.4, 10, 5.5, True)
    assert (alone.peer, alone.goal, alone.met) == (5, 5.5, True)


def test_who_could_not_take_part_is_named() -> None:
    found = Found(
        ours=[took(5)], peers={"curl + openssl": [took(9)], "aria2c + openssl": [took(1)]}, absent=("aiohttp",)
    )
    found.leave_out("aria2c")
    best = row(Cell(shape=LARGE), found, "seconds / best")
    assert best.peer == 9
    assert best.case.endswith("best: curl + openssl (without aiohttp, aria2c)")


def test_slow_connections_are_held_against_the_sum_of_their_rates() -> None:
    cell = Cell(shape=LARGE, throttled=True)
    assert row(cell, Found(ours=[took(6.8)]), "sum").met is True
    assert row(cell, Found(ours=[took(107)]), "sum").met is False


def test_the_longest_delay_of_the_loop_counts_not_the_usual_one() -> None:
    lag = row(Cell(shape=LARGE), Found(ours=[took(1), took(1), took(1, lag=0.06)]), "loop lag")
    assert (lag.ours, lag.met) == (60, False)


def test_words_choose_cells_of_the_full_matrix() -> None:
    assert len(chosen("full", "", False)) == 24
    assert {cell.shape for cell in chosen("1 x 4 GiB, TLS", "", False)} == {LARGE}
    assert all(cell.tls for cell in chosen("1 x 4 GiB, TLS", "", False))
    assert {cell.rounds for cell in chosen("", "1", False)} == {1}
    assert chosen("full", "", True) == chosen("", "", True)
