"""Running a style's graph on one device in one stated precision, and choosing where to run it."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .byte_pictures import with_byte_pictures
from .errors import EngineError, StyleError, UsageError
from .style import Style

Feeds = Mapping[str, NDArray[Any]]

ENGINES = ("onnxruntime", "openvino")
PRECISIONS = ("f32", "bf16", "f16", "int8")
_PROBE_SIDE = 32


@dataclass(frozen=True)
class Placement:
    """Where and how a graph runs."""

    engine: str
    precision: str
    device: str = "cpu"

    def __str__(self) -> str:
        return f"{self.engine} {self.precision} on {self.device}"


class Engine(ABC):
    """One loaded graph. Pictures go in and come out as uint8 N×H×W×3; other inputs as the graph declares them.

    Threads may run it at the same time, with pictures of one size.

    Loading raises :class:`~allaprima.errors.EngineError` when the graph would not run exactly as the placement says.
    """

    placement: Placement
    """What really runs, read back from the compiled graph."""

    @abstractmethod
    def run(self, feeds: Feeds) -> dict[str, NDArray[Any]]:
        """Outputs by name. The arrays are the caller's to keep."""


def load_engine(
    style: Style, placement: Placement, size: tuple[int, int], threads: int = 0, at_once: int = 1
) -> Engine:
    """Load a style exactly as placed.

    Args:
        style: the float style; its int8 file is looked up where the placement says int8.
        placement: engine, precision, device.
        size: (height, width) of the pictures to come; another size may be fed, at the cost of compiling again.
        threads: of the engine on the CPU; 0 takes all cores.
        at_once: how many threads will run it at a time; each gets its share of the engine's.

    Raises:
        EngineError: the engine is missing or can't do it; the message holds the reason and the fix.
    """
    if placement.precision not in PRECISIONS:
        raise UsageError(f"unknown precision '{placement.precision}'; known: auto, {', '.join(PRECISIONS)}")
    chosen: Style | None = style
    if placement.precision == "int8":
        chosen = style.quantized()
        if chosen is None:
            raise EngineError(f"style '{style.name}' has no int8 file; choose --precision f32, bf16 or auto")
    elif style.card.parent_sha256:
        raise EngineError(f"'{style.path.name}' is quantized: choose --precision int8, or name its float file")
    assert chosen is not None
    stride = 1 if chosen.card.pads else chosen.card.stride
    graph = with_byte_pictures(
        chosen.model,
        value_range=chosen.card.value_range,
        stride=stride,
        # OpenVINO fuses operators, and takes a quantizer for a word on the precision of what is before it.
        quantizer=placement.engine == "onnxruntime" and placement.device == "cpu",
    )
    data = graph.SerializeToString()
    if placement.engine == "onnxruntime":
        from .engines.onnxruntime_engine import OnnxRuntimeEngine

        side = max(_PROBE_SIDE, stride)
        each = -(-(threads or os.cpu_count() or 1) // at_once)
        return OnnxRuntimeEngine(data, placement, each, silent_inputs(chosen, chosen.fixed_size or (side, side)))
    if placement.engine == "openvino":
        from .engines.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(data, placement, size, threads, at_once)
    raise UsageError(f"unknown engine '{placement.engine}'; known: auto, {', '.join(ENGINES)}")


def silent_inputs(style: Style, size: tuple[int, int]) -> dict[str, NDArray[Any]]:
    """Black pictures, full strength and no memory: something for every input of a style, to try it with."""
    black = np.zeros((1, *size, 3), np.uint8)
    feeds: dict[str, NDArray[Any]] = {"image": black, **initial_state(style, size)}
    if "style" in style.card.inputs:
        feeds["style"] = black
    if "strength" in style.card.inputs:
        feeds["strength"] = np.ones(1, np.float32)
    return feeds


def initial_state(style: Style, size: tuple[int, int]) -> dict[str, NDArray[Any]]:
    """Zeros for every input that carries memory: what a style sees at the first picture and after a reset.

    Raises:
        StyleError: a ``state.N`` input whose shape can't be told from the picture's.
    """
    zeros: dict[str, NDArray[Any]] = {}
    weights = {tensor.name for tensor in style.model.graph.initializer}
    for value in style.model.graph.input:
        if value.name in weights:
            continue
        if value.name == "previous":
            zeros[value.name] = np.zeros((1, *size, 3), np.uint8)
        elif value.name.startswith("state."):
            shape = [_dimension(style, value.name, dim, size) for dim in value.type.tensor_type.shape.dim]
            zeros[value.name] = np.zeros(shape, np.float32)
    return zeros


def _dimension(style: Style, name: str, dim: Any, size: tuple[int, int]) -> int:
    """A state's dimension: a number, ``N``, ``H``, ``W``, or a rounded-up fraction like ``H/4``."""
    if dim.dim_value:
        return int(dim.dim_value)
    letter, slash, divisor = dim.dim_param.partition("/")
    known = {"N": 1, "H": size[0], "W": size[1]}
    if letter not in known or (slash and not (divisor.isdecimal() and int(divisor))):
        raise StyleError(f"style '{style.name}': can't tell size '{dim.dim_param}' of its input '{name}'")
    return -(-known[letter] // int(divisor or 1))


def mean_difference(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Mean absolute difference of two pictures, of 255."""
    return float(np.abs(first.astype(np.int16) - second.astype(np.int16)).mean())
