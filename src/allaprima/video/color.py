"""Between a decoder's or encoder's planes and the RGB that is painted."""

from __future__ import annotations

import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter

from ..errors import SourceError
from ..frame import Color, Pixels

_RGB, _UNSPECIFIED = 0, 2
_MATRICES: dict[int, tuple[Colorspace, str]] = {
    1: (Colorspace.ITU709, "bt709"),
    4: (Colorspace.FCC, "bt601"),
    5: (Colorspace.ITU601, "bt601"),
    6: (Colorspace.ITU601, "bt601"),
    7: (Colorspace.SMPTE240M, "bt709"),
    9: (Colorspace.BT2020, "bt709"),
    10: (Colorspace.BT2020, "bt709"),
}
_HDR = {int(ColorTrc.SMPTE2084): "PQ", int(ColorTrc.ARIB_STD_B67): "HLG"}
_BT2020_PRIMARIES = 9
_SWS = {"bt709": Colorspace.ITU709, "bt601": Colorspace.ITU601}
_RANGES = {False: ColorRange.MPEG, True: ColorRange.JPEG}


def matrix_for_size(width: int, height: int) -> str:
    """The matrix that an untagged video of this size in pixels is taken to have."""
    return "bt601" if height <= 576 and width <= 1024 else "bt709"


class RgbReader:
    """Turns decoded frames into RGB by the matrix and range that the first of them states.

    Args:
        frame: the first decoded frame.
        label: the source's name, for messages.

    Raises:
        SourceError: HDR (PQ or HLG), or a color matrix that isn't known.
    """

    def __init__(self, frame: VideoFrame, label: str) -> None:
        if frame.color_trc in _HDR:
            raise SourceError(
                f"{label} is HDR video ({_HDR[frame.color_trc]}) and painting is standard range;"
                " convert it to SDR BT.709 first (tone mapping)"
            )
        self._reformatter = VideoReformatter()
        self._deep = VideoReformatter()
        name = frame.format.name
        is_rgb = frame.format.is_rgb or frame.colorspace == _RGB
        matrix = frame.colorspace
        if is_rgb or matrix == _UNSPECIFIED:
            stated = matrix_for_size(frame.width, frame.height)
            self._matrix = _SWS[stated]
        elif matrix in _MATRICES:
            self._matrix, stated = _MATRICES[matrix]
        else:
            raise SourceError(
                f"{label} has a color matrix that can't be read (code {matrix}); convert it to BT.709 first"
            )
        full = not is_rgb and (frame.color_range == ColorRange.JPEG or name.startswith("yuvj"))
        self.color = Color(stated, full)
        self._range = ColorRange.JPEG if is_rgb else _RANGES[full]
        notes = []
        self._shallow = shallow_format(frame)
        if self._shallow is not None:
            notes.append(f"{max(part.bits for part in frame.format.components)}-bit video was dithered to 8 bits")
        if any(part.is_alpha for part in frame.format.components):
            notes.append("transparency was left out")
        if frame.color_primaries == _BT2020_PRIMARIES or self._matrix == Colorspace.BT2020:
            notes.append("BT.2020 colors were taken as BT.709, without gamut mapping")
        self.notes = tuple(notes)

    def read(self, frame: VideoFrame) -> Pixels:
        """One decoded frame as uint8, H×W×3, RGB, contiguous."""
        if self._shallow is not None:
            frame = self._convert(self._deep, frame, self._shallow, self._range)
        rgb = self._convert(self._reformatter, frame, "rgb24", ColorRange.JPEG)
        return np.ascontiguousarray(rgb.to_ndarray(), dtype=np.uint8)

    def _convert(
        self, reformatter: VideoReformatter, frame: VideoFrame, form: str, range_out: ColorRange
    ) -> VideoFrame:
        return reformatter.reformat(
            frame,
            format=form,
            src_colorspace=self._matrix,
            dst_colorspace=self._matrix,
            src_color_range=self._range,
            dst_color_range=range_out,
            interpolation=Interpolation.BILINEAR,
            threads=1,
        )


def shallow_format(frame: VideoFrame) -> str | None:
    """The 8-bit layout to go through on the way to RGB (that step dithers), or None for video of 8 bits or fewer."""
    form = frame.format
    if max((part.bits for part in form.components), default=8) <= 8:
        return None
    if form.is_rgb:
        return "gbrp"
    if len(form.components) < 3:
        return "gray"
    if form.chroma_width(64) == 64:
        return "yuv444p"
    return "yuv422p" if form.chroma_height(64) == 64 else "yuv420p"


class RgbWriter:
    """Turns RGB into an encoder's frames, tagged.

    Args:
        pixel_format: what the encoder takes, e.g. ``yuv420p``.
        color: matrix and range to encode to.
    """

    def __init__(self, pixel_format: str, color: Color) -> None:
        self.pixel_format = pixel_format
        self.color = color
        self._reformatter = VideoReformatter()
        self._matrix = _SWS[color.matrix]
        self._is_rgb = pixel_format in ("bgr0", "rgb24", "gbrp")
        self._range = _RANGES[color.full_range or self._is_rgb]

    def padding(self, width: int, height: int) -> tuple[int, int]:
        """Columns and rows to add so that the encoder's chroma planes cover a picture of this size in pixels."""
        across = self.pixel_format.startswith(("yuv420", "yuv422"))
        down = self.pixel_format.startswith("yuv420")
        return (width % 2 if across else 0, height % 2 if down else 0)

    def write(self, pixels: Pixels) -> VideoFrame:
        """A frame for the encoder; ``pixels`` (uint8, H×W×3, RGB) must not change until it is encoded."""
        columns, rows = self.padding(pixels.shape[1], pixels.shape[0])
        if columns or rows:
            pixels = cv2.copyMakeBorder(pixels, 0, rows, 0, columns, cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)
        frame = VideoFrame.from_numpy_buffer(np.ascontiguousarray(pixels), format="rgb24")
        return self._reformatter.reformat(
            frame,
            format=self.pixel_format,
            src_colorspace=self._matrix,
            dst_colorspace=self._matrix,
            src_color_range=ColorRange.JPEG,
            dst_color_range=self._range,
            interpolation=Interpolation.BILINEAR,
            threads=1,
        )

    def tag(self, context: VideoCodecContext, height: int) -> None:
        """Say on an encoder, before it opens, how its YCbCr is to be read (``height`` tells PAL from NTSC)."""
        context.color_range = int(self._range)
        if self._is_rgb:
            context.colorspace, context.color_primaries, context.color_trc = _RGB, 1, 13
        elif self.color.matrix == "bt709":
            context.colorspace, context.color_primaries, context.color_trc = 1, 1, 1
        else:
            context.colorspace, context.color_primaries, context.color_trc = 6, 5 if height == 576 else 6, 6
