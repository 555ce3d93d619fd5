"""The machine and the code that a figure comes from."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .. import __version__

_PACKAGES = ("numpy", "opencv-python-headless", "onnxruntime", "openvino", "torch", "av")


def describe_machine() -> dict[str, Any]:
    """What stands beside every table: processor, system, versions, the commit and the date, as plain values.

    ``commit`` is None where the package doesn't run from a checkout of its own, and ends in ``-dirty`` where the
    checkout holds changes.
    """
    return {
        "cpu": f"{os.cpu_count()} cores of {_processor()}",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "allaprima": __version__,
        "commit": _commit(),
        "date": date.today().isoformat(),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def _processor() -> str:
    # platform.processor() is empty on most Linux systems.
    table = Path("/proc/cpuinfo")
    lines = table.read_text(encoding="utf-8", errors="replace").splitlines() if table.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    here = Path(__file__).resolve()
    if not (here.parents[3] / ".git").exists():
        return None
    command = ["git", "-C", str(here.parents[3]), "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
