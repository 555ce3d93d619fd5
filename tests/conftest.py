"""What every test stands on: no thread outlives its test, and nothing is remembered in the user's folders."""

from __future__ import annotations

import builtins
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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


@pytest.fixture(scope="session")
def vgg_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A loss network of random weights in VGG16's shapes."""
    import torch

    widths = {0: 64, 2: 64, 5: 128, 7: 128, 10: 256, 12: 256, 14: 256, 17: 512, 19: 512, 21: 512}
    generator, channels, weights = torch.Generator().manual_seed(0), 3, {}
    for number, width in widths.items():
        scale = (2 / (channels * 9)) ** 0.5
        weights[f"{number}.weight"] = torch.randn(width, channels, 3, 3, generator=generator) * scale
        weights[f"{number}.bias"] = torch.zeros(width)
        channels = width
    path = tmp_path_factory.mktemp("vgg") / "vgg.pth"
    torch.save(weights, path)
    return path


@pytest.fixture
def uninstall(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Takes a package away, as far as anything that is imported from now on can tell."""

    def take_away(package: str) -> None:
        original = builtins.__import__

        def blocked(name: str, *rest: Any, **options: Any) -> Any:
            if name.partition(".")[0] == package:
                raise ModuleNotFoundError(f"No module named {package!r}", name=package)
            return original(name, *rest, **options)

        monkeypatch.setattr(builtins, "__import__", blocked)

    return take_away
