"""The parts of ``live.py``: each starts ``allaprima live`` in one way and tells how it went."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from end_to_end import read_pictures, write_clip
from live_figures import Sample, at_rest, change_after, figures
from live_runs import TITLE, Keyboard, Live, busy, half_of_the_cores, repeat_clip
from onnx import TensorProto, helper, save_model
from peers import say
from quiet import Quiet

from allaprima.frame import SourceInfo
from allaprima.painter import Painter
from allaprima.style import Style, bundled_styles
from allaprima.stylizer import Stylizer

sys.path.append(str(Path(__file__).resolve().parents[1] / "examples" / "game"))

CAMERA, HD = (640, 480), (1280, 720)
"""(width, height)."""
CAMERA_RATE, HD_RATE = 30, 15
"""Frames a second. At 720p as many as two cores paint, since a frame that has to wait for the one before says nothing
of what the way of a frame costs."""
GOAL = ("--fps", "30", "--latency", "80ms")
KEPT = "--no-adapt"
"""What is measured stays the same, whatever else the machine does."""
_CLIP_SECONDS = 20
_SETTLE_SECONDS = 4.0
"""After the first frame, not counted."""
_PRESSES, _MOST_PRESSES = 10, 60
"""So many that nothing disturbed, of so many at most."""
_BESIDE = 0.5
"""Seconds before a key and behind the change in which the machine must have been left alone."""
_PAUSE = 1.5
"""Seconds between two keys."""
_LOAD_SECONDS = 60.0
_ALONE_SECONDS = 15.0
"""In which the machine is to have been left alone, for a setting to have come back by then."""
_LONG = 10
"""Times as long as is measured that clips last, for a machine that is seldom left alone."""
_ROUNDS, _TURN_SECONDS = 4, 10.0
"""Of the soak's run and another one, in turn, and how many quiet seconds of each."""
_SPARE_SECONDS = 120
"""For each of them to start and settle, and to wait for quiet."""
_CHANGES = 60
"""Of style, over the whole soak: in an hour, one a minute."""
Found = dict[str, Any]


class Parts:
    """What is measured, a method each, in this order: what needs a quiet machine comes first.

    Args:
        options: of the command line.
        folder: for clips.
        quiet: tells when the machine is left alone.
    """

    def __init__(self, options: argparse.Namespace, folder: Path, quiet: Quiet) -> None:
        self._options, self._folder, self._quiet = options, folder, quiet
        self._style, self._keyboard = Style.open(options.style), Keyboard()
        pictures = read_pictures(options.clip)
        beside = 2 * _ROUNDS * (_TURN_SECONDS + _SPARE_SECONDS)
        longest = max(options.minutes * 60 + beside, _LONG * options.seconds) + 120
        self._camera = self._clip("camera", pictures, CAMERA, CAMERA_RATE, longest)
        self._hd = self._clip("hd", pictures, HD, HD_RATE, _LONG * options.seconds + 120)
        self._still = self._clip("still", pictures[:1], CAMERA, CAMERA_RATE, 600)
        os.sync()  # else the first part has the disk's writing beside it

    def camera(self) -> Found:
        """A camera's size and rate, to the window, all defaults."""
        with self._live(self._camera) as live:
            live.watch(self._options.seconds / 2)  # the controller looks for its setting
            return {**figures(live.watch_quiet(self._options.seconds)), "placement": self._placement(CAMERA)}

    def pipeline(self) -> Found:
        """720p with coherence, without, and then also with a net that gives back the picture, as fast as it may."""
        found: Found = {"rate": HD_RATE}
        plain, empty = ("--coherence", "0"), self._empty_style()
        runs = ("default", (), None), ("plain", plain, None), ("empty", (*plain, "--range", "0-1"), empty)
        for name, options, style in runs:
            with self._live(self._hd, KEPT, *options, style=style) as live:
                live.watch(_SETTLE_SECONDS)
                found[name] = figures(live.watch_quiet(self._options.seconds))
        return found

    def change(self) -> Found:
        """Keys over a still picture: to a preloaded style, to those that are loaded then, and to some never used."""
        found: Found = {"rate": CAMERA_RATE}
        for name in ("unknown", "known"):
            with self._live(self._still, KEPT, beside=True, raw=True) as live:
                live.watch(_SETTLE_SECONDS)
                self._press(live, "Right")  # when this shows, it is loaded
                if name == "known":
                    found["preloaded"] = self._to_and_fro(live)
                found[name] = [self._press(live, "Right") for _ in self._others()[1:]]
        return found

    def budget(self) -> Found:
        """The goal of a camera, while other processes take half of the cores, and when they are gone."""
        spans: dict[str, tuple[list[Sample], list[Sample]]] = {}
        half = self._options.seconds / 2
        with self._live(self._camera, *GOAL) as live:
            live.watch(_SETTLE_SECONDS)
            spans["before"] = live.watch_alone(_ALONE_SECONDS), live.watch_quiet(half)
            with busy(half_of_the_cores()):
                spans["under load"] = live.watch(half), live.watch_quiet(half)
            gone = time.monotonic()
            spans["after"] = live.watch_alone(_ALONE_SECONDS), live.watch_quiet(half)
        phases = {
            name: {**figures(first + second), "steady": figures(second)} for name, (first, second) in spans.items()
        }
        usual = phases["before"]["steady"]["settings"][0][0]
        after = spans["after"][0] + spans["after"][1]
        back = next((sample.at - gone for sample in after if sample.line["setting"] == usual), None)
        return {"goal": " ".join(GOAL), "others": half_of_the_cores(), "phases": phases, "back_s": back}

    def game(self) -> Found:
        """A race of SuperTuxKart, drawn by the same cores, its window captured and painted into another one."""
        from paint_game import GAMES, Name

        goal, game = ("--fps", f"{self._options.game_fps:g}"), GAMES[Name.SUPERTUXKART]
        with game.start(os.environ["DISPLAY"], self._options.track, game.hero, *HD):
            self._keyboard.move(game.title, 0, 0)
            with self._live(f"screen:{game.title}", *goal) as live:
                self._keyboard.move(TITLE, HD[0], 0)  # what lies over the game would be painted, too
                live.watch(self._options.seconds / 2)  # the controller looks for its setting
                samples = live.watch_quiet(1.5 * self._options.seconds)
        return {"goal": " ".join(goal), "track": self._options.track, **figures(samples)}

    def soak(self) -> Found:
        """A camera for an hour, to the window and to nowhere; now and then the next style is asked for.

        Then it goes on in turn with runs begun anew, stopped meanwhile: in an hour, the machine may have changed.
        """
        seconds = self._options.minutes * 60
        with self._live(self._camera, KEPT, "--to", "null", beside=True) as live:
            begun, first = time.monotonic(), len(live.samples)
            for turn in range(_CHANGES):
                live.watch(begun + (turn + 1) * seconds / _CHANGES - time.monotonic())
                self._keyboard.press(TITLE, "Right")
                if turn % 10 == 9:
                    say(f"soak: {turn + 1} of {_CHANGES}")
            samples = live.samples[first:]
            late = self._beside_new(live)
        tenth = max(len(samples) // 10, 2)
        memory = np.array([sample.memory for sample in samples[tenth:]])
        times = np.array([sample.at for sample in samples[tenth:]])
        return {
            "minutes": self._options.minutes,
            "changes": _CHANGES,
            "memory": {
                "least": float(memory.min()),
                "most": float(memory.max()),
                "median": float(np.median(memory)),
                "slope_hour": float(np.polyfit(times, memory, 1)[0] * 3600),
            },
            "all": figures(samples),
            "first": figures(samples[tenth : 2 * tenth]),
            "last": figures(samples[-tenth:]),
            **late,
            "curve": [[round(sample.at - begun), round(sample.memory, 1)] for sample in samples[:: max(tenth // 6, 1)]],
        }

    def _beside_new(self, live: Live) -> Found:
        """Latency of a run, and of others between, begun anew with the style that it shows."""
        seconds: dict[str, list[Sample]] = {"old": [], "new": []}
        for _ in range(_ROUNDS):
            live.watch(_SETTLE_SECONDS)
            seconds["old"] += live.watch_quiet(_TURN_SECONDS)
            with live.stopped(), self._live(self._camera, KEPT, style=live.samples[-1].line["style"]) as fresh:
                fresh.watch(_SETTLE_SECONDS)
                seconds["new"] += fresh.watch_quiet(_TURN_SECONDS)
        return {name: {part: figures(each)[part] for part in ("p50", "p95")} for name, each in seconds.items()}

    def _clip(self, name: str, pictures: Sequence[Any], size: tuple[int, int], rate: int, seconds: float) -> Path:
        say(f"a clip of {size[0]}x{size[1]}, {seconds:.0f} s: {name}")
        short = write_clip(self._folder / f"{name}-short.mp4", pictures, size, _CLIP_SECONDS * rate, rate)
        return repeat_clip(self._folder / f"{name}.mp4", short, seconds)

    def _empty_style(self) -> Path:
        """A style whose painting is the picture."""
        sides = {name: [1, 3, f"{name}_height", f"{name}_width"] for name in ("image", "painting")}
        ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, sides[name])] for name in sides]
        graph = helper.make_graph([helper.make_node("Identity", ["image"], ["painting"])], "empty", *ends)
        path = self._folder / "empty.onnx"
        save_model(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)]), path)
        return path

    def _live(
        self,
        source: Path | str,
        *options: str,
        style: Path | str | None = None,
        beside: bool = False,
        raw: bool = False,
    ) -> Live:
        """A run in the window, with the style and, where it is to be changed, the first other bundled one preloaded."""
        styles = ",".join([str(style or self._options.style), *self._others()[:beside]])
        return Live(["--from", str(source), "--to", "window", "--style", styles, *options], self._quiet, raw=raw)

    def _others(self) -> list[str]:
        return [path.stem for path in bundled_styles() if path.stem != self._style.name]

    def _to_and_fro(self, live: Live) -> list[Found]:
        """Changes between the two styles that are loaded, those during which the machine was left alone."""
        presses: list[Found] = []
        while sum(press["quiet"] for press in presses) < _PRESSES and len(presses) < _MOST_PRESSES:
            presses += [self._press(live, key) for key in ("Left", "Right")]
        return [press for press in presses if press["quiet"]]

    def _press(self, live: Live, key: str) -> Found:
        """Press a key and wait until it shows."""
        live.wait(lambda: at_rest(live.frames), _LOAD_SECONDS, "come to rest")
        pressed = self._keyboard.press(TITLE, key)
        live.wait(lambda: change_after(live.frames, pressed) is not None, _LOAD_SECONDS, "changed its style")
        live.watch(_PAUSE)
        found = change_after(live.frames, pressed)
        assert found is not None
        lines = [sample.line for sample in live.samples if pressed < sample.at < pressed + found["seconds"] + 1]
        del live.frames[:-CAMERA_RATE]
        quiet = self._quiet.was(pressed - _BESIDE, pressed + found["seconds"] + _BESIDE)
        return {**found, "quiet": quiet, "least_fps": min((line["fps"] for line in lines), default=None)}

    def _placement(self, size: tuple[int, int]) -> str:
        """What runs at a size, as it is remembered from then on."""
        info = SourceInfo(*size, Fraction(CAMERA_RATE), Fraction(1, CAMERA_RATE))
        return Stylizer(Painter(self._style), coherence=1.0).prepare(info)
