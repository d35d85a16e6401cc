from __future__ import annotations

from model_manager.catalog.incoming.findings import found


def test_k12_a_finding_is_one_line_whatever_it_is_of() -> None:
    finding = found("a\nb\x1b[31m" * 100, "c\u202e\n" * 500, "kept")
    assert finding.where.isprintable()
    assert finding.what.isprintable()
    assert (len(finding.where), len(finding.what)) == (200, 300)
