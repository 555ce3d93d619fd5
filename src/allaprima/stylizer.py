"""A stylizer turns frames into frames: a painter, its state between frames, and what is done to colors and size."""

from __future__ import annotations

import cv2
import numpy as np

from .frame import Frame, Pixels, SourceInfo
from .painter import Painter, State


class Stylizer:
    """Paints the frames of one stream, in order.

    Args:
        painter: paints pictures.
        keep_colors: keep the colors of the picture and take only light and dark from the painting.
        size: (width, height) to scale frames to before painting; None keeps theirs.
    """

    def __init__(self, painter: Painter, *, keep_colors: bool = False, size: tuple[int, int] | None = None) -> None:
        self._painter, self._keep_colors, self._size = painter, keep_colors, size
        self._state: State = {}
        self._seen: tuple[int, ...] | None = None

    def output_size(self, info: SourceInfo) -> tuple[int, int]:
        """(width, height) of the painted frames of a source."""
        return self._size or (info.width, info.height)

    def prepare(self, info: SourceInfo) -> str:
        """Load the engine for a source, before its first frame; what will run, in words."""
        width, height = self.output_size(info)
        return str(self._painter.load(height, width).placement)

    def reset(self) -> None:
        """Forget what came before: after a cut, a seek, or a change of source."""
        self._state = {}

    def stylize(self, frame: Frame) -> Frame:
        """Paint one frame. A change of size resets the state by itself."""
        pixels = scale(frame.pixels, self._size)
        if pixels.shape != self._seen:
            self.reset()
            self._seen = pixels.shape
        painting, self._state = self._painter.paint(pixels, self._state)
        if self._keep_colors:
            painting = with_colors_of(painting, pixels)
        return frame.with_pixels(painting)


def scale(pixels: Pixels, size: tuple[int, int] | None) -> Pixels:
    """Scale to (width, height): by area when smaller, by Lanczos when larger."""
    height, width = pixels.shape[:2]
    if size is None or size == (width, height):
        return pixels
    way = cv2.INTER_AREA if size[0] <= width and size[1] <= height else cv2.INTER_LANCZOS4
    return np.asarray(cv2.resize(pixels, size, interpolation=way), np.uint8)


def with_colors_of(painting: Pixels, picture: Pixels) -> Pixels:
    """The painting's luma with the picture's chroma (Gatys et al. 2016, "Preserving Color", section 3.2)."""
    luma = cv2.cvtColor(painting, cv2.COLOR_RGB2YCrCb)
    mixed = cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb)
    mixed[..., 0] = luma[..., 0]
    return np.asarray(cv2.cvtColor(mixed, cv2.COLOR_YCrCb2RGB), np.uint8)
