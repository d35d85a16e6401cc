"""Whom to believe over TLS, and how to be believed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """PEM files: further certificate authorities, and a client's own certificate with its key. None: those of the system, and no
    certificate of its own; the key may stand in the certificate's file."""

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
