"""Several styles as one stylizer: every frame goes to each, and the mosaic of the paintings comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from ..errors import StyleError, UsageError
from ..frame import Frame, Pixels, SourceInfo
from ..stylizer import Stylizer, scale
from .mosaic import FRAME, Heading, Mosaic, View, gap_for


@dataclass(frozen=True)
class Column:
    """What is shown in one column."""

    title: str
    stylizer: Stylizer | None
    """Its own, with its own state; None shows the input untouched."""
    note: str = ""
    """What else is said of it in its heading, after what ran."""


@dataclass(frozen=True)
class Zoom:
    """A rectangle of the painted picture, in its pixels."""

    x: int
    y: int
    width: int
    height: int
    factor: int | None = None
    """How many pixels wide and high a pixel becomes; None makes the rectangle as wide as the whole picture's panel."""


@dataclass(frozen=True)
class _Sizes:
    """Of one source, in pixels: (width, height)."""

    painted: tuple[int, int]
    shown: tuple[int, int]
    zoomed: tuple[int, int] = (0, 0)
    """The zoom's rectangle, enlarged."""


class Comparison:
    """Paints each frame in every style and shows the results side by side, on square pixels.

    Each column shows, from top to bottom: the whole picture; with ``zoom`` the rectangle, enlarged by nearest
    neighbor and framed in the picture; with ``difference`` the absolute difference to the frame before, |Oₜ − Oₜ₋₁|
    (RGB, of 255, averaged over the pixels that one shown pixel stands for, then amplified; black for the first frame).

    Args:
        columns: one or more.
        per_row: after how many columns the next ones begin below; 0 puts all in one row.
        size: (width, height) to scale the untouched input to; the one that the columns' stylizers paint at.
        width: the result's width in pixels at most; paintings are scaled down (by area) after they are made. An
            explicit zoom factor may still widen it.
        labels: whether titles and captions are drawn.
        difference: whether the difference is shown.
        gain: what the difference is multiplied by.
        zoom: what is enlarged.
        caption: what stands over the whole pictures.

    Raises:
        UsageError: no column, or a number that makes no sense.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        per_row: int = 0,
        size: tuple[int, int] | None = None,
        width: int | None = None,
        labels: bool = True,
        difference: bool = False,
        gain: float = 4.0,
        zoom: Zoom | None = None,
        caption: str = "",
    ) -> None:
        if not columns:
            raise UsageError("there is nothing to compare: name a style, or keep the input")
        if per_row < 0 or gain <= 0:
            raise UsageError("the number of columns must be 0 or more, and the difference's gain more than 0")
        self.columns = tuple(columns)
        self._per_row = min(per_row or len(columns), len(columns))
        self._size, self._width, self._labels, self._zoom = size, width, labels, zoom
        self._gain = gain if difference else None
        self._caption = caption
        self._sizes = _Sizes((0, 0), (0, 0))
        self._headings: list[Heading] = []
        self._mosaic: Mosaic | None = None
        self._before: list[Pixels] | None = None

    @property
    def wrapped(self) -> bool:
        """Whether the columns need more than one row."""
        return self._per_row < len(self.columns)

    @property
    def differs(self) -> bool:
        """Whether the difference is shown."""
        return self._gain is not None

    def output_info(self, info: SourceInfo) -> SourceInfo:
        """What the mosaic of a source is, as a stream.

        Raises:
            UsageError: the zoom reaches outside the picture, or the width is too small for the columns.
        """
        sizes = self._measure(info)
        mosaic = self._arrange([Heading(column.title) for column in self.columns], sizes, self._caption, titled=True)
        return replace(info.resized(mosaic.width, mosaic.height), sample_aspect=info.sample_aspect**0)

    def output_size(self, info: SourceInfo) -> tuple[int, int]:
        """(width, height) of the mosaics of a source."""
        made = self.output_info(info)
        return made.width, made.height

    def prepare(self, info: SourceInfo) -> str:
        """Load every style's engine for a source, before its first frame; what will run, in words."""
        self._sizes = self._measure(info)
        details = [column.stylizer.prepare(info) if column.stylizer else "" for column in self.columns]
        width, height = self._sizes.painted
        self._headings = [
            Heading(column.title, ", ".join(filter(None, (detail or f"{width}x{height}", column.note))))
            for column, detail in zip(self.columns, details, strict=True)
        ]
        self._mosaic = self._arrange(self._headings, self._sizes, self._caption, titled=True)
        return ", ".join(dict.fromkeys(detail for detail in details if detail))

    def reset(self) -> None:
        """Forget what came before, in every column."""
        self._before = None
        for column in self.columns:
            if column.stylizer:
                column.stylizer.reset()

    def stylize(self, frame: Frame) -> Frame:
        """Paint one frame in every style; the mosaic, at the frame's moment."""
        if self._mosaic is None:
            height, width = frame.pixels.shape[:2]
            self.prepare(SourceInfo(width, height, 1 / frame.time_base, frame.time_base))
            return self.stylize(frame)
        mosaic = self._mosaic.fill(self.panels(frame))
        return replace(frame, pixels=mosaic, motion=None, mask=None)

    def panels(self, frame: Frame) -> list[list[Pixels]]:
        """Paint one frame in every style.

        Returns:
            By column and view, uint8 H×W×3, each of the size in which it is shown.

        Raises:
            StyleError: a style made another size than it was given.
        """
        paintings = [self._paint(column, frame) for column in self.columns]
        before, self._before = self._before or paintings, paintings
        return [self._views_of(*pair) for pair in zip(paintings, before, strict=True)]

    def moment(self, panels: list[list[Pixels]], caption: str, *, titled: bool) -> Pixels:
        """The mosaic of one moment of a sheet: its panels under a caption of its own, headings where ``titled``."""
        return self._arrange(self._headings, self._sizes, caption, titled=titled).fill(panels)

    def to_dict(self) -> list[dict[str, Any]]:
        """The columns as plain values for JSON: title, what ran, and the size in which the whole picture is shown."""
        width, height = self._sizes.shown
        return [
            {"title": heading.title, "detail": heading.detail, "width": width, "height": height}
            for heading in self._headings
        ]

    def _paint(self, column: Column, frame: Frame) -> Pixels:
        if column.stylizer is None:
            return scale(frame.pixels, self._size)
        painting = column.stylizer.stylize(frame).pixels
        height, width = painting.shape[:2]
        if (width, height) != self._sizes.painted:
            wanted = "x".join(map(str, self._sizes.painted))
            raise StyleError(f"'{column.title}' made {width}x{height} of {wanted}: styles must keep the size")
        return painting

    def _views_of(self, painting: Pixels, before: Pixels) -> list[Pixels]:
        whole = scale(painting, self._sizes.shown)
        views = [whole]
        if self._zoom is not None:
            zoom = self._zoom
            crop = painting[zoom.y : zoom.y + zoom.height, zoom.x : zoom.x + zoom.width]
            views[0] = self._marked(whole)
            way = cv2.INTER_AREA if self._sizes.zoomed[0] < zoom.width else cv2.INTER_NEAREST_EXACT
            views.append(np.asarray(cv2.resize(crop, self._sizes.zoomed, interpolation=way), np.uint8))
        if self._gain is not None:
            moved = np.asarray(cv2.absdiff(painting, before), np.uint8)
            views.append(np.asarray(cv2.convertScaleAbs(scale(moved, self._sizes.shown), alpha=self._gain), np.uint8))
        return views

    def _marked(self, whole: Pixels) -> Pixels:
        """A copy with the zoom's rectangle drawn around what it shows."""
        zoom = self._zoom
        if zoom is None:
            return whole
        (width, height), (painted_width, painted_height) = self._sizes.shown, self._sizes.painted
        across, down, line = width / painted_width, height / painted_height, max(1, round(width / 320))
        left, top = round(zoom.x * across), round(zoom.y * down)
        right, bottom = round((zoom.x + zoom.width) * across), round((zoom.y + zoom.height) * down)
        marked = whole.copy()
        for rows, columns in (
            (slice(max(0, top - line), bottom + line), slice(max(0, left - line), left)),
            (slice(max(0, top - line), bottom + line), slice(right, right + line)),
            (slice(max(0, top - line), top), slice(left, right)),
            (slice(bottom, bottom + line), slice(left, right)),
        ):
            marked[rows, columns] = FRAME
        return marked

    def _measure(self, info: SourceInfo) -> _Sizes:
        width, height = self._size or (info.width, info.height)
        # Shown on square pixels: the longer side grows, so that nothing is lost.
        aspect = 1 if self._size else info.sample_aspect
        shown = (round(width * aspect), height) if aspect >= 1 else (width, round(height / aspect))
        if self._width is not None:
            gap = gap_for(self._width // self._per_row)
            room = (self._width - gap * (self._per_row + 1)) // self._per_row
            if room < 16:
                raise UsageError(f"{self._per_row} columns don't fit {self._width} pixels: give a larger --width")
            if room < shown[0]:
                shown = (room, max(1, round(shown[1] * room / shown[0])))
        zoom = self._zoom
        if zoom is None:
            return _Sizes((width, height), shown)
        if zoom.x + zoom.width > width or zoom.y + zoom.height > height:
            rectangle = f"{zoom.x},{zoom.y},{zoom.width},{zoom.height}"
            raise UsageError(f"the zoom {rectangle} reaches outside the picture, which is {width}x{height}")
        if zoom.factor is not None:
            return _Sizes((width, height), shown, (zoom.width * zoom.factor, zoom.height * zoom.factor))
        return _Sizes((width, height), shown, (shown[0], max(1, round(zoom.height * shown[0] / zoom.width))))

    def _arrange(self, headings: Sequence[Heading], sizes: _Sizes, caption: str, *, titled: bool) -> Mosaic:
        views = [View(*sizes.shown, caption)]
        if self._zoom is not None:
            views.append(View(*sizes.zoomed, f"framed part, x{sizes.zoomed[0] / self._zoom.width:.3g}"))
        if self._gain is not None:
            views.append(View(*sizes.shown, f"difference to the frame before, x{self._gain:g}"))
        if not self._labels:
            views = [replace(view, caption="") for view in views]
        return Mosaic(headings, views, per_row=self._per_row, titled=titled and self._labels)
