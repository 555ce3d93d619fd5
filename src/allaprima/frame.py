"""The value that travels through the pipeline."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""uint8, H×W×3, RGB, gamma-encoded as in the source, full range 0-255."""


@dataclass(frozen=True, slots=True)
class Color:
    """How a video's YCbCr relates to RGB. Pixels in a frame are RGB already; this says what to encode back to."""

    matrix: str = "bt709"
    """``bt709`` or ``bt601``."""
    full_range: bool = False
    """True for 0-255 luma, false for 16-235."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a video, with its place in time."""

    pixels: Pixels
    pts: int = 0
    """Presentation time, in units of ``time_base``."""
    duration: int = 0
    """How long it shows, in units of ``time_base``; 0 where the source doesn't say."""
    time_base: Fraction = Fraction(1, 1000)
    color: Color = Color()
    motion: NDArray[np.float32] | None = None
    """float32, H×W×2 (x right, y down), in pixels: this frame's pixel p was at p − motion(p) in the previous one."""
    mask: NDArray[np.bool_] | None = None
    """bool, H×W: true where ``motion`` is valid, that is, where the pixel was visible in the previous frame."""
    captured: float | None = None
    """When a live source got it, in seconds of :func:`time.monotonic`; None for other sources."""

    @property
    def seconds(self) -> float:
        """Presentation time in seconds."""
        return float(self.pts * self.time_base)

    def with_pixels(self, pixels: Pixels) -> Frame:
        """The same moment with other pixels; planes stay."""
        return replace(self, pixels=pixels)


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known of a source before its first frame."""

    width: int
    """Width as shown (after rotation), in pixels."""
    height: int
    frame_rate: Fraction
    """Average frames a second, exact where the source is."""
    time_base: Fraction
    frames: int | None = None
    """Number of frames that will come, where it is known or can be estimated; None otherwise."""
    sample_aspect: Fraction = Fraction(1)
    color: Color = Color()
    notes: tuple[str, ...] = ()
    """What was changed on the way in (deinterlaced, dithered to 8 bits, rotated), for the result."""

    def resized(self, width: int, height: int) -> SourceInfo:
        """The same stream with frames of another size."""
        return replace(self, width=width, height=height)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "width": self.width,
            "height": self.height,
            "frame_rate": str(self.frame_rate),
            "frames": self.frames,
            "notes": list(self.notes),
        }
