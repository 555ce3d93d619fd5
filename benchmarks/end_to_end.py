"""Whole commands side by side, from their start to the finished file, and the memory that ours take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from adapters import Peer
from net_alone import Say, open_net, pairwise
from numpy.typing import NDArray

from allaprima.errors import AllaprimaError
from allaprima.frame import Pixels
from allaprima.source import open_source
from allaprima.stylizer import scale

_WATCH = """
import json, resource, subprocess, sys, time
started = time.perf_counter()
done = subprocess.run(sys.argv[1:], capture_output=True, text=True)
wall = time.perf_counter() - started
used = resource.getrusage(resource.RUSAGE_CHILDREN)
peak = used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
found = {"code": done.returncode, "output": done.stdout, "errors": done.stderr}
print(json.dumps({**found, "wall": wall, "cpu": used.ru_utime + used.ru_stime, "peak_mib": peak}))
"""
_HD = (1920, 1080)
_HD_FRAMES = (60, 240)
START_FRAMES = 10
"""Length of the short run that tells what starting costs."""
_NET_RUNS = 4
_COMMANDS_ONLY = ("steady_fps", "start_s", "cpu_s", "wall_cores_over_cpu", "peak_mib")


class BenchmarkError(AllaprimaError):
    """A command that was to be timed failed, or made something else than it should."""


@dataclass(frozen=True)
class Usage:
    """What one run took."""

    wall: float
    """Seconds, start included."""
    cpu: float | None = None
    """Seconds of all cores together."""
    peak_mib: float | None = None
    output: str = ""


def make_clip(path: Path, source: Path, size: tuple[int, int], frames: int) -> Path:
    """Turn a clip into H.264 of (width, height), played forth and back until it has that many frames."""
    return write_clip(path, read_pictures(source), size, frames)


def read_pictures(source: Path | str) -> list[Pixels]:
    """Every frame of a clip or of ``scene[:NAME]``, uint8 H×W×3 RGB."""
    with open_source(str(source)) as opened:
        return [frame.pixels for frame in opened.frames()]


def write_clip(path: Path, pictures: Sequence[Pixels], size: tuple[int, int], frames: int, rate: int = 30) -> Path:
    """Write pictures, forth and back, as so many frames of H.264 of (width, height), at so many a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(rate), options={"preset": "veryfast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for picture in islice(cycle([*pictures, *pictures[-2:0:-1]]), frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scale(picture, size), format="rgb24")))
        container.mux(stream.encode(None))
    return path


def run_command(command: Sequence[str], cache: Path | None = None) -> Usage:
    """Run a command as a process of its own.

    Args:
        command: what to run.
        cache: where allaprima remembers its choice of engine; None: where it always does.

    Raises:
        BenchmarkError: it failed; the message holds its last words.
    """
    environment = {**os.environ, **({"ALLAPRIMA_CACHE": str(cache)} if cache else {})}
    # A small process in between: the peak of a child starts from that of the process that forked it.
    watched = subprocess.run(
        [sys.executable, "-c", _WATCH, *command], stdout=subprocess.PIPE, check=True, env=environment
    )
    found = json.loads(watched.stdout)
    if found["code"]:
        words = found["errors"].strip().splitlines() or ["it said nothing"]
        short = " ".join(Path(part).name for part in command[:5])
        raise BenchmarkError(f"'{short} …' ended with exit code {found['code']}: {words[-1]}")
    return Usage(found["wall"], found["cpu"], found["peak_mib"], found["output"])


def run_video(peer: Peer, clip: Path, frames: int, size: tuple[int, int], cache: Path) -> Usage:
    """Paint a clip of (height, width) by a peer's own command, and look at what came out.

    Raises:
        BenchmarkError: it has none, it failed, or its result isn't the whole clip at its size.
    """
    out = clip.with_name("out.mp4")
    out.unlink(missing_ok=True)
    command = peer.video_command(clip, out, size)
    if command is None:
        raise BenchmarkError(f"{peer.name} has no command for videos")
    usage = run_command(command, cache)
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        height, width = stream.height, stream.width
        count = sum(1 for packet in container.demux(stream) if packet.size)
    if (count, height, width) != (frames, *size):
        raise BenchmarkError(
            f"{peer.name} made {count} frames of {width}×{height}, not {frames} of {size[1]}×{size[0]}"
        )
    return usage


def whole(
    peers: Sequence[Peer], source: Path, folder: Path, *, size: tuple[int, int], frames: int, rounds: int, say: Say
) -> dict[str, Any]:
    """From the start of the command to the finished file, in turn; a peer without a command: its net alone.

    A run of a few frames beside each full one tells the start from the steady rate. The first, uncounted, short runs
    let allaprima choose its engine, which it remembers, and bring every file into the system's cache.

    Args:
        peers: whom to time; those with neither command nor net are left out.
        source: the clip that is scaled and repeated.
        folder: for clips and results.
        size: (height, width).
        frames: length of the clip, more than 10.
        rounds: how often.
        say: told of the progress.

    Returns:
        ``size``, ``frames``, ``short_frames``, ``rounds``, ``cores``, ``rows``, ``ratios`` (see
        :func:`~net_alone.pairwise`; start included) and ``failures``. A row's figures are medians of the rounds; None
        where there is nothing to measure.
    """
    clips = {n: make_clip(folder / f"clip-{n}.mp4", source, size[::-1], n) for n in (START_FRAMES, frames)}
    failures: list[dict[str, str]] = []
    running: dict[str, _Contender] = {}
    for peer in peers:
        say(f"whole, warm-up: {peer.name}")
        try:
            contender = _Contender(peer, clips, size, folder / "cache")
            if contender.runs:
                contender.run(START_FRAMES)
                running[peer.name] = contender
        except AllaprimaError as error:
            failures.append({"name": f"{peer.name}, whole", "error": str(error)})
    for turn in range(rounds):
        for name, contender in list(running.items()):
            say(f"whole, round {turn + 1} of {rounds}: {name}")
            try:
                contender.measure(frames)
            except AllaprimaError as error:
                failures.append({"name": f"{name}, whole", "error": str(error)})
                del running[name]
    measured = [peer for peer in peers if peer.name in running]
    walls = {name: [usage.wall for usage in contender.full] for name, contender in running.items()}
    return {
        "size": f"{size[1]}x{size[0]}",
        "frames": frames,
        "short_frames": START_FRAMES,
        "rounds": rounds,
        "cores": os.cpu_count(),
        "rows": [running[peer.name].row(frames) for peer in measured],
        "ratios": pairwise(measured, walls),
        "failures": failures,
    }


class _Contender:
    """One peer's turn: its command, or else its net alone for as many frames."""

    def __init__(self, peer: Peer, clips: dict[int, Path], size: tuple[int, int], cache: Path) -> None:
        self._peer, self._clips, self._size, self._cache = peer, clips, size, cache
        self.full: list[Usage] = []
        self._short: list[Usage] = []
        self._command = peer.video_command(Path("clip.mp4"), Path("out.mp4"), size)
        self._net = peer.net(size) if self._command is None else None
        self._infer = open_net(self._net) if self._net is not None else None
        self.runs = self._command is not None or self._net is not None
        self._placement = "onnxruntime f32 on cpu" if self._net is not None else ""

    def run(self, frames: int) -> Usage:
        if self._infer is None:
            usage = run_video(self._peer, self._clips[frames], frames, self._size, self._cache)
            self._placement = self._peer.placement(usage.output)
            return usage
        times = []
        for _ in range(_NET_RUNS):
            started = time.perf_counter()
            self._infer()
            times.append(time.perf_counter() - started)
        # A net takes as long for one frame as for the next.
        return Usage(float(np.median(times)) * frames)

    def measure(self, frames: int) -> None:
        """One round: the short clip, where there is a start to tell apart, and the full one."""
        if self._infer is None:
            self._short.append(self.run(START_FRAMES))
        self.full.append(self.run(frames))

    def row(self, frames: int) -> dict[str, Any]:
        walls = np.array([usage.wall for usage in self.full])
        low, high = np.percentile(walls, (25, 75))
        size = self._net.size if self._net is not None else self._size
        row: dict[str, Any] = {
            "name": self._peer.name,
            "against": self._peer.against,
            "what": "command" if self._command else "net alone",
            "command": " ".join(["python", *self._command[1:]]) if self._command else None,
            "size": f"{size[1]}x{size[0]}",
            "placement": self._placement,
            "wall_s": float(np.median(walls)),
            "spread_s": float(high - low),
            "fps": float(np.median(frames / walls)),
        }
        return row | (self._around(frames, walls) if self._command else dict.fromkeys(_COMMANDS_ONLY))

    def _around(self, frames: int, walls: NDArray[np.float64]) -> dict[str, float]:
        starts = np.array([usage.wall for usage in self._short])
        rates = (walls - starts) / (frames - START_FRAMES)
        cpu = np.array([usage.cpu for usage in self.full], float)
        figures = (
            1 / rates,
            starts - rates * START_FRAMES,
            cpu,
            walls * (os.cpu_count() or 1) / cpu,
            np.array([usage.peak_mib for usage in self.full], float),
        )
        return {name: float(np.median(values)) for name, values in zip(_COMMANDS_ONLY, figures, strict=True)}


@dataclass(frozen=True)
class Job:
    """A command to be timed: a peer's, on a clip."""

    peer: Peer
    clip: Path
    short: Path
    """The beginning of the same clip, of :data:`START_FRAMES` frames."""
    frames: int
    size: tuple[int, int]
    """(height, width)."""

    def run(self, cache: Path) -> Usage:
        """Paint the whole clip; see :func:`run_video`."""
        return run_video(self.peer, self.clip, self.frames, self.size, cache)

    def warm_up(self, cache: Path) -> Usage:
        """Paint the short clip, so that allaprima chooses its engine, and files are in the system's cache."""
        return run_video(self.peer, self.short, START_FRAMES, self.size, cache)


def take_turns(
    jobs: Mapping[str, Job], rounds: int, cache: Path, say: Say
) -> tuple[dict[str, list[Usage]], list[dict[str, str]]]:
    """Time commands in turn, A B A B, each after a short run that doesn't count.

    Returns:
        By name, what each round took, of what ran through; and ``name`` and ``error`` of what failed, which is left out
        from then on.
    """
    found: dict[str, list[Usage]] = {name: [] for name in jobs}
    failures: list[dict[str, str]] = []
    for turn in range(rounds + 1):
        for name in list(found):
            say(f"round {turn} of {rounds}: {name}" if turn else f"warm-up: {name}")
            try:
                usage = jobs[name].run(cache) if turn else jobs[name].warm_up(cache)
            except AllaprimaError as error:
                failures.append({"name": name, "error": str(error)})
                del found[name]
                continue
            if turn:
                found[name].append(usage)
    return found, failures


def memory(peers: Iterable[Peer], source: Path, folder: Path, say: Say) -> dict[str, Any]:
    """Peak memory of our commands over a short and a four times longer clip of 1080p: it must not grow with length."""
    clips = {n: make_clip(folder / f"hd-{n}.mp4", source, _HD, n) for n in _HD_FRAMES}
    rows, failures = [], []
    for peer in peers:
        if peer.against:
            continue
        say(f"memory: {peer.name}")
        try:
            runs = {n: run_video(peer, clip, n, _HD[::-1], folder / "cache") for n, clip in clips.items()}
        except AllaprimaError as error:
            failures.append({"name": f"{peer.name}, memory", "error": str(error)})
            continue
        peaks = {str(n): usage.peak_mib for n, usage in runs.items()}
        ran = peer.placement(runs[_HD_FRAMES[-1]].output)
        rows.append({"name": peer.name, "placement": ran, "peak_mib": peaks})
    return {"size": f"{_HD[0]}x{_HD[1]}", "rows": rows, "failures": failures}
