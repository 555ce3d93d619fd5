"""A painter turns a picture into a picture: here, an ONNX style in an engine."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .coherence.noise import UNKNOWN_GAIN
from .engine import Engine, initial_state
from .errors import EngineError, StyleError, UsageError
from .frame import Pixels
from .placement import open_engine
from .style import MINIMUM_SIDE, Style
from .tiling.stride import stride_of
from .tiling.tiles import paint_tiles, plan_tiles

State = Mapping[str, NDArray[Any]]
"""What a style remembers from frame to frame, by input name; empty for styles that remember nothing."""


class Painter:
    """Paints pictures in one style.

    Args:
        style: the style.
        style_image: uint8 H×W×3 RGB, for styles that take any picture as their model.
        strength: 0 is the photograph, 1 the full style. A style with a ``strength`` input gets it; for others the
            painting is blended with the picture.
        engine, precision, device, threads: see :func:`~allaprima.placement.open_engine`.

    Raises:
        UsageError: a strength outside 0 to 1, or a style picture missing or not wanted.
    """

    def __init__(
        self,
        style: Style,
        *,
        style_image: Pixels | None = None,
        strength: float = 1.0,
        engine: str = "auto",
        precision: str = "auto",
        device: str = "auto",
        threads: int = 0,
    ) -> None:
        wants_picture = "style" in style.card.inputs
        if wants_picture != (style_image is not None):
            need = "needs --style-image" if wants_picture else "takes no --style-image"
            raise UsageError(f"style '{style.name}' {need}")
        self.style = style
        self._options = {"engine": engine, "precision": precision, "device": device, "threads": threads}
        self._constant: dict[str, NDArray[Any]] = {}
        if style_image is not None:
            self._constant["style"] = style_image[np.newaxis]
        self._set_strength(strength)
        self._least = max(MINIMUM_SIDE, 1 if style.card.pads else style.card.stride)
        self._engine: Engine | None = None
        self._size: tuple[int, int] | None = None

    @property
    def stride(self) -> int:
        """By how many pixels a picture must move for its painting to move along exactly.

        1 where moving pictures to the painter's grid would be of no use: any move is carried along, the style carries
        a memory of its own that lies where the last picture lay, or it paints at a fixed size.
        """
        return self.style.card.stride if self.style.fixed_size is None and not self.memory else 1

    @property
    def memory(self) -> tuple[str, ...]:
        """Names of the inputs that carry what the style remembers of the picture before."""
        names = self.style.card.inputs
        return tuple(sorted(name for name in names if name == "previous" or name.startswith("state.")))

    @property
    def noise_gain(self) -> float:
        """How much the style answers to noise of sigma 2, as its card says.

        :data:`~allaprima.coherence.noise.UNKNOWN_GAIN` where it says nothing.
        """
        alone = self.style.card.measurements.get("coherence_off", {})
        return float(alone.get("noise", {}).get("2", UNKNOWN_GAIN))

    def for_work_size(self) -> tuple[Painter, float]:
        """For pictures painted at a lower size: the painter without its blending, and the strength to blend by.

        The picture that the painting is blended with must be the full one. A style with a ``strength`` input has it
        inside: what is left to blend by is 1.

        Raises:
            UsageError: the style paints at a fixed size.
        """
        if self.style.fixed_size:
            height, width = self.style.fixed_size
            raise UsageError(
                f"style '{self.style.name}' always works at {width}x{height}: it takes no work size, leave that out"
            )
        if self._strength == 1 or "strength" in self._constant:
            return self, 1.0
        unblended = copy.copy(self)
        unblended._strength = 1.0
        return unblended, self._strength

    def with_strength(self, strength: float) -> Painter:
        """The same painter with another strength, 0-1; the loaded engine is shared.

        Raises:
            UsageError: a strength outside 0 to 1.
        """
        painter = copy.copy(self)
        painter._constant = dict(self._constant)
        painter._set_strength(strength)
        return painter

    def for_another_size(self) -> Painter:
        """The same painter, to be loaded for pictures of another size where and how this one was; nothing is measured.

        A painter that wasn't loaded yet chooses by itself.
        """
        painter = copy.copy(self)
        if self._engine is not None:
            at = self._engine.placement
            painter._options = {**self._options, "engine": at.engine, "precision": at.precision, "device": at.device}
        painter._engine = None
        return painter

    def several(self, at_once: int) -> Painter:
        """The same painter, for so many pictures at a time: each is painted with its share of the threads.

        More are painted in the same time, since threads needn't wait for each other; each of them takes longer.
        """
        painter = copy.copy(self)
        painter._options = {**self._options, "at_once": at_once}
        painter._engine = None
        return painter

    def prepare(self, height: int, width: int) -> str:
        """Get ready for pictures of one size; what will run, in words.

        Raises:
            EngineError: nothing here can run the style as asked.
        """
        return str(self.load(height, width).placement)

    def load(self, height: int, width: int) -> Engine:
        """Load the engine for one size of picture; painting does it by itself at the first picture.

        Raises:
            EngineError: nothing here can run the style as asked.
        """
        size = self.style.fixed_size or (max(height, self._least), max(width, self._least))
        if self._engine is None or size != self._size:
            with self._with_remedy():
                self._engine = open_engine(self.style, size, **self._options)  # type: ignore[arg-type]
            self._size = size
        return self._engine

    def paint(self, pixels: Pixels, state: State) -> tuple[Pixels, State]:
        """Paint one picture.

        Args:
            pixels: uint8 H×W×3 RGB; sides too small for the style are extended by reflection and cropped again.
            state: from the picture before, or empty after a reset.

        Returns:
            The painting, of the same size, and the state for the next picture.
        """
        height, width = pixels.shape[:2]
        engine = self.load(height, width)
        given = self._fit(pixels)
        state = state or initial_state(self.style, given.shape[:2])
        with self._with_remedy():
            outputs = engine.run({"image": given[np.newaxis], **self._constant, **state})
        painting = next(iter(outputs.values()))[0]
        if painting.shape != given.shape:
            raise StyleError(
                f"style '{self.style.name}' made {painting.shape[1]}x{painting.shape[0]} of"
                f" {given.shape[1]}x{given.shape[0]}: if its sides must be multiples of N, say --stride N"
            )
        following = {
            name: painting[np.newaxis] if name == "previous" else outputs[f"next.{name.removeprefix('state.')}"]
            for name in state
        }
        painting = self._unfit(painting, height, width)
        if self._strength < 1 and "strength" not in self._constant:
            painting = cv2.addWeighted(painting, self._strength, pixels, 1 - self._strength, 0)
        return painting, following

    def paint_still(self, pixels: Pixels) -> Pixels:
        """Paint one picture that stands alone: a large one tile by tile, which gives the same painting.

        Args:
            pixels: uint8 H×W×3 RGB.

        Returns:
            The painting, of the same size. Beside the two of them, memory is taken for a tile alone; see
            :data:`~allaprima.tiling.tiles.TILE_SIDE`.

        Raises:
            StyleError: the picture is too large to be painted in one go, and the style can't be painted in tiles.
        """
        quantized = self.style.quantized() if self._options["precision"] in ("auto", "int8") else None
        tiles = plan_tiles([self.style, *([quantized] if quantized else [])], *pixels.shape[:2])
        if tiles is None:
            return self.paint(pixels, {})[0]
        return paint_tiles(pixels, tiles, lambda tile: self.paint(tile, {})[0])

    def _set_strength(self, strength: float) -> None:
        if not 0.0 <= strength <= 1.0:
            raise UsageError(f"strength must be between 0 and 1, not {strength:g}")
        self._strength = strength
        if "strength" in self.style.card.inputs:
            self._constant["strength"] = np.array([strength], np.float32)

    @contextmanager
    def _with_remedy(self) -> Iterator[None]:
        """Where an engine fails on a foreign net, whose sides may have to be multiples of a stride, say what helps."""
        try:
            yield
        except EngineError as error:
            card, remedy = self.style.card, ""
            if not (card.pads or self.style.fixed_size):
                told = stride_of(self.style.model)
                if told is None and card.stride == 1:
                    remedy = (
                        "; its stride can't be told from its graph: if sides must be multiples of N, say --stride N"
                    )
                elif told is not None and card.stride % told:
                    remedy = f"; its graph has a stride of {told}, not {card.stride}: leave out --stride"
            raise EngineError(f"{error}{remedy}") from error

    def _fit(self, pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        if (height, width) == self.style.fixed_size:
            return pixels
        if self.style.fixed_size:
            fixed_height, fixed_width = self.style.fixed_size
            way = cv2.INTER_AREA if fixed_height < height else cv2.INTER_CUBIC
            return np.asarray(cv2.resize(pixels, (fixed_width, fixed_height), interpolation=way), np.uint8)
        below, right = max(0, self._least - height), max(0, self._least - width)
        if below or right:
            # NumPy reflects again and again where the picture is smaller than what is missing; OpenCV refuses.
            return np.pad(pixels, ((0, below), (0, right), (0, 0)), mode="reflect")
        return pixels

    def _unfit(self, painting: Pixels, height: int, width: int) -> Pixels:
        if self.style.fixed_size and (height, width) != self.style.fixed_size:
            return np.asarray(cv2.resize(painting, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
        return painting[:height, :width]
