"""Frames that aren't painted: in order and whole, carried where the motion is known, never over a cut."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nets
import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto
from test_phase_lock import view

from allaprima.coherence.patches import Patch, Patches
from allaprima.coherence.upsampling import MOST, MOST_BY_MOTION, Upsampler, pace
from allaprima.cuts import is_cut
from allaprima.errors import UsageError
from allaprima.frame import Frame, Pixels
from allaprima.painter import Painter
from allaprima.style import Style
from allaprima.stylizer import Stylizer, scale

PLAIN = {"engine": "onnxruntime", "precision": "f32", "device": "cpu"}


class NoPatches:
    """Finds nothing worth painting, or everything."""

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole

    def covering(self, lost: NDArray[np.bool_]) -> list[Patch] | None:
        return None if self._whole and lost.any() else []


class Recorder:
    """Paints the negative, and remembers what came, and in which order."""

    def __init__(self, size: tuple[int, int] | None = None) -> None:
        self.painted: list[int] = []
        self.calls: list[tuple[str, int]] = []
        self.frames: list[Frame] = []
        self._size = size

    def stylize(self, frame: Frame) -> Frame:
        self.painted.append(frame.pts)
        self.calls.append(("paint", frame.pts))
        self.frames.append(frame)
        return frame.with_pixels(255 - scale(frame.pixels, self._size))

    def follow(self, frame: Frame) -> None:
        self.calls.append(("follow", frame.pts))


@functools.cache
def landscape() -> Pixels:
    """What cameras pan over."""
    return view(size=(400, 240), zoom=3)


def pan(count: int, step: int = 2) -> list[Frame]:
    """A camera that pans over a still picture by whole pixels."""
    return [Frame(np.ascontiguousarray(landscape()[:, 40 + step * n : 360 + step * n]), pts=n) for n in range(count)]


@functools.cache
def other_shot() -> Pixels:
    """Something else."""
    return np.asarray(view(40, 70) // 2 + np.array([0, 60, 127]), np.uint8)


def painted_by(every: int | str, frames: list[Frame], **options: object) -> tuple[list[Frame], Recorder]:
    """What becomes of frames, and who painted them."""
    recorder = Recorder()
    upsampler = Upsampler(every, NoPatches(), follow=recorder.follow, **options)  # type: ignore[arg-type]
    return list(upsampler.paint(recorder.stylize, iter(frames))), recorder


def error(shown: Frame, frame: Frame) -> float:
    """How far a frame is from the negative that it should be, away from the border, of 255."""
    inner = np.s_[16:-16, 24:-24]
    return float(np.abs(shown.pixels[inner].astype(int) - (255 - frame.pixels[inner].astype(int))).mean())


@pytest.mark.parametrize("ahead", [True, False])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 8, 9])
def test_every_frame_comes_in_order_at_its_own_time(count: int, ahead: bool) -> None:
    """Protects clips of any length, shorter than K and no multiple of it: none lost, none twice, times kept."""
    frames = pan(count)
    shown, recorder = painted_by(3, frames, ahead=ahead)
    assert [frame.pts for frame in shown] == list(range(count))
    expected = sorted({*range(0, count, 3), *([count - 1] if ahead else [])})
    assert recorder.painted == expected
    assert [number for _, number in recorder.calls] == list(range(count))


def test_frames_between_show_the_paintings_carried_along() -> None:
    """Protects the point of it all: a carried painting lies where its frame's own painting would."""
    frames = pan(9, step=3)
    shown, _ = painted_by(4, frames)
    alone, _ = painted_by(4, frames, ahead=False)
    for index in (1, 2, 3, 5, 6, 7):
        unmoved = 255 - frames[index // 4 * 4].pixels
        assert error(shown[index], frames[index]) < 3
        assert error(alone[index], frames[index]) < 3
        assert error(Frame(unmoved), frames[index]) > 7


def test_the_nearer_painting_is_shown() -> None:
    """Protects against double images and pale means: each frame shows one painting, in the middle the earlier one."""
    frames = [Frame(view(), pts=number) for number in range(5)]
    values = iter((40, 200))
    shown = list(
        Upsampler(4, NoPatches()).paint(  # type: ignore[arg-type]
            lambda frame: frame.with_pixels(np.full_like(frame.pixels, next(values))), iter(frames)
        )
    )
    assert [frame.pixels.mean() for frame in shown] == [40, 40, 40, 200, 200]


def with_block(count: int, seen: range) -> list[Frame]:
    """A camera that pans, and something in front of it in some of the frames."""
    frames = pan(count)
    for number in seen:
        frames[number].pixels[90:150, 130:190] = (250, 40, 20)
    return frames


def test_what_comes_is_not_seen_before() -> None:
    """Protects what enters the picture: no halo of it in the frame before, though the next painting has it."""
    frames = with_block(3, range(2, 3))
    shown, recorder = painted_by(2, frames)
    assert recorder.painted == [0, 2]
    assert error(shown[1], frames[1]) < 3
    around = np.s_[80:160, 120:200]
    assert np.abs(shown[1].pixels[around].astype(int) - (255 - frames[1].pixels[around].astype(int))).mean() < 4


def test_what_is_lost_is_had_from_the_other_painting() -> None:
    """Protects what comes between two paintings: the farther one shows it, if the nearer one can't."""
    frames = with_block(3, range(1, 3))
    shown, recorder = painted_by(2, frames)
    assert recorder.painted == [0, 2]
    inner = np.s_[100:140, 140:180]
    assert np.abs(shown[1].pixels[inner].astype(int) - (255 - frames[1].pixels[inner].astype(int))).mean() < 10
    alone, _ = painted_by(2, frames, ahead=False)
    assert np.abs(alone[1].pixels[inner].astype(int) - (255 - frames[1].pixels[inner].astype(int))).mean() > 50
    assert error(shown[1], frames[1]) < 4


def test_motion_that_is_torn_is_lost() -> None:
    """Protects against worms: what only happens to look alike isn't carried, a pan is."""
    generator = np.random.default_rng(1)
    for torn in (False, True):
        frames = pan(3)
        if torn:
            for frame in frames:
                grain = generator.integers(-9, 9, (48, 64, 1))
                frame.pixels[:] = np.kron(128 + grain, np.ones((5, 5, 3))).astype(np.uint8)
        recorder = Recorder()
        list(Upsampler(2, NoPatches(whole=True)).paint(recorder.stylize, iter(frames)))  # type: ignore[arg-type]
        assert recorder.painted == ([0, 1, 2] if torn else [0, 2])


def test_without_delay_nothing_waits() -> None:
    """Protects live use: each frame is out before the next one is asked for; with a look ahead, at most K are held."""
    for ahead, most in ((False, 1), (True, 4)):
        taken: list[int] = []

        def coming(taken: list[int] = taken) -> Iterator[Frame]:
            for frame in pan(13):
                taken.append(frame.pts)
                yield frame

        upsampler = Upsampler(4, NoPatches(), ahead=ahead)  # type: ignore[arg-type]
        for shown in upsampler.paint(Recorder().stylize, coming()):
            assert len(taken) - shown.pts <= most


def test_nothing_is_carried_over_a_cut() -> None:
    """Protects shots: both sides of a cut are painted, and a frame shows its own shot alone."""
    second = [Frame(other_shot(), pts=5 + number) for number in range(5)]
    for every in (4, "auto"):
        shown, recorder = painted_by(every, pan(5) + second)
        assert {0, 4, 5, 9} <= set(recorder.painted)
        for frame, original in zip(shown, pan(5) + second, strict=True):
            assert error(frame, original) < 3


def test_a_shot_of_one_frame_is_painted() -> None:
    """Protects flashes of a single frame between two cuts."""
    other = Frame(other_shot(), pts=3)
    frames = [*pan(3), other, *(replace(frame, pts=4 + frame.pts) for frame in pan(3))]
    shown, recorder = painted_by(3, frames)
    assert np.array_equal(shown[3].pixels, 255 - other.pixels)
    assert recorder.painted == [0, 2, 3, 4, 6]


def test_a_new_size_begins_anew() -> None:
    """Protects streams that change their size: each frame comes out at its own."""
    frames = [*pan(4), *(Frame(np.ascontiguousarray(frame.pixels[:100, :150]), 4 + frame.pts) for frame in pan(4))]
    shown, recorder = painted_by(3, frames)
    assert [frame.pixels.shape for frame in shown] == [frame.pixels.shape for frame in frames]
    assert recorder.painted == [0, 3, 4, 7]


def test_paintings_of_another_size_are_carried_at_theirs() -> None:
    """Protects --size: motion is that of the painting's pixels."""
    frames, recorder = pan(4, step=3), Recorder(size=(480, 320))
    shown = list(Upsampler(3, NoPatches()).paint(recorder.stylize, iter(frames)))  # type: ignore[arg-type]
    for frame, original in zip(shown, frames, strict=True):
        assert frame.pixels.shape == (320, 480, 3)
        assert error(frame, Frame(scale(original.pixels, (480, 320)))) < 4


def test_motion_over_a_frame_that_was_left_out_is_not_told() -> None:
    """Protects stylizers that use given motion: it leads to the frame before, which they haven't seen."""
    motion, mask = np.ones((240, 320, 2), np.float32), np.ones((240, 320), np.bool_)
    frames = [replace(Frame(view(), pts=number), motion=motion, mask=mask) for number in range(5)]
    shown, recorder = painted_by(4, frames)
    assert [frame.motion is not None for frame in recorder.frames] == [True, False]
    assert all(frame.motion is motion and frame.mask is mask for frame in shown)
    _, recorder = painted_by("auto", [frames[0], replace(frames[1], pixels=other_shot())])
    assert all(frame.motion is motion for frame in recorder.frames)


def test_a_frame_that_can_not_be_carried_is_painted_in_its_turn() -> None:
    """Protects moving objects in styles that can't paint patches: what is lost is painted, in order."""
    frames = [Frame(view().copy(), pts=number) for number in range(5)]
    frames[2].pixels[60:140, 100:180] = np.random.default_rng(0).integers(0, 255, (80, 80, 3))
    recorder = Recorder()
    upsampler = Upsampler(4, NoPatches(whole=True), follow=recorder.follow)  # type: ignore[arg-type]
    shown = list(upsampler.paint(recorder.stylize, iter(frames)))
    assert [frame.pts for frame in shown] == list(range(5))
    assert recorder.painted == [0, 2, 4]
    assert np.array_equal(shown[2].pixels, 255 - frames[2].pixels)


def test_pace_follows_what_is_lost() -> None:
    """Protects `auto`: nothing lost, the longest way; much lost, every frame; the more, the shorter."""
    assert pace(0.0, 1, 1) == MOST_BY_MOTION
    assert pace(0.5, 1, 4) == 1
    for gap in (1, 2, 3):
        ways = [pace(lost / 20, gap, 2) for lost in range(21)]
        assert ways == sorted(ways, reverse=True)
        assert set(ways) <= set(range(1, MOST_BY_MOTION + 1))
    assert pace(0.04, 2, 3) == pace(0.02, 1, 3) == 3


def test_pace_does_not_flap() -> None:
    """Protects against a pace that changes to and fro with a little noise: between the two limits, it stays."""
    for way in (2, 3, 4):
        lost = 0.05 / way
        assert pace(lost, 1, way) == way
        assert pace(lost, 1, way - 1) < way
    way, changes = 1, 0
    for number in range(50):
        before, way = way, pace(0.0125 + 0.001 * math.sin(9 * number), 1, way)
        changes += before != way
    assert changes <= 1


def test_auto_paints_seldom_where_it_is_calm_and_often_where_it_is_not() -> None:
    """Protects `auto` as a whole: an even pan is carried, four frames long; noise of new pictures is painted."""
    calm, recorder = painted_by("auto", pan(17))
    assert len(calm) == 17 and len(recorder.painted) <= 7
    generator = np.random.default_rng(0)
    blocks = [generator.integers(90, 160, (48, 64, 1), np.uint8) for _ in range(8)]
    wild = [Frame(np.kron(block, np.ones((5, 5, 3), np.uint8)), pts=n) for n, block in enumerate(blocks)]
    assert not any(is_cut(before.pixels, now.pixels) for before, now in itertools.pairwise(wild))
    _, recorder = painted_by("auto", wild)
    assert recorder.painted == list(range(8))


@pytest.mark.parametrize("every", [0, -1, MOST + 1, "often", 2.5, True])
def test_an_every_that_there_is_not_is_refused(every: object) -> None:
    """Protects the user from a setting that would be read as another."""
    with pytest.raises(UsageError, match=f"1 to {MOST}, or auto, not '{every}'"):
        Upsampler(every, NoPatches())  # type: ignore[arg-type]


def lost_at(*places: tuple[int, int], size: tuple[int, int] = (480, 640)) -> NDArray[np.bool_]:
    """A frame of which squares of 40 pixels around some places (row, column) are lost."""
    lost = np.zeros(size, np.bool_)
    for row, column in places:
        lost[max(row - 20, 0) : row + 20, max(column - 20, 0) : column + 20] = True
    return lost


def test_patches_are_painted_as_the_whole_is() -> None:
    """Protects what fills the holes: the same strokes at the same places as in the painting of the whole frame."""
    painter = Painter(Style.open("starry-night"), **PLAIN)  # type: ignore[arg-type]
    size = (480, 640)
    picture = view(size=size[::-1])
    whole = Stylizer(painter, coherence=0).stylize(Frame(picture)).pixels
    patches = Patches(painter)
    lost = lost_at((20, 20), (60, 400), size=size)
    covering = patches.covering(lost)
    assert covering
    covered = np.zeros(size, int)
    for patch in covering:
        covered[patch.window] += 1
        painting = patches.paint(picture, patch)
        assert painting.shape == whole[patch.window].shape
        assert np.abs(painting.astype(int) - whole[patch.window]).mean() < 0.2
    assert covered.max() == 1 and covered[lost].mean() > 0.9
    assert covered.mean() < 0.5


def test_patches_are_for_what_is_worth_it() -> None:
    """Protects the time they save: none for a few pixels, the whole frame where most of it is lost."""
    patches = Patches(Painter(Style.open("starry-night"), **PLAIN))  # type: ignore[arg-type]
    specks = np.zeros((480, 640), np.bool_)
    specks[::50, ::50] = True
    assert patches.covering(specks) == []
    assert patches.covering(np.ones((480, 640), np.bool_)) is None
    assert patches.covering(np.zeros((60, 80), np.bool_)) == []
    assert patches.covering(np.ones((60, 80), np.bool_)) is None


def with_mean() -> ModelProto:
    """The picture less its own mean: what one pixel becomes depends on all of them."""
    axes = nets.integers("axes", [2, 3])
    nodes = [nets.node("ReduceMean", ["image", "axes"], ["mean"]), nets.node("Sub", ["image", "mean"], ["stylized"])]
    return nets.graph(nodes, [axes])


@pytest.mark.parametrize("model", [nets.negative(shape=(1, 3, 24, 32)), with_mean()])
def test_styles_that_can_not_paint_patches_paint_the_whole(model: ModelProto, tmp_path: Path) -> None:
    """Protects styles of a fixed size, and those whose strokes depend on the whole picture."""
    patches = Patches(Painter(nets.style_of(tmp_path, model), **PLAIN))  # type: ignore[arg-type]
    assert patches.covering(lost_at((100, 100), (100, 150), size=(200, 200))) is None
    assert patches.covering(np.zeros((480, 640), np.bool_)) == []


def test_holes_are_filled_with_what_is_there() -> None:
    """Protects moving objects: something new in the middle of a shot is painted, and the rest is carried."""
    painter = Painter(Style.open("starry-night"), **PLAIN)  # type: ignore[arg-type]
    frames = [Frame(view(number * 2.0, 0, size=(640, 480)), pts=number) for number in range(3)]
    new = np.s_[200:300, 300:400]
    frames[1].pixels[new] = np.array([[250, 40, 20]] * 100, np.uint8)
    alone = Stylizer(painter, coherence=0)
    shown = list(Upsampler(2, Patches(painter)).paint(alone.stylize, iter(frames)))
    expected = alone.stylize(frames[1]).pixels.astype(int)
    inner = np.s_[220:280, 320:380]
    assert np.abs(shown[1].pixels[inner] - expected[inner]).mean() < 3
    empty = list(Upsampler(2, NoPatches()).paint(alone.stylize, iter(frames)))[1]  # type: ignore[arg-type]
    assert np.abs(empty.pixels[inner] - expected[inner]).mean() > 10
