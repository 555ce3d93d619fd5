"""What a frame costs outside of the net: decode, convert, convert back, encode, each timed alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path

import av
import numpy as np

from ...frame import Color, Frame, Pixels
from ...sink import SinkOptions
from ...sources.scene import SceneSource
from ...stylizer import scale
from ...video.codecs import add_picture, check_size, choose_codec, encoder_options
from ...video.color import RgbReader, RgbWriter, matrix_for_size
from ...video.containers import layout_for
from ...video.reader import VideoReader
from ...video.timing import Clock
from .timing import Clocks, Stage, time_steps

NAMES = ("decode", "convert", "infer", "convert back", "encode", "show")
"""The stages of a frame, in order."""
RATE = Fraction(24)
SCENE_FRAMES = 16
PAINTED_FRAMES = 8
"""Painted frames that are encoded, forth and back."""
_IN_FLIGHT = 24
"""Frames that an encoder and a threaded decoder hold back before their pace is that of their work."""
_TIMED = 24

DEFINITIONS = {
    "decode": "H.264 (x264 veryfast) of the built-in scene at that size, to the decoder's planes; the project's reader,"
    " its threads filled first",
    "convert": "the decoder's planes to 8-bit RGB",
    "infer": "8-bit RGB to 8-bit RGB; the conversion to floats and back is part of the graph, inside the engine",
    "convert back": "the painting's 8-bit RGB to the encoder's planes",
    "encode": "the painting to H.264 (x264 veryfast) in MP4, the encoder's look-ahead filled first",
    "show": "null: not measured, since there is no window to show frames in yet",
    "stages": "each timed alone, one after another; in `video` decode, infer and encode overlap. cpu_ms: CPU time of"
    " the whole process while only that stage runs, median of the frames for infer and mean for the others",
}
"""What the stages mean, a sentence each."""


class StageClip:
    """The built-in scene as an H.264 clip of one size, to time the stages around the net with.

    Args:
        folder: where the clip is written, and what is encoded later.
        scene: frames of any size, uint8, H×W×3; see :func:`scene_frames`.
        size: (width, height) in pixels.
        clocks: to time by.
    """

    def __init__(self, folder: Path, scene: Sequence[Pixels], size: tuple[int, int], clocks: Clocks) -> None:
        self._folder, self._clocks = folder, clocks
        clip = folder / "clip.mp4"
        stated = Color(matrix_for_size(*size))
        self.encode([scale(pixels, size) for pixels in scene], clip, stated)
        reader = VideoReader(str(clip))
        try:
            self.decoding, planes = time_steps(reader.frames(), _TIMED, clocks, skip=_IN_FLIGHT // 2)
            rgb = RgbReader(planes[0], reader.label)
            rgb.read(planes[0])
            self.conversion, frames = time_steps(map(rgb.read, planes), _TIMED, clocks)
        finally:
            reader.close()
        self.color = rgb.color
        width, height = size
        # The encoder's planes cover an even number of columns and rows.
        self.frames = [np.ascontiguousarray(frame[:height, :width]) for frame in frames[:PAINTED_FRAMES]]
        """Decoded frames to be painted, uint8, H×W×3."""

    def write(self, painted: Sequence[Pixels]) -> tuple[Stage, Stage]:
        """Times of converting back and of encoding painted frames (uint8, H×W×3)."""
        return self.encode(painted, self._folder / "painted.mp4", self.color)

    def encode(self, frames: Sequence[Pixels], path: Path, color: Color) -> tuple[Stage, Stage]:
        """Write frames, forth and back, as the video sink does; times of its two stages."""
        layout, options = layout_for(path), SinkOptions()
        codec = choose_codec(options, layout)
        rgb = RgbWriter(codec.pixel_format, color)
        height, width = frames[0].shape[:2]
        check_size(codec, width, height)
        columns, rows = rgb.padding(width, height)
        rgb.write(frames[0])
        conversion, planes = time_steps(map(rgb.write, frames), len(frames), self._clocks)
        clock = Clock(Frame(frames[0], time_base=1 / RATE), RATE, layout)
        with av.open(str(path), "w", format=layout.muxer) as out:
            stream = add_picture(out, codec, encoder_options(codec, options, layout), RATE, clock.time_base)
            stream.width, stream.height = width + columns, height + rows
            rgb.tag(stream.codec_context, height)
            order = cycle([*planes, *planes[-2:0:-1]])

            def encoded() -> Iterable[int]:
                for number, picture in enumerate(order):
                    picture.time_base, picture.pts = clock.time_base, number
                    for packet in stream.encode(picture):
                        out.mux_one(packet)
                    yield number

            encoding, _ = time_steps(encoded(), _TIMED, self._clocks, skip=_IN_FLIGHT)
            for packet in stream.encode(None):
                out.mux_one(packet)
        return conversion, encoding


def scene_frames() -> list[Pixels]:
    """The first frames of the built-in scene."""
    return [frame.pixels for frame in islice(SceneSource(None).frames(), SCENE_FRAMES)]
