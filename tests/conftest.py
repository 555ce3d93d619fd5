"""What every test stands on: no thread outlives it, nothing is kept in the user's folders, no skip hides in CI."""

from __future__ import annotations

import builtins
import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

IN_CI = sys.platform == "linux" and bool(os.environ.get("CI"))
"""Whether ``.ci/run`` has brought all that tests need."""


def refuse_to_skip(report: pytest.TestReport | pytest.CollectReport, *, of_data: bool = False) -> None:
    """In CI a skip is a failure, unless it is for the machine's nature or for a data folder that isn't there."""
    if IN_CI and report.skipped and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not reason.startswith("this machine") and not (of_data and "ALLAPRIMA_DATA" not in os.environ):
            report.outcome, report.longrepr = "failed", f"skipped, though .ci/run brings what tests need: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Of tests that skip, by themselves or in a fixture."""
    report = yield
    refuse_to_skip(report, of_data=item.get_closest_marker("data") is not None)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Of modules that skip as a whole."""
    report = yield
    refuse_to_skip(report)
    return report


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


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For networks of tiny maps in PyTorch: threads would only wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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
