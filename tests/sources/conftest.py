from __future__ import annotations

import pytest
import trustme

from tests.sources.serving import Authority


@pytest.fixture
def authority(tmp_path) -> Authority:
    ca = trustme.CA(key_type=trustme.KeyType.ECDSA)
    file = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(file))
    return Authority(ca, str(file))
