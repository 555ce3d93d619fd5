"""How steady a painted video is along its motion: warp error, where motion is found, and e_stab, where it is known.

Both are least for a style that paints nothing: quote them beside a figure of style and the untouched clip's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import cv2
import numpy as np

from ...cuts import is_cut
from ...errors import SourceError
from ...frame import Frame, Pixels
from .motion import Mask, Motion, check_size_kept, estimate, inside, size_of, warp

Stylize = Callable[[Frame], Frame]
"""Paints the frames of a clip, each once, in order."""


@dataclass(frozen=True, slots=True)
class WarpPair:
    """Warp error of one frame: mean absolute differences of 255 over the pixels that both frames show."""

    index: int
    """Of the frame within the clip, from 0."""
    output: float
    """Between its output and the one before, warped onto it."""
    untouched: float
    """The same for the input."""
    long: float | None
    """Between its output and the first one of its shot; None where motion was given, or nothing is seen in both."""
    long_untouched: float | None
    """The same for the input."""


@dataclass(frozen=True, slots=True)
class WarpResult:
    """Warp error of a clip: means over its pairs of neighboring frames, and over its pairs of first and later ones."""

    output: float
    """Mean absolute difference of 255 between an output and its predecessor warped onto it, over valid pixels."""
    untouched: float
    """The same for the input: what is left when nothing is painted (new light, noise, errors of the flow)."""
    valid_fraction: float
    """Share of pixels that are seen in both frames, 0-1."""
    pairs: int
    """How many pairs had a valid pixel and were counted."""
    long: float | None
    """As ``output``, with the first output of the shot for the predecessor; None where motion was given."""
    long_untouched: float | None
    """The same for the input."""
    long_valid_fraction: float | None
    """Share of pixels that are seen in a frame and in the first of its shot, 0-1."""
    series: tuple[WarpPair, ...]
    """Every pair that was counted, in order."""

    @property
    def worst(self) -> int:
        """Index of the frame whose output flickers most beyond the input: the largest ``output`` − ``untouched``."""
        return max(self.series, key=lambda pair: pair.output - pair.untouched).index

    @property
    def excess(self) -> float:
        """How far beyond, of 255."""
        return max(pair.output - pair.untouched for pair in self.series)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the series as frame index, output, untouched and long."""
        return {
            "warp": self.output,
            "untouched": self.untouched,
            "long": self.long,
            "long_untouched": self.long_untouched,
            "valid_fraction": self.valid_fraction,
            "long_valid_fraction": self.long_valid_fraction,
            "pairs": self.pairs,
            "series": [[pair.index, pair.output, pair.untouched, pair.long] for pair in self.series],
        }


class WarpError:
    """Warp error of a clip, frame by frame: mean absolute |O_t − W(O_s)| where motion is known.

    Short term s is the frame before, long term the first of the shot, as in Lai et al., "Learning Blind Video
    Temporal Consistency", ECCV 2018 (there squared). Motion is estimated on the *input* between the two frames that
    are compared, by :func:`~allaprima.measure.quality.motion.estimate`; or it is given, for neighbors alone. Warping
    is cubic.
    A shot ends where :func:`~allaprima.cuts.is_cut` finds a cut, and nothing is compared across it; where motion is
    given, its mask decides. A pair without one valid pixel counts for the valid fraction alone.
    """

    def __init__(self) -> None:
        self._count = 0
        self._before: tuple[Pixels, Pixels] | None = None
        self._first: tuple[Pixels, Pixels] | None = None
        self._pairs: list[WarpPair] = []
        self._valid: list[float] = []
        self._long_valid: list[float] = []

    def add(
        self, input_pixels: Pixels, output_pixels: Pixels, motion: Motion | None = None, mask: Mask | None = None
    ) -> None:
        """Take the next frame.

        Args:
            input_pixels: uint8, H×W×3.
            output_pixels: the same frame painted, uint8, H×W×3.
            motion: float32, H×W×2, pixels: where pixel p was in the previous frame is p − motion(p). None: estimate.
            mask: bool, H×W, true where ``motion`` is valid; None: everywhere that comes from inside the picture.

        Raises:
            StyleError: the output's size isn't the input's.
            SourceError: the size changed, motion or mask is of another size, or a side is shorter than 16 pixels and
                motion must be estimated.
        """
        check_size_kept(input_pixels, output_pixels)
        _check_planes(input_pixels, motion, mask)
        now = (input_pixels, output_pixels)
        index, self._count = self._count, self._count + 1
        before, self._before = self._before, now
        if before is not None and before[0].shape != input_pixels.shape:
            raise SourceError(f"the size changed from {size_of(before[0])} to {size_of(input_pixels)} within the clip")
        if before is None or self._first is None or (motion is None and is_cut(before[0], input_pixels)):
            self._first = now
            return

        if motion is None:
            backward, valid = estimate(input_pixels, before[0])
        else:
            backward = -motion
            valid = inside(backward)
        if mask is not None:
            valid &= mask
        self._valid.append(float(valid.mean()))
        if not valid.any():
            return
        output, untouched = _differences(now, before, backward, valid)
        long: tuple[float, float] | tuple[None, None] = (None, None)
        if motion is None:
            if self._first is not before:
                backward, valid = estimate(input_pixels, self._first[0])
            self._long_valid.append(float(valid.mean()))
            if valid.any():
                long = _differences(now, self._first, backward, valid)
        self._pairs.append(WarpPair(index, output, untouched, *long))

    def result(self) -> WarpResult:
        """What was measured so far.

        Raises:
            SourceError: fewer than two frames, or no two neighboring ones show anything in common.
        """
        if self._count < 2:
            raise SourceError(f"steadiness needs at least two frames, this clip has {self._count}")
        if not self._pairs:
            raise SourceError("no two neighboring frames of the clip show the same things: there is nothing to compare")
        return WarpResult(
            float(np.mean([pair.output for pair in self._pairs])),
            float(np.mean([pair.untouched for pair in self._pairs])),
            float(np.mean(self._valid)),
            len(self._pairs),
            _mean([pair.long for pair in self._pairs if pair.long is not None]),
            _mean([pair.long_untouched for pair in self._pairs if pair.long_untouched is not None]),
            _mean(self._long_valid),
            tuple(self._pairs),
        )


@dataclass(frozen=True, slots=True)
class StabilityResult:
    """e_stab of a sequence with true flow; pixel values 0-1, differences summed over R, G and B."""

    e_stab: float
    """Divided by all pixels, as in the papers: pixels that aren't compared count as perfectly steady."""
    untouched: float
    """The same for the input."""
    per_valid_pixel: float
    """Divided by the pixels that are compared."""
    untouched_per_valid_pixel: float
    """The same for the input."""
    valid_fraction: float
    """Share of pixels that are compared, 0-1."""
    pairs: int
    """How many pairs had a valid pixel and were counted."""
    mask: str
    """What decided which pixels are compared, in words."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


class StabilityError:
    """e_stab, pair by pair: sqrt(mean over pairs of (1/HW) Σ_p M(p) Σ_c (O_t − W(O_{t−1}))²), RGB in 0-1.

    Huang et al., "Real-Time Neural Style Transfer for Videos", CVPR 2017, and Gao et al., "ReCoNet", ACCV 2018, read
    as dividing by all pixels, not by the valid ones, and not by 3. Warping is bilinear, as is usual there. Where a
    data set has forward flow alone, O_{t+1} is warped into t: name frame t the reference. A pair without one valid
    pixel counts for the valid fraction alone.

    Args:
        mask: what decides which pixels are compared, in words, for the result.
    """

    def __init__(self, mask: str = "given") -> None:
        self._mask = mask
        self._sums: list[tuple[float, float]] = []
        self._valid: list[float] = []

    def add_pair(
        self, reference: tuple[Pixels, Pixels], other: tuple[Pixels, Pixels], flow: Motion, mask: Mask
    ) -> None:
        """Compare two neighboring frames; the other one is warped onto the reference.

        Args:
            reference: a frame and its painting, uint8, H×W×3 each.
            other: the frame before or after and its painting, uint8, H×W×3 each.
            flow: float32, H×W×2, pixels, finite: what the reference shows at p is at p + flow(p) in the other.
            mask: bool, H×W, true where it was visible there; what left the picture is left out beside it.

        Raises:
            StyleError: a painting isn't of the size of its frame.
            SourceError: the frames, the flow or the mask are of different sizes.
        """
        for pixels, output in (reference, other):
            check_size_kept(pixels, output)
        if other[0].shape != reference[0].shape:
            raise SourceError(f"neighboring frames are {size_of(reference[0])} and {size_of(other[0])}")
        _check_planes(reference[0], flow, mask)
        valid = mask & inside(flow)
        self._valid.append(float(valid.mean()))
        if valid.any():
            untouched, output_error = (
                _squares(here, there, flow, valid) for here, there in zip(reference, other, strict=True)
            )
            self._sums.append((output_error, untouched))

    def result(self) -> StabilityResult:
        """What was measured so far.

        Raises:
            SourceError: no pair had a valid pixel.
        """
        if not self._sums:
            raise SourceError("no two frames of the sequence show the same things: there is nothing to compare")
        counted = np.array([share for share in self._valid if share > 0])[:, None]
        sums = np.array(self._sums)
        output, untouched = (math.sqrt(value) for value in sums.mean(axis=0))
        output_valid, untouched_valid = (math.sqrt(value) for value in (sums / counted).mean(axis=0))
        share = float(np.mean(self._valid))
        return StabilityResult(output, untouched, output_valid, untouched_valid, share, len(self._sums), self._mask)


def measure_warp(stylize: Stylize, frames: Iterable[Frame]) -> WarpResult:
    """Paint a clip in order and measure its warp error along estimated motion.

    Args:
        stylize: the painter; it gets frames without motion and mask, as files give them.
        frames: the clip.

    Raises:
        SourceError: fewer than two frames, or nothing that two neighbors both show.
        StyleError: the painter returns another size.
    """
    meter = WarpError()
    for frame in frames:
        plain = without_motion(frame)
        meter.add(plain.pixels, stylize(plain).pixels)
    return meter.result()


def without_motion(frame: Frame) -> Frame:
    """The frame as a file would give it: a painter that is measured must not be told the true motion."""
    return replace(frame, motion=None, mask=None)


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _check_planes(pixels: Pixels, *planes: Motion | Mask | None) -> None:
    for plane in planes:
        if plane is not None and plane.shape[:2] != pixels.shape[:2]:
            raise SourceError(f"motion or mask is {size_of(plane)}, its frame {size_of(pixels)}")


def _differences(
    now: tuple[Pixels, Pixels], before: tuple[Pixels, Pixels], backward: Motion, valid: Mask
) -> tuple[float, float]:
    """Of the outputs and of the inputs: mean absolute difference of 255."""
    untouched, output = (
        float(np.abs(new - warp(old, backward)).mean(axis=2)[valid].mean())
        for new, old in zip(now, before, strict=True)
    )
    return output, untouched


def _squares(reference: Pixels, other: Pixels, flow: Motion, valid: Mask) -> float:
    """(1/HW) Σ_p M(p) Σ_c (reference − W(other))², values 0-1."""
    difference = (reference - warp(other, flow, cv2.INTER_LINEAR)) / np.float32(255)
    return float((difference * difference).sum(axis=2)[valid].sum(dtype=np.float64) / valid.size)
