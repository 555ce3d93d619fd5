"""Running a style's graph on one device in one stated precision, and choosing where to run it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import EngineError, UsageError
from .graph import with_byte_pictures
from .style import Style

Feeds = Mapping[str, NDArray[Any]]

ENGINES = ("onnxruntime", "openvino")
PRECISIONS = ("f32", "bf16", "f16", "int8")


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

    Loading raises :class:`~allaprima.errors.EngineError` when the graph would not run exactly as the placement says.
    """

    placement: Placement
    """What really runs, read back from the compiled graph."""

    @abstractmethod
    def run(self, feeds: Feeds) -> dict[str, NDArray[Any]]:
        """Outputs by name. The arrays are the caller's to keep."""


def load_engine(style: Style, placement: Placement, size: tuple[int, int], threads: int = 0) -> Engine:
    """Load a style exactly as placed.

    Args:
        style: the float style; its int8 file is looked up where the placement says int8.
        placement: engine, precision, device.
        size: (height, width) of the pictures to come; another size may be fed, at the cost of compiling again.
        threads: of the engine on the CPU; 0 takes all cores.

    Raises:
        EngineError: the engine is missing or can't do it; the message holds the reason and the fix.
    """
    chosen: Style | None = style
    if placement.precision == "int8":
        chosen = style.quantized()
        if chosen is None:
            raise EngineError(f"style '{style.name}' has no int8 file; choose --precision f32, bf16 or auto")
    elif style.card.parent_sha256:
        raise EngineError(f"'{style.path.name}' is quantized: choose --precision int8, or name its float file")
    assert chosen is not None
    stride = 1 if chosen.card.pads else chosen.card.stride
    graph = with_byte_pictures(chosen.model, value_range=chosen.card.value_range, stride=stride)
    data = graph.SerializeToString()
    if placement.engine == "onnxruntime":
        from .engines.onnxruntime_engine import OnnxRuntimeEngine

        return OnnxRuntimeEngine(data, placement, threads)
    if placement.engine == "openvino":
        from .engines.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(data, placement, size, threads)
    raise UsageError(f"unknown engine '{placement.engine}'; known: auto, {', '.join(ENGINES)}")


def mean_difference(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Mean absolute difference of two pictures, of 255."""
    return float(np.abs(first.astype(np.int16) - second.astype(np.int16)).mean())
