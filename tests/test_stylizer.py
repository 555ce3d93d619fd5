"""Frames into frames: the phase lock around a painter, cuts, sizes, and coherence off."""

from __future__ import annotations

import importlib
import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import nets
import numpy as np
import pytest
from numpy.typing import NDArray
from test_phase_lock import view
from typer.testing import CliRunner

from allaprima.api import stylize_video
from allaprima.cli import app
from allaprima.errors import EngineError, UsageError
from allaprima.frame import Frame, Pixels, SourceInfo
from allaprima.painter import Painter, State
from allaprima.picture import write_picture
from allaprima.refiner import Refiner
from allaprima.source import open_source
from allaprima.style import Style
from allaprima.stylizer import Stylizer, scale, with_colors_of

TEXTURE = np.random.default_rng(1).integers(0, 100, (4, 4, 3)).astype(np.uint8)


class GridPainter:
    """Half the picture's light, and a texture of period 4 that hangs on the screen."""

    def __init__(self, stride: int = 4, *, remembers: bool = False) -> None:
        self.stride = stride
        self.noise_gain = 1.0
        self.sizes: list[tuple[int, ...]] = []
        self.states: list[State] = []
        self._remembers = remembers

    def prepare(self, height: int, width: int) -> str:
        return f"grid {width}x{height}"

    def paint(self, pixels: Pixels, state: State) -> tuple[Pixels, State]:
        self.sizes.append(pixels.shape[:2])
        self.states.append(state)
        height, width = pixels.shape[:2]
        texture = np.tile(TEXTURE, (-(-height // 4), -(-width // 4), 1))[:height, :width]
        return pixels // 2 + texture, {"state.0": np.ones(1)} if self._remembers else {}

    def for_work_size(self) -> tuple[GridPainter, float]:
        return self, 1.0


def paint_all(stylizer: Stylizer, pictures: list[Pixels]) -> list[NDArray[np.int64]]:
    """The paintings, as signed integers."""
    return [stylizer.stylize(Frame(picture)).pixels.astype(int) for picture in pictures]


def windows(steps: list[tuple[int, int]]) -> list[Pixels]:
    """A still picture seen through a window that has gone so far right and down."""
    picture = view(size=(400, 300))
    return [picture[20 + y : 260 + y, 20 + x : 340 + x] for x, y in steps]


@pytest.mark.parametrize("coherence", [0.01, 0.5, 1.0])
@pytest.mark.parametrize("step", [(1, 0), (2, 1), (3, 3), (0, 2)])
def test_strokes_ride_along_with_a_pan(coherence: float, step: tuple[int, int]) -> None:
    """Protects the point of it all: the strokes of a panned still picture move with it, at the slightest coherence."""
    steps = [(step[0] * index, step[1] * index) for index in range(8)]
    paintings = paint_all(Stylizer(GridPainter(), coherence=coherence), windows(steps))
    plain = paint_all(Stylizer(GridPainter(), coherence=0), windows(steps))
    x, y = step
    old, new = np.s_[y + 8 : -8, x + 8 : -8], np.s_[8 : -8 - y, 8 : -8 - x]
    for before, now in itertools.pairwise(paintings):
        assert np.abs(before[old] - now[new]).mean() < 0.5
    assert np.abs(plain[0][old] - plain[1][new]).mean() > 20


def test_paintings_lie_over_their_frames() -> None:
    """Protects alignment and edges: whatever the shift, what is painted lies over the frame, to its last pixel."""

    class Copying(GridPainter):
        def paint(self, pixels: Pixels, state: State) -> tuple[Pixels, State]:
            return pixels.copy(), {}

    frames = windows([(index, 2 * index) for index in range(6)])
    for painted, frame in zip(paint_all(Stylizer(Copying()), frames), frames, strict=True):
        assert np.abs(painted - frame).mean() < 0.5
    sub_pixel = [view(0.4 * index, 0.3 * index) for index in range(6)]
    for painted, frame in zip(paint_all(Stylizer(Copying()), sub_pixel), sub_pixel, strict=True):
        assert np.abs(painted - frame).mean() < 1.5


def test_coherence_off_is_the_painter_alone() -> None:
    """Protects the zero of the dial: byte for byte what the painter makes of each frame by itself."""
    painter = GridPainter()
    frames = windows([(index, 0) for index in range(4)])
    for painted, frame in zip(paint_all(Stylizer(painter, coherence=0), frames), frames, strict=True):
        assert np.array_equal(painted, GridPainter().paint(frame, {})[0])
    assert set(painter.sizes) == {(240, 320)}


def test_painters_with_a_memory_keep_their_own_coherence() -> None:
    """Protects recurrent styles: they see the frames as they are, and what they paint is shown as it is."""
    frames = windows([(index, 0) for index in range(4)])
    for painted, frame in zip(paint_all(Stylizer(GridPainter(1, remembers=True)), frames), frames, strict=True):
        assert np.array_equal(painted, GridPainter().paint(frame, {})[0])


@pytest.mark.parametrize("stride", [1, 4])
def test_moving_things_keep_their_strokes(stride: int) -> None:
    """Protects objects, which no lock of the grid can follow: their strokes ride along, whatever the stride."""
    background, thing = view(size=(320, 240)), view(60, 20, zoom=1.5, size=(120, 100))
    frames = []
    for index in range(8):
        frame = background.copy()
        frame[70:170, 40 + 5 * index : 160 + 5 * index] = thing
        frames.append(frame)
    paintings = paint_all(Stylizer(GridPainter(stride)), frames)
    plain = paint_all(Stylizer(GridPainter(stride), coherence=0), frames)

    def redrawn(paintings: list[NDArray[np.int64]]) -> float:
        inner = [paintings[index][90:150, 60 + 5 * index : 140 + 5 * index] for index in (6, 7)]
        return float(np.abs(inner[0] - inner[1]).mean())

    assert redrawn(paintings) < 0.5 * redrawn(plain)
    empty = paint_all(Stylizer(GridPainter(stride), coherence=0), [background])[0]
    behind = np.s_[90:150, 44:60]
    light, empty_light = (cv2.blur(each[behind].astype(np.float32), (8, 8)) for each in (paintings[7], empty))
    assert np.abs(light - empty_light).mean() < 3


def test_a_cut_starts_anew() -> None:
    """Protects the first frame of a shot: it is painted as the first of a clip would be, without memory."""
    cut = [view(), view(1.5, 0), 255 - view(40, 70, zoom=6), 255 - view(40, 70, zoom=6)]
    alone = paint_all(Stylizer(GridPainter()), cut[2:])
    together = paint_all(Stylizer(GridPainter()), cut)
    assert np.array_equal(together[2], alone[0]) and np.array_equal(together[3], alone[1])
    memory = GridPainter(1, remembers=True)
    paint_all(Stylizer(memory), cut)
    assert [bool(state) for state in memory.states] == [False, True, False, True]


class TwoAtOnce(GridPainter):
    """Paints only when two pictures are there to be painted together, but the first of each size alone."""

    def __init__(self) -> None:
        super().__init__()
        self._both = threading.Barrier(2, timeout=20)
        self._known: set[tuple[int, ...]] = set()

    def paint(self, pixels: Pixels, state: State) -> tuple[Pixels, State]:
        if pixels.shape in self._known:
            self._both.wait()
        self._known.add(pixels.shape)
        return super().paint(pixels, state)


@pytest.mark.parametrize("coherence", [0.0, 1.0])
def test_overlapped_frames_are_painted_as_in_turn(coherence: float) -> None:
    """Protects videos: two frames are painted at once, and cuts and new sizes change nothing in what is shown."""
    shot = [view(1.5 * step, step) for step in range(5)]
    pictures = [*shot, *(255 - view(40 + 2 * step, 70, zoom=6) for step in range(6)), *(each[:160] for each in shot)]
    stylizer = Stylizer(TwoAtOnce(), coherence=coherence)
    overlapped = [each.pixels for each in stylizer.overlapped((Frame(picture) for picture in pictures), 2)]
    in_turn = paint_all(Stylizer(GridPainter(), coherence=coherence), pictures)
    assert len(overlapped) == len(in_turn)
    assert all(np.array_equal(one, other) for one, other in zip(overlapped, in_turn, strict=True))


def test_what_goes_wrong_in_a_thread_that_paints_is_raised() -> None:
    """Protects the error: it reaches the caller, and no thread is left."""

    class Broken(GridPainter):
        def paint(self, pixels: Pixels, state: State) -> tuple[Pixels, State]:
            raise EngineError("out of memory: choose --work-size 360")

    before = threading.active_count()
    with pytest.raises(EngineError, match="out of memory"):
        list(Stylizer(Broken()).overlapped(iter([Frame(view())] * 3), 2))
    assert threading.active_count() == before


def test_only_coherence_looks_for_cuts() -> None:
    """Protects today's behavior at 0: memory runs on over a cut, as it always did."""
    memory = GridPainter(1, remembers=True)
    paint_all(Stylizer(memory, coherence=0), [view(), 255 - view(40, 70, zoom=6)])
    assert [bool(state) for state in memory.states] == [False, True]


def test_a_reset_and_a_new_size_start_anew() -> None:
    """Protects seeks and changes of source: nothing of before is left."""
    moving = [view(), view(1.5, 0)]
    stylizer = Stylizer(GridPainter())
    first = paint_all(stylizer, moving)
    stylizer.reset()
    again = paint_all(stylizer, moving)
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    smaller = view(size=(200, 160))
    assert np.array_equal(paint_all(stylizer, [smaller])[0], paint_all(Stylizer(GridPainter()), [smaller])[0])


@pytest.mark.parametrize("shape", [(16, 16, 3), (1, 1, 3), (17, 300, 3)])
def test_small_frames_are_painted(shape: tuple[int, int, int]) -> None:
    """Protects the smallest sizes: same size out, and what the painter alone makes of it when nothing moves."""
    frame = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    for painted in paint_all(Stylizer(GridPainter()), [frame, frame]):
        assert np.array_equal(painted, GridPainter().paint(frame, {})[0])


def test_the_engine_is_prepared_for_what_it_will_get() -> None:
    """Protects the start: no second load when the first frame comes."""
    info = SourceInfo(320, 240, 25, 1)  # type: ignore[arg-type]
    painter = GridPainter()
    stylizer = Stylizer(painter)
    said = stylizer.prepare(info)
    stylizer.stylize(Frame(view()))
    assert said == "grid 328x248" and painter.sizes == [(248, 328)]
    assert Stylizer(painter, coherence=0).prepare(info) == "grid 320x240"


def test_kept_colors_are_those_of_the_frame() -> None:
    """Protects colors: chroma comes from the frame where it is, not from where it was painted."""
    frames = windows([(0, 0), (1, 0)])
    plain = paint_all(Stylizer(GridPainter()), frames)
    kept = paint_all(Stylizer(GridPainter(), keep_colors=True), frames)
    for painting, frame, colored in zip(plain, frames, kept, strict=True):
        assert np.array_equal(colored, with_colors_of(painting.astype(np.uint8), frame))


def test_frames_may_bring_their_motion() -> None:
    """Protects game engines' motion vectors: they are followed instead of a search, and must fit the frame."""
    frames = windows([(0, 0), (3, 0)])
    moved = np.zeros((240, 320, 2), np.float32)
    moved[..., 0] = -3
    stylizer = Stylizer(GridPainter(1))
    first = stylizer.stylize(Frame(frames[0])).pixels.astype(int)
    second = stylizer.stylize(Frame(frames[1], motion=moved)).pixels.astype(int)
    plain = paint_all(Stylizer(GridPainter(1), coherence=0), frames)
    old, new = np.s_[8:-8, 11:-8], np.s_[8:-8, 8:-11]
    assert np.abs(second[new] - first[old]).mean() < 0.4 * np.abs(plain[1][new] - plain[0][old]).mean()
    with pytest.raises(UsageError, match=r"motion plane is 100×320×2.*240×320×2"):
        stylizer.stylize(Frame(frames[1], motion=moved[:100]))


@pytest.mark.parametrize("coherence", [-0.1, 1.1, float("nan")])
def test_coherence_outside_its_range(coherence: float) -> None:
    """Protects the dial: beyond it is a usage error."""
    with pytest.raises(UsageError, match="between 0 and 1"):
        Stylizer(GridPainter(), coherence=coherence)


@pytest.mark.parametrize(("model", "stride"), [(nets.negative(), 4), (nets.with_previous(), 1), (nets.with_state(), 1)])
def test_a_style_with_memory_has_no_grid_to_lock(tmp_path: Path, model: Any, stride: int) -> None:
    """Protects recurrent styles: their memory lies where the last frame lay, so frames aren't moved."""
    style: Style = nets.style_of(tmp_path, model, stride=4)
    assert Painter(style).stride == stride


def test_a_style_of_a_fixed_size_has_no_grid_to_lock(tmp_path: Path) -> None:
    """Protects fixed sizes: frames are scaled to them, so the stride isn't one in pixels of the frame."""
    style = nets.style_of(tmp_path, nets.negative(shape=(1, 3, 24, 20)), stride=4)
    assert Painter(style).stride == 1


def test_the_dial_reaches_the_video(tmp_path: Path) -> None:
    """Protects the verbs: ``--coherence`` and the keyword arrive at the stylizer."""
    style = nets.style_of(tmp_path, nets.negative(), stride=4)
    with pytest.raises(UsageError, match="coherence"):
        stylize_video("scene", tmp_path / "out", style, coherence=2.0)
    seen: list[float] = []
    module = importlib.import_module("allaprima.cli.video")
    command = ["video", "scene", str(tmp_path / "out"), "--style", str(style.path), "--coherence"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "stylize_video", lambda *given, coherence, **named: seen.append(coherence))
        patch.setattr(module, "show_result", lambda *given, **named: None)
        patch.setattr(module, "raise_if_partial", lambda *given, **named: None)
        assert CliRunner().invoke(app, [*command, "0.25"]).exit_code == 0
    assert seen == [0.25]
    assert CliRunner().invoke(app, [*command, "1.5"]).exit_code == 2


def test_a_work_size_paints_small_and_refines() -> None:
    """Protects the order: scaled by area, locked and painted there, brought back with the full frame, then colored."""
    painter, frames = GridPainter(), windows([(0, 0), (1, 0), (3, 2)])
    paintings = paint_all(Stylizer(painter, work_size=120, keep_colors=True), frames)
    assert set(painter.sizes) == {(120 + 8, 160 + 8)}
    small = [scale(frame, (160, 120)) for frame in frames]
    strokes = paint_all(Stylizer(painter), small)
    for painting, frame, little, stroke in zip(paintings, frames, small, strokes, strict=True):
        wanted = with_colors_of(Refiner().refine(stroke.astype(np.uint8), little, frame), frame)
        assert np.array_equal(painting, wanted)


def test_a_way_goes_over_frames_of_the_size_that_is_painted() -> None:
    """Protects --paint-every's speed and order: in the middle all is small, around it refined, blended and colored."""
    frames = [Frame(picture, pts=number) for number, picture in enumerate(windows([(0, 0), (2, 0), (4, 2)]))]
    plane, mask = np.full((240, 320, 2), 2.0, np.float32), np.ones((240, 320), np.bool_)
    frames[1] = replace(frames[1], motion=plane, mask=mask)
    seen: list[Frame] = []
    stylizer = Stylizer(GridPainter(), work_size=120, keep_colors=True)
    inner = stylizer.inner()

    def way(small: Iterator[Frame]) -> Iterator[Frame]:
        waiting = list(small)  # reads ahead
        seen.extend(waiting)
        return map(inner.stylize, waiting)

    shown = list(stylizer.around(way, iter(frames)))
    expected = Stylizer(GridPainter(), work_size=120, keep_colors=True)
    for painting, frame in zip(shown, frames, strict=True):
        assert painting.pts == frame.pts and painting.motion is frame.motion
        assert np.array_equal(painting.pixels, expected.stylize(frame).pixels)
    assert {frame.pixels.shape for frame in seen} == {(120, 160, 3)}
    assert seen[1].motion is not None and np.allclose(seen[1].motion, 1.0)
    assert seen[0].motion is None


def test_strokes_of_the_work_size_ride_along() -> None:
    """Protects steadiness at a work size: a pan by whole small pixels carries the result along."""
    paintings = paint_all(Stylizer(GridPainter(), work_size=120), windows([(2 * step, 0) for step in range(6)]))
    plain = paint_all(Stylizer(GridPainter(), work_size=120, coherence=0), windows([(0, 0), (2, 0)]))
    old, new = np.s_[40:-40, 42:-40], np.s_[40:-40, 40:-42]
    for before, now in itertools.pairwise(paintings):
        assert np.abs(before[old] - now[new]).mean() < 0.5
    assert np.abs(plain[0][old] - plain[1][new]).mean() > 10


def test_the_frames_own_size_as_work_size_changes_nothing() -> None:
    """Protects the ladder's top: bit for bit what there is without a work size."""
    frames = windows([(0, 0), (1, 0), (2, 1)])
    plain = paint_all(Stylizer(GridPainter()), frames)
    ladder = paint_all(Stylizer(GridPainter(), work_size=240), frames)
    assert all(np.array_equal(one, other) for one, other in zip(ladder, plain, strict=True))


@pytest.mark.parametrize("work_size", [20, 60])
def test_strength_counts_at_full_size(tmp_path: Path, work_size: int) -> None:
    """Protects the photograph's share, which must be sharp: at 0 it is the frame itself, in between a blend with it."""
    style = nets.style_of(tmp_path, nets.negative(), stride=4)
    plain = {"engine": "onnxruntime", "precision": "f32", "device": "cpu"}
    frame = view(size=(80, 60))

    def painted(strength: float) -> NDArray[np.int64]:
        painter = Painter(style, strength=strength, **plain)  # type: ignore[arg-type]
        return paint_all(Stylizer(painter, work_size=work_size), [frame])[0]

    assert np.array_equal(painted(0.0), frame)
    assert np.abs(painted(0.5) - (painted(1.0) + frame) / 2).max() <= 0.5
    assert np.abs(painted(1.0) - frame).mean() > 20


def test_a_strength_inside_the_style_is_left_to_it(tmp_path: Path) -> None:
    """Protects from taking strength twice."""
    painter = Painter(nets.style_of(tmp_path, nets.with_strength()), strength=0.5)
    assert painter.for_work_size() == (painter, 1.0)


def test_work_sizes_that_cannot_be_are_refused(tmp_path: Path) -> None:
    """Protects from a blurred surprise: too large for the frame, at the start and later, and fixed styles."""
    info = SourceInfo(320, 240, 25, 1)  # type: ignore[arg-type]
    stylizer = Stylizer(GridPainter(), work_size=241)
    with pytest.raises(UsageError, match=r"320x240.*240 at most"):
        stylizer.prepare(info)
    with pytest.raises(UsageError, match="240 at most"):
        stylizer.stylize(Frame(windows([(0, 0)])[0]))
    assert Stylizer(GridPainter(), work_size=120, size=(640, 480)).prepare(info) == "grid 168x128"
    fixed = Painter(nets.style_of(tmp_path, nets.negative(shape=(1, 3, 24, 20)), stride=4))
    with pytest.raises(UsageError, match="always works at 20x24"):
        Stylizer(fixed, work_size=16)


def test_a_work_size_keeps_a_videos_size_and_frames(tmp_path: Path) -> None:
    """Protects the whole way, from Python and from the command line; a wrong one leaves nothing behind."""
    style = nets.style_of(tmp_path, nets.negative(), stride=4)
    plain = {"engine": "onnxruntime", "precision": "f32", "device": "cpu"}
    clip = tmp_path / "clip"
    clip.mkdir()
    for index in range(4):
        write_picture(clip / f"{index}.png", view(index, size=(96, 64)))
    result = stylize_video(clip, tmp_path / "python", style, work_size=32, **plain)
    options = [f"--{name}={value}" for name, value in plain.items()]
    command = ["video", str(clip), str(tmp_path / "shell"), "--style", str(style.path), "--work-size", "32", *options]
    assert CliRunner().invoke(app, command).exit_code == 0
    with open_source(str(tmp_path / "python")) as python, open_source(str(tmp_path / "shell")) as shell:
        paintings, again = list(python.frames()), list(shell.frames())
    assert {frame.pixels.shape for frame in paintings} == {(64, 96, 3)}
    assert len(paintings) == result.frames == 4
    assert all(np.array_equal(one.pixels, two.pixels) for one, two in zip(paintings, again, strict=True))
    with pytest.raises(UsageError, match="64 at most"):
        stylize_video(clip, tmp_path / "none", style, work_size=65, **plain)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("followed", [True, False])
def test_the_camera_is_followed_over_frames_that_are_not_painted(followed: bool) -> None:
    """Protects --paint-every on pans: strokes ride along from painted frame to painted frame, far apart as they are."""
    stylizer = Stylizer(GridPainter())
    paintings = []
    for index, picture in enumerate(windows([(7 * index, 0) for index in range(7)])):
        if index % 3 == 0:
            paintings.append(stylizer.stylize(Frame(picture)).pixels.astype(int))
        elif followed:
            stylizer.follow(Frame(picture))
    for before, now in itertools.pairwise(paintings):
        assert (np.abs(before[8:-8, 29:-8] - now[8:-8, 8:-29]).mean() < 8) == followed
