"""Choosing where a style runs: as the user said, or by measuring for a moment and remembering."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import cv2
import numpy as np
import typer

from .engine import ENGINES, PRECISIONS, Engine, Placement, load_engine, mean_difference, silent_inputs
from .errors import EngineError, MissingExtraError, UsageError
from .frame import Pixels
from .style import Style

TOLERANCE = 3.0
"""``auto`` takes nothing that differs from f32 by more than this on average, of 255; int8 moves some strokes."""
_MEASURE_SECONDS = 0.3
_REFERENCE = Placement("onnxruntime", "f32")


def open_engine(
    style: Style,
    size: tuple[int, int],
    *,
    engine: str = "auto",
    precision: str = "auto",
    device: str = "auto",
    threads: int = 0,
    at_once: int = 1,
) -> Engine:
    """Load a style where and how the user said; what was left on ``auto`` is measured once and remembered.

    Args:
        style: the float style.
        size: (height, width) of the pictures to come.
        engine: ``auto`` or one of :data:`~allaprima.engine.ENGINES`.
        precision: ``auto`` or one of :data:`~allaprima.engine.PRECISIONS`.
        device: ``auto`` (the CPU, unless an accelerator's provider is installed), or a device of the engine.
        threads: of the engine on the CPU; 0 takes all cores.
        at_once: how many pictures are painted at a time; they share the threads.

    Raises:
        EngineError: nothing here does what was asked; every reason is in the message.
    """
    for value, known, option in ((engine, ENGINES, "engine"), (precision, PRECISIONS, "precision")):
        if value != "auto" and value not in known:
            raise UsageError(f"unknown --{option} '{value}'; known: auto, {', '.join(known)}")
    memory, key = _Memory(), _key(style, size, engine, precision, device, threads, at_once)
    if remembered := memory.recall(key):
        # Looking for candidates would load engines that may not be needed. But what ran yesterday may not run today: a
        # driver or an extra may have gone.
        with contextlib.suppress(EngineError, MissingExtraError, UsageError):
            return load_engine(style, remembered, size, threads, at_once)
    found = candidates(style, engine, precision, device)
    if len(found) == 1:
        return load_engine(style, found[0], size, threads, at_once)
    chosen, loaded = _measure(style, found, size, threads, at_once)
    memory.keep(key, chosen)
    return loaded


def candidates(style: Style, engine: str = "auto", precision: str = "auto", device: str = "auto") -> list[Placement]:
    """Where a style may run here, as far as can be told without loading it; see :func:`open_engine`."""
    engines = [engine] if engine != "auto" else ["onnxruntime", *(["openvino"] if _has_openvino() else [])]
    found: list[Placement] = []
    for name in engines:
        if precision != "auto":
            precisions = [precision]
        elif style.card.parent_sha256:
            precisions = ["int8"]
        else:
            precisions = ["f32", *(["bf16"] if name == "openvino" else []), *(["int8"] if style.quantized() else [])]
        for device_name in [device] if device != "auto" else _devices(name):
            found += [Placement(name, each, device_name) for each in precisions]
    return found


def _devices(engine: str) -> list[str]:
    if engine == "openvino":
        return ["cpu"]
    from .engines.onnxruntime_engine import devices

    return devices()


def _has_openvino() -> bool:
    return importlib.util.find_spec("openvino") is not None


def _measure(
    style: Style, placements: list[Placement], size: tuple[int, int], threads: int, at_once: int
) -> tuple[Placement, Engine]:
    picture = probe_picture(size)
    feeds = {**silent_inputs(style, size), "image": picture[np.newaxis]}
    reasons: list[str] = []
    loaded: list[tuple[Placement, Engine, Pixels]] = []
    for placement in placements:
        try:
            engine = load_engine(style, placement, size, threads, at_once)
            loaded.append((placement, engine, next(iter(engine.run(feeds).values()))))
        except (EngineError, MissingExtraError) as error:
            reasons.append(f"{placement}: {error}")
    if not loaded:
        raise EngineError("nothing here can run this style: " + "; ".join(reasons))
    # In turn, so that what else the machine does meanwhile slows all of them alike.
    times: list[list[float]] = [[] for _ in loaded]
    until = time.perf_counter() + _MEASURE_SECONDS * len(loaded)
    while not times[-1] or time.perf_counter() < until:
        for taken, (_, engine, _) in zip(times, loaded, strict=True):
            started = time.perf_counter()
            engine.run(feeds)
            taken.append(time.perf_counter() - started)
    results = [(float(np.median(taken)), *each) for taken, each in zip(times, loaded, strict=True)]
    exact = next((result[3] for result in results if result[1].precision == "f32"), None)
    if exact is None and not style.card.parent_sha256:
        exact = next(iter(load_engine(style, _REFERENCE, size, threads).run(feeds).values()))
    for _, placement, engine, painting in sorted(results, key=lambda result: result[0]):
        if exact is None or mean_difference(painting, exact) <= TOLERANCE:
            return placement, engine
    raise EngineError(f"no engine stays within {TOLERANCE:g}/255 of f32 at this precision; choose --precision f32")


def probe_picture(size: tuple[int, int]) -> Pixels:
    """A picture with detail on every scale, the same each time: uint8 H×W×3."""
    height, width = size
    random = np.random.default_rng(0)
    total = np.zeros((height, width, 3), np.float32)
    for cells in (4, 16, 64, 256):
        noise = random.normal(size=(min(cells, height), min(cells, width), 3)).astype(np.float32)
        total += cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR) * (30 if cells < 64 else 12)
    return np.clip(total + 128, 0, 255).astype(np.uint8)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _key(style: Style, size: tuple[int, int], *asked: object) -> str:
    machine = f"{platform.node()}:{platform.machine()}:{os.cpu_count()}"
    versions = f"onnxruntime {_version('onnxruntime')}, openvino {_version('openvino')}"
    quantized = style.quantized()
    styles = style.digest + (quantized.digest if quantized else "")
    return f"{styles}|{size[1]}x{size[0]}|{asked}|{machine}|{versions}"


class _Memory:
    """Remembered choices: a small JSON file in the user's application folder."""

    def __init__(self) -> None:
        folder = os.environ.get("ALLAPRIMA_CACHE") or typer.get_app_dir("allaprima")
        self._path = Path(folder) / "placements.json"

    def _read(self) -> dict[str, dict[str, str]]:
        try:
            table = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return table if isinstance(table, dict) else {}

    def recall(self, key: str) -> Placement | None:
        entry = self._read().get(key)
        try:
            return Placement(**entry) if entry else None
        except TypeError:
            return None

    def keep(self, key: str, placement: Placement) -> None:
        """Remembering is a convenience: where the folder can't be written, the next run measures again."""
        table = self._read()
        table[key] = {"engine": placement.engine, "precision": placement.precision, "device": placement.device}
        aside = self._path.with_suffix(f".{os.getpid()}.part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            aside.write_text(json.dumps(table, indent=1), encoding="utf-8")
            aside.replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                aside.unlink()
