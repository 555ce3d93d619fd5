"""What each layer of a style costs: multiply-adds, bytes moved, milliseconds, from profiles of ONNX Runtime in f32."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from onnx import ModelProto

from ...byte_pictures import with_byte_pictures
from ...engine import Feeds, silent_inputs
from ...errors import EngineError
from ...placement import probe_picture
from ...style import Style

_Shape = Sequence[int]
_FLOATS = {"float", "float16", "bfloat16", "double"}
_BYTES = {"bool": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "int64": 8, "uint64": 8}
_WIDTHS = {"f32": 4, "bf16": 2, "f16": 2, "int8": 1}
_SMALL = 1024
"""Nodes that move fewer bytes than this and multiply nothing are arithmetic on shapes, and aren't listed."""
_SUFFIX = "_kernel_time"
_CONVOLUTIONS = {"Conv", "FusedConv", "NhwcFusedConv", "ConvInteger", "QLinearConv"}
_PRODUCTS = {"MatMul", "FusedMatMul", "MatMulInteger", "QLinearMatMul"}
_UNREAD = {"Shape", "Size", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"}
"""These look at their input's shape alone, or pass its memory on."""
_HEAVY = _CONVOLUTIONS | _PRODUCTS | {"ConvTranspose", "Gemm", "FusedGemm"}

DEFINITIONS = {
    "gmac": "10⁹ multiply-adds of convolutions and matrix products, of the graph as written; taps on a zero border"
    " count",
    "mib": "inputs, weights and outputs of every node as ONNX Runtime fuses them, each read or written once; floats"
    " have the width of the row's precision (4 bytes in f32, 2 in bf16 and f16, 1 in int8), in layers always 4",
    "layers": "nodes of the optimized graph in ONNX Runtime f32, its 8-bit ends included; ms: median of the profiled"
    " runs; a fused node bears the name of its convolution",
}
"""What the figures of this module mean, a sentence each."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One node that ran."""

    name: str
    op: str
    output: tuple[int, ...]
    """Shape of its first output."""
    macs: int
    """Multiply-adds."""
    floats: int
    """Floating-point numbers read and written."""
    other_bytes: int
    """Bytes of everything else that is read and written."""
    ms: float

    def mib(self, precision: str = "f32") -> float:
        """MiB read and written where floats have the width of a precision."""
        return (self.floats * _WIDTHS[precision] + self.other_bytes) / 2**20

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "op": self.op,
            "output": list(self.output),
            "gmac": self.macs / 1e9,
            "mib": self.mib(),
            "ms": self.ms,
        }


@dataclass(frozen=True)
class Profile:
    """The layers of one style at one size, in the order in which they ran."""

    layers: tuple[Layer, ...]
    optimized: bool
    """False where the optimized graph's layers couldn't be told from the written ones, and these were profiled."""

    @property
    def gmac(self) -> float:
        """10⁹ multiply-adds of a frame."""
        return sum(layer.macs for layer in self.layers) / 1e9

    def mib(self, precision: str) -> float:
        """MiB read and written for a frame where floats have the width of a precision."""
        return sum(layer.mib(precision) for layer in self.layers)


def profile_style(style: Style, size: tuple[int, int], *, threads: int = 0, runs: int = 5) -> Profile:
    """Profile a style with its 8-bit ends, as engines load it.

    Args:
        style: the style.
        size: (height, width) in pixels.
        threads: 0 takes all cores.
        runs: timed, after one that isn't.

    Raises:
        EngineError: ONNX Runtime can't run it.
    """
    model = with_byte_pictures(
        style.model,
        value_range=style.card.value_range,
        stride=1 if style.card.pads else style.card.stride,
        quantizer=True,
    )
    feeds = {**silent_inputs(style, size), "image": probe_picture(size)[np.newaxis]}
    return profile_model(model, feeds, threads=threads, runs=runs)


def profile_model(model: ModelProto, feeds: Feeds, *, threads: int = 0, runs: int = 5) -> Profile:
    """Profile any graph: shapes and multiply-adds of the graph as written, bytes and times of the optimized one.

    Optimization renames, fuses, and pads channels to the width of vector registers; multiply-adds are therefore
    counted on the graph as written, whose convolutions and products come in the same order.

    Args:
        model: the graph.
        feeds: something for every input.
        threads: 0 takes all cores.
        runs: timed, after one that isn't.

    Raises:
        EngineError: ONNX Runtime can't run it.
    """
    named = ModelProto.FromString(model.SerializeToString())
    for index, node in enumerate(named.graph.node):
        node.name = node.name or f"{node.op_type} {index}"
    data = named.SerializeToString()
    levels = ort.GraphOptimizationLevel
    fused = _run(data, feeds, levels.ORT_ENABLE_ALL, threads, runs)
    written = _run(data, feeds, levels.ORT_DISABLE_ALL, threads, 1)
    layers = _reconcile(fused, written)
    if layers is None:
        return Profile(_listed(_run(data, feeds, levels.ORT_DISABLE_ALL, threads, runs)), optimized=False)
    return Profile(_listed(layers), optimized=True)


def multiply_adds(op: str, inputs: Sequence[_Shape], output: _Shape) -> int:
    """Multiply-adds of a node; 0 for whatever is neither a convolution nor a matrix product.

    A convolution takes Cin/groups·kh·kw for each number of its output, a transposed one Cout/groups·kh·kw for each
    number of its input, a product of M×K and K×N matrices M·K·N.

    Args:
        op: ONNX operator.
        inputs: shapes of its inputs, in order.
        output: shape of its output.
    """
    if op in _CONVOLUTIONS:
        kernel = inputs[3 if op == "QLinearConv" else 1]
        return math.prod(output) * math.prod(kernel[1:])
    if op == "ConvTranspose":
        return math.prod(inputs[0]) * math.prod(inputs[1][1:])
    if op in _PRODUCTS:
        return math.prod(output) * inputs[0][-1]
    if op in ("Gemm", "FusedGemm"):
        return math.prod(inputs[0]) * output[-1]
    return 0


@dataclass(frozen=True, slots=True)
class _Ran:
    """A layer, and the kernel by which it is recognized."""

    layer: Layer
    kernel: tuple[int, ...]


def _run(data: bytes, feeds: Feeds, level: Any, threads: int, runs: int) -> list[_Ran]:
    with tempfile.TemporaryDirectory(prefix="allaprima-") as folder:
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = threads or os.cpu_count() or 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.graph_optimization_level = level
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        try:
            session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
            known = {value.name for value in session.get_inputs()}
            given = {name: array for name, array in feeds.items() if name in known}
            for _ in range(runs + 1):
                session.run(None, given)
        except Exception as error:  # ONNX Runtime raises bare types of its own
            reason = " ".join(str(error).split())[:200]
            raise EngineError(f"ONNX Runtime can't profile this style: {reason}") from error
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    nodes = [event for event in events if "input_type_shape" in event.get("args", {})]
    count = len(nodes) // (runs + 1)
    timed = [nodes[start : start + count] for start in range(count, count * (runs + 1), count)] if count else []
    return [_ran(again) for again in zip(*timed, strict=True)]


def _ran(again: Sequence[dict[str, Any]]) -> _Ran:
    """One node from its events of every timed run."""
    event = again[0]
    args = event["args"]
    inputs, outputs = _tensors(args["input_type_shape"]), _tensors(args["output_type_shape"])
    shapes = [shape for _, shape in inputs]
    output = outputs[0][1] if outputs else ()
    moved = [(kind, math.prod(shape)) for kind, shape in (*inputs, *outputs) if args["op_name"] not in _UNREAD]
    layer = Layer(
        name=event["name"].removesuffix(_SUFFIX),
        op=args["op_name"],
        output=output,
        macs=multiply_adds(args["op_name"], shapes, output),
        floats=sum(count for kind, count in moved if kind in _FLOATS),
        other_bytes=sum(count * _BYTES.get(kind, 0) for kind, count in moved),
        ms=float(np.median([each["dur"] for each in again])) / 1e3,
    )
    return _Ran(layer, shapes[1][2:] if layer.op in _HEAVY and len(shapes) > 1 else ())


def _tensors(entries: Iterable[dict[str, list[int]]]) -> list[tuple[str, tuple[int, ...]]]:
    return [(kind, tuple(shape)) for entry in entries for kind, shape in entry.items()]


def _reconcile(fused: Sequence[_Ran], written: Sequence[_Ran]) -> list[_Ran] | None:
    """The fused layers with name, operator, output and multiply-adds as written; None where they don't pair up."""
    originals = [ran for ran in written if ran.layer.op in _HEAVY]
    heavy = [ran for ran in fused if ran.layer.op in _HEAVY]
    if [ran.kernel for ran in originals] != [ran.kernel for ran in heavy]:
        return None
    following = iter(originals)
    return [_as_written(ran, next(following).layer) if ran.layer.op in _HEAVY else ran for ran in fused]


def _as_written(ran: _Ran, original: Layer) -> _Ran:
    layer = replace(ran.layer, name=original.name, op=original.op, output=original.output, macs=original.macs)
    return replace(ran, layer=layer)


def _listed(ran: Iterable[_Ran]) -> tuple[Layer, ...]:
    layers = (each.layer for each in ran)
    return tuple(layer for layer in layers if layer.macs or layer.mib() * 2**20 >= _SMALL)
