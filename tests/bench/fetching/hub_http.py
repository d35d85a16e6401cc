"""huggingface_hub's plain HTTP path, eight files at once. Run in the peers' own environment with an order."""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from huggingface_hub.file_download import http_get
from touching import touched


def main(order: dict[str, Any]) -> None:
    def bring(file: dict[str, Any]) -> None:
        with (Path(order["store"]) / file["name"]).open("wb") as out:
            http_get(file["url"], out, expected_size=file["size"])

    touched(Path(order["store"]), order["touch"])
    begun, used = time.monotonic(), time.process_time()
    with ThreadPoolExecutor(order["concurrency"]) as pool:
        list(pool.map(bring, order["files"]))
    print(json.dumps({"seconds": time.monotonic() - begun, "cpu": time.process_time() - used}))


main(json.loads(Path(sys.argv[1]).read_text()))
