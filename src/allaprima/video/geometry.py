"""Rotation and interlacing: from how a picture is stored to how it is shown."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import cast

import av.filter
import cv2
import numpy as np
from av.sidedata.sidedata import SideData, Type
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ..frame import Pixels


class Turn:
    """One of the eight ways a picture can lie in its file, read from a frame's display matrix."""

    def __init__(self, frame: VideoFrame) -> None:
        self.transpose = self.mirror = self.flip = False
        for side in cast("Iterable[SideData]", frame.side_data):
            if side.type == Type.DISPLAYMATRIX:
                a, b, _, c, d = (int(v) for v in np.frombuffer(bytes(side), np.int32)[:5])
                self.transpose = abs(b) + abs(c) > abs(a) + abs(d)
                self.mirror, self.flip = (c < 0, b < 0) if self.transpose else (a < 0, d < 0)

    @property
    def needed(self) -> bool:
        """False for a picture that lies as it is shown."""
        return self.transpose or self.mirror or self.flip

    def apply(self, pixels: Pixels) -> Pixels:
        """Turn a picture (uint8, H×W×3) to how it is shown; width and height swap where it lies on its side."""
        if self.transpose:
            pixels = cv2.transpose(pixels).astype(np.uint8, copy=False)
        if self.mirror or self.flip:
            code = -1 if self.mirror and self.flip else int(self.mirror)
            pixels = cv2.flip(pixels, code).astype(np.uint8, copy=False)
        return pixels


class Deinterlacer:
    """Weaves fields into whole pictures, one frame out for each one in; progressive frames pass untouched."""

    def __init__(self, stream: VideoStream) -> None:
        self._graph = av.filter.Graph()
        self._graph.threads = 1
        self._graph.link_nodes(
            self._graph.add_buffer(template=stream),
            self._graph.add("bwdif", "mode=send_frame:deint=interlaced"),
            self._graph.add("buffersink"),
        )
        self._graph.configure()
        self._times: deque[tuple[int | None, int]] = deque()

    def filter(self, frame: VideoFrame | None) -> Iterator[VideoFrame]:
        """Push a frame (None at the end) and take what is ready, with the times that went in."""
        if frame is not None:
            self._times.append((frame.pts, frame.duration))
        self._graph.vpush(frame)
        while self._times:
            try:
                ready = self._graph.vpull()
            except (BlockingIOError, EOFError):
                return
            ready.pts, ready.duration = self._times.popleft()
            yield ready
