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
from .flow import Flow, LocalMotion, MotionSearch, carried, sampled
from .patches import Patch, Patches, Window

Every = int | Literal["auto"]
"""Every how many frames one is painted: a number, or as the motion allows."""
Light = NDArray[np.uint8]
Share = NDArray[np.float32]
Mask = NDArray[np.bool_]

MOST = 8
"""Frames from a painted one to the next, at most: farther apart, little of what moves can be found again."""
MOST_BY_MOTION = 4
"""The same where motion decides."""
_LOST_TO_STAY, _LOST_TO_RISE = 0.06, 0.04
"""Share of a frame that may be lost on the way from one painted frame to the next, for the way to be as long as the
last one, and for it to be longer: apart, so that it doesn't change to and fro. With more, what is filled in costs as
much as is saved."""
_REST = 7
"""Frames that are painted before motion is looked at again, where it left too much lost from one frame to the next."""
_SEARCHED_SIDE = 960
"""Longer side in pixels up to which frames are searched for motion as they are; larger ones, at a half, a third, …"""
_HOLE, _SOUND = 0.2, 0.6
"""Trust up to which a lost pixel is had from elsewhere, and from which on it isn't."""
_WORTH, _WORTH_PART = 0.01, 0.004
"""Share of a frame that must be lost for it to be looked for in the farther painting, too; and that a part with what is
around it must have, to be fetched from there."""
_UNLIKE = 12.0
"""Difference of light, of 255 and averaged over the window, from which on what isn't trusted is lost. Below, it may be
of another light or without anything to be found by, and can be shown all the same."""
_REDUCTION = 3
"""It is looked for what is lost in a third of the size that motion is searched at."""
_WINDOW = (3, 3)
_ROUGH, _ROUGH_SLOPE = 0.3, 0.03
"""Mean distance from the motion around it, in pixels of that size, and its share of that motion, from which on motion
is torn."""
_VICINITY = (5, 5)
_EDGE = np.ones((7, 7), np.uint8)
_AROUND = np.ones((7, 7), np.uint8)
"""What is fetched around what is lost, in pixels of that size."""
_KERNEL = 3
"""Pixels around a place that are sampled."""


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

    A frame between two painted ones shows the painting of the nearer one, carried along by the motion from it to that
    (the earlier one in the middle, so that nothing is seen before it comes); what is lost on the way is taken from the
    other one, and what can't be had from either is painted, in patches where that is enough. Both paintings aren't
    mixed: their mean is paler than each. The first and the last frame of a shot are painted, and nothing is carried
    over a cut.

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
    light: Light
    """As it is looked for what is lost."""

    @classmethod
    def of(cls, frame: Frame, painting: Pixels) -> _View:
        """Beside a painting of its shot."""
        height, width = painting.shape[:2]
        factor = -(-max(height, width) // _SEARCHED_SIDE)
        picture = scale(frame.pixels, (width, height))
        small = scale(picture, (-(-width // factor), -(-height // factor)))
        size = tuple(max(side // _REDUCTION, 1) for side in small.shape[1::-1])
        light = cv2.resize(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)
        return cls(frame, picture, small, np.asarray(light, np.uint8))


@dataclass(frozen=True, slots=True, eq=False)
class _Link:
    """From a frame to another one of its shot, in small pictures."""

    motion: LocalMotion
    lost: Mask
    """What of the frame can't be had from there: bool, of the light's size."""

    @classmethod
    def search(cls, search: MotionSearch, now: _View, other: _View) -> _Link:
        """Between two frames."""
        motion = search.between(now.small, other.small)
        size = now.light.shape[1], now.light.shape[0]
        flow = cv2.resize(motion.flow, size, interpolation=cv2.INTER_NEAREST) / np.float32(_REDUCTION)
        trust = np.asarray(cv2.resize(motion.trust, size, interpolation=cv2.INTER_NEAREST), np.float32)
        difference = cv2.boxFilter(cv2.absdiff(now.light, sampled(other.light, flow)), cv2.CV_32F, _WINDOW)
        unlike = ((difference > _UNLIKE) & (trust < _HOLE)).astype(np.float32)
        # Specks don't count.
        lost = np.asarray(cv2.boxFilter(unlike, -1, _WINDOW) > 0.5, np.bool_)
        rough = _rough(flow)
        if rough.any():
            torn = _stretched(rough.astype(np.float32), (motion.trust.shape[1], motion.trust.shape[0]))
            motion = LocalMotion(motion.flow, np.asarray(motion.trust * (1 - torn), np.float32))
        return cls(motion, lost | rough)


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """A painting on one side of a frame in time."""

    link: _Link
    painting: Pixels

    def carried(self, window: Window | None = None) -> Pixels:
        """The painting as it looks from the frame: all of it, or a part."""
        painting, size, flow = self.painting, self.painting.shape[1::-1], self.link.motion.flow
        if flow.shape[1::-1] != size:
            larger = np.array([size[0] / flow.shape[1], size[1] / flow.shape[0]], np.float32)
            flow = np.multiply(_stretched(flow, size), larger, dtype=np.float32)
        if window is None:
            return carried(painting, LocalMotion(flow, self.link.motion.trust))
        reach = int(np.abs(flow[window]).max()) + _KERNEL
        top, left = (max(part.start - reach, 0) for part in window)
        rows, columns = window
        source = slice(top, rows.stop + reach), slice(left, columns.stop + reach)
        part = carried(painting[source], LocalMotion(flow[source], self.link.motion.trust))
        return part[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]


@dataclass(slots=True, eq=False)
class _Waiting:
    """A frame that waits for the next painted one."""

    view: _View
    back: _Link | None
    """To the last painted one, where it was searched."""
    onward: _Link | None = None
    """To the next painted one, where it was searched."""
    earlier: bool = True
    """Whether the last painted one is the nearer one."""

    @property
    def lost(self) -> Mask:
        """What can't be had from the paintings that were looked at."""
        links = [link.lost for link in (self.back, self.onward) if link]
        return np.asarray(np.logical_and.reduce(links), np.bool_)

    def sides(self, before: Pixels, after: Pixels) -> list[_Side]:
        """The paintings to show, the nearer one first, given those of the frames around it."""
        pairs = [(self.back, before), (self.onward, after)]
        return [_Side(link, painting) for link, painting in (pairs if self.earlier else pairs[::-1]) if link]


class _Stream:
    """A stream on its way through an upsampler."""

    def __init__(self, upsampler: Upsampler, stylize: Callable[[Frame], Frame]) -> None:
        self._of, self._stylize = upsampler, stylize
        self._back, self._onward = MotionSearch(), MotionSearch()
        self._before: Frame | None = None
        self._skipped = False
        """Whether the frame before wasn't painted."""
        self._last: Frame | None = None
        """The last painted frame of the shot."""
        self._painting: Pixels = np.empty((0, 0, 3), np.uint8)
        """That of it."""
        self._there: _View | None = None
        """The last painted frame, where it was looked at."""
        self._waiting: list[_Waiting] = []
        self._gap = 0
        """Frames from the last painted one to the newest."""
        self._way = 1
        """Frames from the painted one before to the last painted one."""
        self._rest = 0
        """Frames to paint without looking at their motion."""

    def take(self, frame: Frame) -> Iterator[Frame]:
        """The next frame; what can be shown by now."""
        before, self._before = self._before, frame
        if before is None or is_cut(before.pixels, frame.pixels):
            yield from self.close()
            self._last, self._gap, self._rest = None, 0, 0
        self._gap += 1
        every, ahead = self._of.every, self._of.ahead
        self._rest -= every == "auto" and self._rest > 0
        if self._last is None or self._gap == every or self._rest:
            yield from self._arrive(frame)
            return
        view = _View.of(frame, self._painting)
        nearer = not ahead or every == "auto" or 2 * self._gap <= every
        back = self._search_back(view, self._last) if nearer else None
        if every == "auto" and back and self._gap >= pace(float(back.lost.mean()), self._gap, self._way):
            self._rest = _REST + 1 if self._gap == 1 else 0
            yield from self._arrive(frame)
        elif ahead or back is None:
            self._waiting.append(_Waiting(view, back))
        elif (patches := self._patches(view, back.lost)) is None:
            yield from self._arrive(frame)
        else:
            self._leave_out(frame)
            yield self._shown(view, [_Side(back, self._painting)], patches)

    def close(self) -> Iterator[Frame]:
        """The frames that wait, the last of them painted."""
        if self._waiting:
            yield from self._arrive(self._waiting.pop().view.frame)

    def _arrive(self, frame: Frame) -> Iterator[Frame]:
        """Paint a frame; the frames that wait for it, and it."""
        waiting, self._waiting = self._waiting, []
        here = self._look(waiting, frame)
        plans: list[Frame | list[Patch]] = []
        for each in waiting:
            patches = self._patches(each.view, each.lost)
            if patches is None:
                plans.append(self._painted(each.view.frame))
            else:
                self._leave_out(each.view.frame)
                plans.append(patches)
        painted = self._painted(frame)
        for each, plan in zip(waiting, plans, strict=True):
            if isinstance(plan, Frame):
                yield plan
            else:
                yield self._shown(each.view, each.sides(self._painting, painted.pixels), plan)
        self._last, self._painting, self._there = frame, painted.pixels, here
        self._way, self._gap = self._gap, 0
        self._back.reset()
        yield painted

    def _look(self, waiting: list[_Waiting], frame: Frame) -> _View | None:
        """Find out where frames that wait are to be had from, now that the one that they wait for is there."""
        if not self._last or not waiting:
            return None
        here = _View.of(frame, self._painting)
        self._onward.reset()
        # The nearest first: each search begins with what the one before found.
        for gap, each in reversed(list(enumerate(waiting, 1))):
            each.earlier = 2 * gap <= len(waiting) + 1
            if each.earlier:
                each.back = each.back or self._search_back(each.view, self._last)
            else:
                each.onward = _Link.search(self._onward, each.view, here)
            if each.lost.mean() > _WORTH:
                each.back = each.back or self._search_back(each.view, self._last)
                each.onward = each.onward or _Link.search(self._onward, each.view, here)
        return here

    def _search_back(self, view: _View, last: Frame) -> _Link:
        """From a frame to the last painted one."""
        self._there = self._there or _View.of(last, self._painting)
        return _Link.search(self._back, view, self._there)

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

    def _shown(self, view: _View, sides: list[_Side], patches: list[Patch]) -> Frame:
        """A frame with what was carried from the first side, filled from the second one, and with patches."""
        first, others = sides[0], sides[1:]
        shown, trust = first.carried(), first.link.motion.trust
        size = shown.shape[1::-1]
        if shown is first.painting and (others or patches):
            shown = shown.copy()
        for other in others:
            hole, there = _hole(trust, size), _stretched(other.link.motion.trust, size)
            for window in _windows(first.link.lost & ~other.link.lost, size):
                _fill(shown, window, other.carried(window), hole[window] * there[window])
            trust = np.maximum(trust, other.link.motion.trust)
        hole = _hole(trust, size) if patches else trust
        for patch in patches:
            _fill(shown, patch.window, self._of.patches.paint(view.picture, patch), hole[patch.window])
        return view.frame.with_pixels(shown)


def _stretched(plane: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Of (width, height); itself where it is that already."""
    if plane.shape[1::-1] == size:
        return plane
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _rough(flow: Flow) -> Mask:
    """Where motion is torn: what is found alike there by chance doesn't hang together. Edges of what moves don't count.

    Args:
        flow: float32, H×W×2, in pixels.
    """
    mean = cv2.boxFilter(flow, -1, _VICINITY)
    apart, most = (np.abs(plane).sum(axis=2) for plane in (flow - mean, mean))
    torn = cv2.boxFilter(apart, -1, _VICINITY) > _ROUGH + _ROUGH_SLOPE * most
    return np.asarray(cv2.morphologyEx(torn.astype(np.uint8), cv2.MORPH_OPEN, _EDGE) > 0, np.bool_)


def _hole(trust: Share, size: tuple[int, ...]) -> Share:
    """How much must be had from elsewhere, 0-1, of (width, height)."""
    return np.clip(_stretched((_SOUND - trust) / np.float32(_SOUND - _HOLE), size), 0, 1)


def _fill(shown: Pixels, window: Window, pixels: Pixels, share: Share) -> None:
    """Blend pixels into a window, in place."""
    part = np.ascontiguousarray(shown[window])
    shown[window] = cv2.blendLinear(np.ascontiguousarray(pixels), part, share, 1 - share)


def _windows(lost: Mask, size: tuple[int, ...]) -> list[Window]:
    """What encloses the lost parts and a little around them, of (width, height)."""
    around = cv2.dilate(lost.astype(np.uint8), _AROUND)
    x_step, y_step = (side / count for side, count in zip(size, lost.shape[::-1], strict=True))
    return [
        (slice(int(y * y_step), int((y + height) * y_step)), slice(int(x * x_step), int((x + width) * x_step)))
        for x, y, width, height, area in cv2.connectedComponentsWithStats(around)[2][1:]
        if area > _WORTH_PART * lost.size
    ]
