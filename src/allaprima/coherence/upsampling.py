"""Temporal upsampling: a stylizer paints some frames of a stream, and those between are carried along by motion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ..cuts import is_cut
from ..errors import UsageError
from ..frame import Frame, Pixels
from ..stylizer import scale
from .flow import LocalMotion, MotionSearch, carried
from .patches import Patch, Patches

Every = int | Literal["auto"]
"""Every how many frames one is painted: a number, or as the motion allows."""
Trust = NDArray[np.float32]
Mask = NDArray[np.bool_]

MOST = 8
"""Frames from a painted one to the next, at most: farther apart, little of what moves can be found again."""
MOST_BY_MOTION = 4
"""The same where motion decides."""
_LOST_TO_STAY, _LOST_TO_RISE = 0.16, 0.12
"""Share of a frame that may be lost on the way from one painted frame to the next, for the way to be as long as the
last one, and for it to be longer: apart, so that it doesn't change to and fro."""
_FAINT = 0.05
"""Weight of what isn't trusted at all, for something must be shown where nothing is."""
_SEARCHED_SIDE = 960
"""Longer side in pixels up to which frames are searched for motion as they are; larger ones, at a half, a third, …"""
_HOLE, _SOUND = 0.2, 0.6
"""Trust up to which a pixel in a patch is painted anew, and from which on it isn't."""
_UNLIKE = 12.0
"""Difference of light, of 255 and averaged over the window, from which on what isn't trusted is lost. Below, it may be
of another light or without anything to be found by, and can be shown all the same."""
_WINDOW = (9, 9)


def checked_every(every: object) -> Every:
    """What says every how many frames one is painted.

    Raises:
        UsageError: it is neither a whole number from 1 to :data:`MOST` nor ``auto``.
    """
    if every == "auto":
        return "auto"
    if isinstance(every, int) and not isinstance(every, bool) and 1 <= every <= MOST:
        return every
    raise UsageError(f"--paint-every takes a whole number from 1 to {MOST}, or auto, not '{every}'")


def pace(lost: float, gap: int, last: int) -> int:
    """How many frames on from a painted frame the next one is painted.

    What is lost of a frame on the way grows about as the way does. Uneven motion, blur and new light show in that
    share alike, and a camera that pans evenly loses little.

    Args:
        lost: share of a frame that can't be carried from the last painted one, 0-1.
        gap: how many frames on from it that frame is, at least 1.
        last: how many frames on the last painted one was from the one before.

    Returns:
        1 to :data:`MOST_BY_MOTION`; ``gap`` or less: now.
    """
    for way in range(MOST_BY_MOTION, 1, -1):
        if lost * way / gap <= (_LOST_TO_STAY if way <= last else _LOST_TO_RISE):
            return way
    return 1


@dataclass(frozen=True, slots=True)
class Upsampler:
    """Goes over the frames of a stream and has only some of them painted.

    A frame between two painted ones shows both their paintings, carried along by the motion from it to them, the nearer
    one mostly, and each as far as that motion is trusted. What can't be had from either is painted, in patches where
    that is enough. The first and the last frame of a shot are painted, and nothing is carried over a cut.

    Raises:
        UsageError: an ``every`` that there isn't.
    """

    every: Every
    """Paint every K-th frame, 1 to :data:`MOST`; ``auto``: see :func:`pace`."""
    patches: Patches
    ahead: bool = True
    """Wait for the next painted frame: K frames and as many paintings are held. Else, for live use, frames are carried
    from the last painted one alone, and come without delay."""
    follow: Callable[[Frame], object] = lambda frame: None
    """Called with every frame that isn't painted, in order with those that are: who follows the camera must see it."""

    def __post_init__(self) -> None:
        checked_every(self.every)

    def paint(self, stylize: Callable[[Frame], Frame], frames: Iterator[Frame]) -> Iterator[Frame]:
        """As many frames as come, in order; a :data:`~allaprima.pipeline.Way`.

        Args:
            stylize: paints a frame; all to one size in a shot. Where the frame before wasn't painted, it gets a frame
                without planes of motion, which lead there.
            frames: a new size begins a new shot.
        """
        stream = _Stream(self, stylize)
        for frame in frames:
            yield from stream.take(frame)
        yield from stream.close()


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """A frame of the stream."""

    frame: Frame
    picture: Pixels
    """At the paintings' size."""
    small: Pixels
    """As motion is searched in it."""

    @classmethod
    def of(cls, frame: Frame, painting: Pixels) -> _View:
        """Beside a painting of its shot."""
        height, width = painting.shape[:2]
        factor = -(-max(height, width) // _SEARCHED_SIDE)
        picture = scale(frame.pixels, (width, height))
        return cls(frame, picture, scale(picture, (-(-width // factor), -(-height // factor))))


@dataclass(frozen=True, slots=True, eq=False)
class _Link:
    """From a frame to another one of its shot, in small pictures."""

    motion: LocalMotion
    lost: Mask
    """What of the frame can't be had from there: bool, H×W."""

    @classmethod
    def search(cls, search: MotionSearch, now: Pixels, other: Pixels) -> _Link:
        """Between two small pictures."""
        motion = search.between(now, other)
        light, other_light = (np.asarray(cv2.cvtColor(each, cv2.COLOR_RGB2GRAY), np.uint8) for each in (now, other))
        difference = cv2.boxFilter(cv2.absdiff(light, carried(other_light, motion)), cv2.CV_32F, _WINDOW)
        lost = ((difference > _UNLIKE) & (motion.trust < _HOLE)).astype(np.float32)
        # Specks don't count.
        return cls(motion, np.asarray(cv2.boxFilter(lost, -1, _WINDOW) > 0.5, np.bool_))

    def carried(self, painting: Pixels) -> Pixels:
        """The other one's painting, of full size, as it looks from the frame."""
        height, width = painting.shape[:2]
        small_height, small_width = self.lost.shape
        larger = np.array([width / small_width, height / small_height], np.float32)
        flow = cv2.resize(self.motion.flow * larger, (width, height), interpolation=cv2.INTER_LINEAR)
        return carried(painting, LocalMotion(np.asarray(flow, np.float32), self.motion.trust))


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """A frame that waits for the next painted one."""

    view: _View
    back: _Link
    """To the last painted one."""
    painting: Pixels
    """Of that."""


class _Stream:
    """A stream on its way through an upsampler."""

    def __init__(self, upsampler: Upsampler, stylize: Callable[[Frame], Frame]) -> None:
        self._of, self._stylize = upsampler, stylize
        self._back, self._onward = MotionSearch(both_ways=True), MotionSearch(both_ways=True)
        self._before: Frame | None = None
        self._skipped = False
        """Whether the frame before wasn't painted."""
        self._last: tuple[_View, Pixels] | None = None
        """The last painted frame of the shot, and its painting."""
        self._waiting: list[_Waiting] = []
        self._gap = 0
        """Frames from the last painted one to the newest."""
        self._way = 1
        """Frames from the painted one before to the last painted one."""

    def take(self, frame: Frame) -> Iterator[Frame]:
        """The next frame; what can be shown by now."""
        before, self._before = self._before, frame
        if before is None or is_cut(before.pixels, frame.pixels):
            yield from self.close()
            self._last, self._gap = None, 0
        self._gap += 1
        if self._last is None or self._gap == self._of.every:
            yield from self._arrive(frame)
            return
        last, painting = self._last
        view = _View.of(frame, painting)
        back = _Link.search(self._back, view.small, last.small)
        if self._of.every == "auto" and self._gap >= pace(float(back.lost.mean()), self._gap, self._way):
            yield from self._arrive(frame)
        elif self._of.ahead:
            self._waiting.append(_Waiting(view, back, painting))
        elif (patches := self._patches(view, back.lost)) is None:
            yield from self._arrive(frame)
        else:
            self._leave_out(frame)
            yield self._shown(view, back.carried(painting), back.motion.trust, patches)

    def close(self) -> Iterator[Frame]:
        """The frames that wait, the last of them painted."""
        if self._waiting:
            yield from self._arrive(self._waiting.pop().view.frame)

    def _arrive(self, frame: Frame) -> Iterator[Frame]:
        """Paint a frame; the frames that wait for it, and it."""
        waiting, self._waiting = self._waiting, []
        onward = self._links_onward(waiting, frame)
        plans: list[Frame | list[Patch]] = []
        for each, link in zip(waiting, onward, strict=True):
            patches = self._patches(each.view, each.back.lost & link.lost)
            if patches is None:
                plans.append(self._painted(each.view.frame))
            else:
                self._leave_out(each.view.frame)
                plans.append(patches)
        painted = self._painted(frame)
        for index, (each, link, plan) in enumerate(zip(waiting, onward, plans, strict=True), 1):
            if isinstance(plan, Frame):
                yield plan
            else:
                origins = ((each.back, each.painting), (link, painted.pixels))
                shown = _crossfaded(*origins, index / (len(waiting) + 1))
                yield self._shown(each.view, shown, np.maximum(each.back.motion.trust, link.motion.trust), plan)
        self._last = (_View.of(frame, painted.pixels), painted.pixels)
        self._way, self._gap = self._gap, 0
        self._back.reset()
        yield painted

    def _links_onward(self, waiting: list[_Waiting], frame: Frame) -> list[_Link]:
        """From frames that wait to the one that they wait for."""
        if not waiting:
            return []
        there = _View.of(frame, waiting[0].painting).small
        self._onward.reset()
        # The nearest first: each search begins with what the one before found.
        return [_Link.search(self._onward, each.view.small, there) for each in reversed(waiting)][::-1]

    def _painted(self, frame: Frame) -> Frame:
        given = replace(frame, motion=None, mask=None) if self._skipped else frame
        self._skipped = False
        return frame.with_pixels(self._stylize(given).pixels)

    def _leave_out(self, frame: Frame) -> None:
        self._skipped = True
        self._of.follow(frame)

    def _patches(self, view: _View, lost: Mask) -> list[Patch] | None:
        height, width = view.picture.shape[:2]
        larger = cv2.resize(lost.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        return self._of.patches.covering(np.asarray(larger, np.bool_))

    def _shown(self, view: _View, shown: Pixels, trust: Trust, patches: list[Patch]) -> Frame:
        """A frame with what was carried, and patches where that isn't trusted."""
        if patches:
            height, width = shown.shape[:2]
            hole = cv2.resize((_SOUND - trust) / (_SOUND - _HOLE), (width, height), interpolation=cv2.INTER_LINEAR)
            shown = shown.copy()
        for patch in patches:
            share = np.clip(hole[patch.window], 0, 1)
            part = np.ascontiguousarray(shown[patch.window])
            painted = np.ascontiguousarray(self._of.patches.paint(view.picture, patch))
            shown[patch.window] = cv2.blendLinear(painted, part, share, 1 - share)
        return view.frame.with_pixels(shown)


def _crossfaded(before: tuple[_Link, Pixels], after: tuple[_Link, Pixels], share: float) -> Pixels:
    """What is carried from two paintings, ``share`` of the way from the first to the second, 0-1."""
    height, width = before[1].shape[:2]
    # Squared, so that the nearer one prevails, since the mean of two paintings is paler than either; and far above
    # what OpenCV adds to the sum of weights.
    weights = [
        cv2.resize(
            (link.motion.trust + np.float32(_FAINT)) * np.float32(100 * nearness**2),
            (width, height),
            interpolation=cv2.INTER_LINEAR,
        )
        for (link, _), nearness in ((before, 1 - share), (after, share))
    ]
    return np.asarray(
        cv2.blendLinear(*(link.carried(painting) for link, painting in (before, after)), *weights), np.uint8
    )
