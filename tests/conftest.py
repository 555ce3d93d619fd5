"""What every test stands on: no thread outlives its test, and nothing is remembered in the user's folders."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_thread_left_alive() -> Iterator[None]:
    """A stage that outlives its run would hold files and devices."""
    yield
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        left = [thread for thread in threading.enumerate() if thread.name.startswith("allaprima-")]
        if not left:
            return
        time.sleep(0.01)
    pytest.fail(f"threads left alive: {left}")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Remembered placements go to a folder of the test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("ALLAPRIMA_CACHE", str(folder))
    return folder
