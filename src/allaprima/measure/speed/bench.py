"""How fast styles are: engines and precisions in turn, beside the machine's own ceilings."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...engine import ENGINES, Engine, Feeds, Placement, load_engine, silent_inputs
from ...errors import AllaprimaError, StyleError
from ...failure import Failure
from ...frame import Pixels
from ...placement import probe_picture
from ...style import MINIMUM_SIDE, Style
from ..machine import describe_machine
from . import layers, roofline, stages
from .memory import FRAMES, resident_mib
from .stages import StageClip
from .timing import Clocks, Neighbors, Samples, Stage, ratio, run_in_turn, summarize

_LAYERS_SIZE = (720, 540)
_CAN = {"onnxruntime": ("f32", "int8"), "openvino": ("f32", "bf16", "int8")}
"""What engines run on a CPU."""

DEFINITIONS = {
    "frame": "8-bit RGB in to 8-bit RGB out of the engine: the same as infer; fps: 1 over its median",
    "whole": "all stages but show, added up round by round as if nothing overlapped; null without --stages",
    "median_ms": "over the rounds after warm-up; p95_ms: 95th percentile, linear between the two nearest; spread_ms:"
    " 75th less 25th percentile",
    "rounds": "all styles and placements of one size are loaded together and run in turn, one frame each (A B A B);"
    " ONNX Runtime's idle threads don't spin",
    "ratios": "infer of one over infer of the other, round by round; median and spread of those",
    "memory_mib": f"resident memory of a process of its own that holds this engine alone and has painted {FRAMES}"
    " frames, Python and libraries included",
    "others_cpu": "share of the machine's CPU time that other processes took while the engines ran, of the size where"
    " it was largest; above a few hundredths all times are too long",
    "precision": "as read back from the compiled graph",
}
"""What the figures of this module mean, a sentence each."""


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    styles: Sequence[Style]
    sizes: Sequence[tuple[int, int]]
    """(width, height) in pixels."""
    engines: Sequence[str] | None = None
    """Of :data:`~allaprima.engine.ENGINES`; None takes those that are installed."""
    precisions: Sequence[str] | None = None
    """Of :data:`~allaprima.engine.PRECISIONS`; None takes those that each engine can do."""
    rounds: int = 12
    warm_up: int = 2
    threads: int = 0
    """Of the engines; 0 takes all cores."""
    stages: bool = False


@dataclass(frozen=True)
class Tools:
    """What measures; replaced in tests."""

    load: Callable[[Style, Placement, tuple[int, int], int], Engine] = load_engine
    memory: Callable[[Style, Placement, tuple[int, int], int], float] = resident_mib
    peaks: Callable[..., roofline.Peaks] = roofline.measure_peaks
    clocks: Clocks = field(default_factory=Clocks)


_Around = dict[Style, dict[str, Stage]]
"""By style, the stages before and after its net."""


def placements(style: Style, engines: Sequence[str] | None, precisions: Sequence[str] | None) -> list[Placement]:
    """Where to run a style on the CPU: what was named, and of the rest whatever can be done here.

    Engine and precision both named stand for every pair of them, and a pair that can't be done is an error to be
    reported; where one of them is left open, it follows the other.
    """
    named = engines or [name for name in ENGINES if name != "openvino" or _has("openvino")]
    found = []
    for engine in named:
        able = [each for each in _CAN[engine] if _sensible(style, engine, each)]
        if precisions is None:
            found += [Placement(engine, each) for each in able]
        else:
            found += [Placement(engine, each) for each in precisions if engines or each in able]
    if not found and precisions is not None:
        return [Placement(engine, each) for engine in named for each in precisions]
    return found


def _sensible(style: Style, engine: str, precision: str) -> bool:
    if style.card.parent_sha256 or precision == "int8":
        return precision == "int8" and style.quantized() is not None
    if precision == "bf16":
        return _has("openvino") and _has_bfloat16()
    return True


def _has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _has_bfloat16() -> bool:
    from ...engines.openvino_engine import core

    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@dataclass(frozen=True)
class _Entrant:
    """One style in one placement at one size."""

    style: Style
    placement: Placement
    size: tuple[int, int]
    """(width, height)."""

    def __str__(self) -> str:
        return f"{self.style.name}, {self.placement.engine} {self.placement.precision}"

    @property
    def shape(self) -> tuple[int, int]:
        return self.size[1], self.size[0]


class Bench:
    """Measures a plan, size by size; only one size's engines are in memory at a time.

    Args:
        plan: what to measure.
        tools: what to measure with.
        say: told what is being done.
    """

    def __init__(self, plan: Plan, tools: Tools | None = None, say: Callable[[str], None] = lambda what: None) -> None:
        self._plan, self._tools, self._say = plan, tools or Tools(), say
        self.failures: list[Failure] = []
        """What couldn't be measured so far, and why."""
        self._rows: list[dict[str, Any]] = []
        self._ratios: list[dict[str, Any]] = []
        self._layers: dict[str, list[dict[str, Any]]] = {}
        self._notes: dict[str, str] = {}
        self._others = 0.0
        sizes = list(plan.sizes)
        self._layers_size = _LAYERS_SIZE if _LAYERS_SIZE in sizes else sizes[0]

    def run(self) -> dict[str, Any]:
        """The result as plain values for JSON; see :attr:`failures` for what isn't in it."""
        plan = self._plan
        candidates = [(style, self._placements(style)) for style in plan.styles]
        self._say("the machine's peaks")
        asked = {each.precision for _, found in candidates for each in found}
        peaks = self._tools.peaks(asked, threads=plan.threads)
        scene = stages.scene_frames() if plan.stages else None
        for size in plan.sizes:
            entrants = [_Entrant(style, each, size) for style, found in candidates for each in found]
            peaks = self._measure_size(size, entrants, peaks, scene)
        for row in self._rows:
            _place(row, peaks)
        reasons = {f"peak {name}": f"null: {reason}" for name, reason in peaks.reasons.items()}
        definitions = {**DEFINITIONS, **layers.DEFINITIONS, **roofline.DEFINITIONS, **stages.DEFINITIONS}
        if not plan.stages:
            definitions["stages"] = "null but for infer: not measured, which takes --stages"
        return {
            "kind": "bench",
            "machine": describe_machine(),
            "protocol": {
                "rounds": plan.rounds,
                "warm_up": plan.warm_up,
                "threads": plan.threads or os.cpu_count() or 1,
                "others_cpu": self._others,
                "layers_size": _name(self._layers_size),
                "definitions": {**definitions, **reasons, **self._notes},
            },
            "peaks": peaks.to_dict(),
            "rows": self._rows,
            "ratios": self._ratios,
            "layers": self._layers,
            "failures": [failure.to_dict() for failure in self.failures],
        }

    def _placements(self, style: Style) -> list[Placement]:
        try:
            return placements(style, self._plan.engines, self._plan.precisions)
        except AllaprimaError as error:
            self.failures.append(Failure(style.name, error))
            return []

    def _measure_size(
        self,
        size: tuple[int, int],
        entrants: Sequence[_Entrant],
        peaks: roofline.Peaks,
        scene: Sequence[Pixels] | None,
    ) -> roofline.Peaks:
        """Add the rows of one size; the peaks, where their products ran better meanwhile."""
        engines = self._load(entrants)
        self._say(f"{_name(size)}: {len(engines)} in turn")
        shape = size[1], size[0]
        picture = probe_picture(shape)[np.newaxis]
        feeds = {style: {**silent_inputs(style, shape), "image": picture} for style in {each.style for each in engines}}
        runs = {entrant: _Run(entrant, engine, feeds[entrant.style]) for entrant, engine in engines.items()}
        ran = {entrant: engine.placement for entrant, engine in engines.items()}
        products = {
            name: peak.burst
            for name, peak in peaks.products.items()
            if peak is not None and any(each.precision == name for each in ran.values())
        }
        neighbors = Neighbors(self._tools.clocks)
        times, errors = run_in_turn(
            {**products, **runs}, rounds=self._plan.rounds, warm_up=self._plan.warm_up, clocks=self._tools.clocks
        )
        self._others = max(self._others, neighbors.share())
        self.failures += [Failure(f"{entrant} at {_name(size)}", error) for entrant, error in errors.items()]
        samples = {entrant: times[entrant] for entrant in runs if entrant in times}
        around: _Around = {}
        if scene:
            try:
                around = self._around(size, {key: runs[key] for key in samples}, feeds, scene)
            except AllaprimaError as error:
                self.failures.append(Failure(f"stages at {_name(size)}", error))
        del engines, runs
        self._compare(samples)
        profiles: dict[Style, layers.Profile | None] = {}
        for entrant, found in samples.items():
            if entrant.style not in profiles:
                profiles[entrant.style] = self._profile(entrant)
            row = self._row(entrant, ran[entrant], found, around.get(entrant.style, {}))
            profile = profiles[entrant.style]
            row["gmac"] = None if profile is None else profile.gmac
            row["mib"] = None if profile is None else profile.mib(ran[entrant].precision)
            self._rows.append(row)
        return peaks.after({name: times[name].wall for name in products})

    def _load(self, entrants: Sequence[_Entrant]) -> dict[_Entrant, Engine]:
        engines: dict[_Entrant, Engine] = {}
        refused: set[Style] = set()
        for entrant in entrants:
            if entrant.style in refused:
                continue
            try:
                _check_size(entrant)
            except StyleError as error:
                refused.add(entrant.style)
                self.failures.append(Failure(f"{entrant.style.name} at {_name(entrant.size)}", error))
                continue
            try:
                engines[entrant] = self._tools.load(entrant.style, entrant.placement, entrant.shape, self._plan.threads)
            except AllaprimaError as error:
                self.failures.append(Failure(f"{entrant} at {_name(entrant.size)}", error))
        return engines

    def _around(
        self,
        size: tuple[int, int],
        runs: Mapping[_Entrant, _Run],
        feeds: Mapping[Style, Feeds],
        scene: Sequence[Pixels],
    ) -> _Around:
        """The stages around each style's net; each style's own paintings are encoded."""
        self._say(f"{_name(size)}: decode, convert, encode")
        found: _Around = {}
        with tempfile.TemporaryDirectory(prefix="allaprima-") as folder:
            clip = StageClip(Path(folder), scene, size, self._tools.clocks)
            before = {"decode": clip.decoding, "convert": clip.conversion}
            for entrant, run in runs.items():
                if entrant.style not in found:
                    given = feeds[entrant.style]
                    painted = [run({**given, "image": frame[np.newaxis]}) for frame in clip.frames]
                    back, encoding = clip.write(painted)
                    found[entrant.style] = {**before, "convert back": back, "encode": encoding}
        return found

    def _compare(self, samples: Mapping[_Entrant, Samples]) -> None:
        first = next(iter(samples), None)
        for entrant in samples:
            if first is not None and entrant is not first:
                figures = ratio(samples[entrant].wall, samples[first].wall)
                self._ratios.append({"of": str(entrant), "to": str(first), "size": _name(entrant.size), **figures})

    def _profile(self, entrant: _Entrant) -> layers.Profile | None:
        listed = entrant.size == self._layers_size
        try:
            profile = layers.profile_style(
                entrant.style, entrant.shape, threads=self._plan.threads, runs=5 if listed else 1
            )
        except AllaprimaError as error:
            self.failures.append(Failure(f"{entrant.style.name}, layers at {_name(entrant.size)}", error))
            return None
        if listed:
            self._layers[entrant.style.name] = [layer.to_dict() for layer in profile.layers]
        if not profile.optimized:
            self._notes[f"layers of {entrant.style.name}"] = "of the graph as written, nothing fused"
        return profile

    def _row(self, entrant: _Entrant, ran: Placement, times: Samples, around: Mapping[str, Stage]) -> dict[str, Any]:
        frame = summarize(times.wall)
        return {
            "style": entrant.style.name,
            "size": _name(entrant.size),
            **asdict(ran),
            "threads": self._plan.threads or os.cpu_count() or 1,
            "stages": {
                **dict.fromkeys(stages.NAMES),
                **{name: summarize(stage.seconds, stage.cpu) for name, stage in around.items()},
                "infer": summarize(times.wall, float(np.median(times.cpu))),
            },
            "frame": frame,
            "whole": summarize(whole_frames(times.wall, around.values())) if around else None,
            "fps": 1e3 / frame["median_ms"],
            "memory_mib": self._memory(entrant),
        }

    def _memory(self, entrant: _Entrant) -> float | None:
        try:
            return self._tools.memory(entrant.style, entrant.placement, entrant.shape, self._plan.threads)
        except AllaprimaError as error:
            self.failures.append(Failure(f"{entrant} at {_name(entrant.size)}", error))
            return None


def whole_frames(infer: Sequence[float], others: Iterable[Stage]) -> list[float]:
    """Seconds of whole frames, one for each of ``infer``: each stage's times are added in turn, again from the first
    where they are fewer."""
    stages_around = list(others)
    return [
        seconds + sum(stage.seconds[index % len(stage.seconds)] for stage in stages_around)
        for index, seconds in enumerate(infer)
    ]


class _Run:
    """One frame of an entrant; the painting comes back."""

    def __init__(self, entrant: _Entrant, engine: Engine, feeds: Feeds) -> None:
        self._entrant, self._engine, self._feeds = entrant, engine, feeds

    def __call__(self, feeds: Feeds | None = None) -> Pixels:
        given = feeds or self._feeds
        painting = next(iter(self._engine.run(given).values()))
        if painting.shape != given["image"].shape:
            raise StyleError(
                f"style '{self._entrant.style.name}' made {painting.shape[2]}x{painting.shape[1]} of"
                f" {_name(self._entrant.size)}: if its sides must be multiples of N, say --stride N"
            )
        return np.asarray(painting[0], np.uint8)


def _place(row: dict[str, Any], peaks: roofline.Peaks) -> None:
    """Say in a row where it stands under the machine's ceilings."""
    peak = peaks.products.get(row["precision"])
    where = None
    if peak is not None and row["gmac"] is not None:
        seconds = row["frame"]["median_ms"] / 1e3
        where = roofline.position(row["gmac"], row["mib"], seconds, peak.gmac_s, peaks.copy_gib_s)
    row["peak_share"] = None if where is None else where.share
    row["bound"] = None if where is None else where.bound


def _check_size(entrant: _Entrant) -> None:
    style, shape = entrant.style, entrant.shape
    if style.fixed_size not in (None, shape):
        height, width = style.fixed_size or shape
        raise StyleError(f"style '{style.name}' paints {width}x{height} only: measure it with --sizes {width}x{height}")
    least = max(MINIMUM_SIDE, 1 if style.card.pads else style.card.stride)
    if style.fixed_size is None and min(shape) < least:
        raise StyleError(f"style '{style.name}' paints from {least}x{least} pixels on: give a larger size")


def _name(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
