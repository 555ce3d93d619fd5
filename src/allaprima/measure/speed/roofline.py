"""The machine's ceilings: multiply-adds a second by precision, and bytes a second of a copy.

Where a net stands under them is the roofline of Williams, Waterman, Patterson (Communications of the ACM, 2009).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from ...errors import MissingExtraError

PRECISIONS = ("f32", "bf16", "int8")
_SIDES = (1024, 2048)
_PLANE = (256, 128, 128)
"""Channels, height and width of the 1×1 convolution, a matrix product of 16384×256 and 256×256."""
_COPIED = 256 * 2**20
"""Bytes of the array that is copied: more than the caches of a workstation hold."""
_BURST = 0.05
"""Seconds that a product runs in a round, about as long as a net."""
_OPSET = 18

DEFINITIONS = {
    "peaks": "best of several matrix products (ONNX Runtime, OpenVINO; several shapes), run in turn at the beginning"
    " with the engines' number of threads; the fastest is named and runs on in turn with the engines, in bursts of a"
    " twentieth of a second; the fastest run or burst of all counts. NumPy is no contender: its idle threads spin and"
    " would slow what runs next",
    "copy_gib_s": "fastest copy of 256 MiB, by one thread or by all; bytes read and bytes written both count",
    "peak_share": "gmac over the median of infer, over the peak of the row's precision",
    "bound": "compute where gmac at the peak takes longer than mib at the speed of the copy, else memory",
}
"""What the figures of this module mean, a sentence each."""


@dataclass(frozen=True)
class Contender:
    """A matrix product to be timed."""

    name: str
    macs: int
    run: Callable[[], object]


@dataclass(frozen=True)
class Peak:
    """The fastest product of one precision."""

    gmac_s: float
    """10⁹ multiply-adds a second, in its best run."""
    product: Contender
    repeats: int = 1
    """How often it runs in a burst."""

    @property
    def gmac(self) -> float:
        """10⁹ multiply-adds of a burst."""
        return self.product.macs * self.repeats / 1e9

    def burst(self) -> None:
        """Run the product back to back: a single run would begin with cold caches and sleeping threads."""
        for _ in range(self.repeats):
            self.product.run()

    def after(self, seconds: Sequence[float]) -> Peak:
        """The same product after further bursts, of which one may have been faster."""
        return replace(self, gmac_s=max(self.gmac_s, self.gmac / min(seconds)))


@dataclass(frozen=True)
class Peaks:
    """A machine's ceilings."""

    products: dict[str, Peak | None]
    """By precision; None where it wasn't measured."""
    copy_gib_s: float
    reasons: dict[str, str] = field(default_factory=dict)
    """Why a precision wasn't measured."""

    def after(self, seconds: Mapping[str, Sequence[float]]) -> Peaks:
        """The same after further runs of the fastest products, by precision."""
        products = {
            name: peak.after(seconds[name]) if peak is not None and name in seconds else peak
            for name, peak in self.products.items()
        }
        return replace(self, products=products)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        found = {
            name: None if peak is None else {"gmac_s": peak.gmac_s, "winner": peak.product.name}
            for name, peak in self.products.items()
        }
        return {**found, "copy_gib_s": self.copy_gib_s}


@dataclass(frozen=True)
class Position:
    """Where a net stands under the roofline."""

    share: float
    """Of the peak, 0-1."""
    bound: str
    """``compute`` or ``memory``: which of the two would take longer at its ceiling."""


def position(gmac: float, mib: float, seconds: float, peak_gmac_s: float, copy_gib_s: float) -> Position:
    """Where a net stands.

    Args:
        gmac: 10⁹ multiply-adds of a frame.
        mib: MiB that a frame reads and writes.
        seconds: that a frame takes.
        peak_gmac_s: ceiling of the arithmetic, 10⁹ multiply-adds a second.
        copy_gib_s: ceiling of the memory, GiB a second.
    """
    arithmetic, traffic = gmac / peak_gmac_s, mib / 1024 / copy_gib_s
    return Position(arithmetic / seconds, "compute" if arithmetic > traffic else "memory")


def measure_peaks(precisions: Iterable[str], *, threads: int = 0, rounds: int = 6) -> Peaks:
    """Measure the ceilings; takes a few seconds and half a GiB.

    Args:
        precisions: which to measure, of :data:`PRECISIONS`; others are left out.
        threads: 0 takes all cores.
        rounds: how often each product is run, in turn with the others.
    """
    wanted = set(precisions)
    products: dict[str, Peak | None] = dict.fromkeys(PRECISIONS)
    reasons = {name: "not asked for" for name in PRECISIONS if name not in wanted}
    for precision in PRECISIONS:
        if precision not in wanted:
            continue
        found = [*_onnxruntime(precision, threads), *_openvino(precision, threads)]
        products[precision] = fastest(found, rounds) if found else None
        if not found:
            reasons[precision] = f"nothing here multiplies matrices in {precision}"
    return Peaks(products, copy_speed(threads or os.cpu_count() or 1, rounds, _COPIED), reasons)


def fastest(contenders: Sequence[Contender], rounds: int, clock: Callable[[], float] = time.perf_counter) -> Peak:
    """The best run of the best contender, all run in turn, after a round that isn't timed."""
    best = [float("inf")] * len(contenders)
    for turn in range(rounds + 1):
        for index, contender in enumerate(contenders):
            started = clock()
            contender.run()
            seconds = clock() - started
            if turn:
                best[index] = min(best[index], seconds)
    speeds = [contender.macs / 1e9 / least for contender, least in zip(contenders, best, strict=True)]
    winner = int(np.argmax(speeds))
    return Peak(speeds[winner], contenders[winner], max(2, round(_BURST / best[winner])))


def copy_speed(threads: int, rounds: int, size: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """GiB a second that a copy reads and writes together, by one thread or by ``threads``, whichever is faster.

    Args:
        threads: how many copy at once.
        rounds: timed, after one that isn't.
        size: bytes to copy.
        clock: seconds.
    """
    source, target = np.ones(size, np.uint8), np.zeros(size, np.uint8)
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for turn in range(rounds + 1):
            for parts in {1, threads}:
                pairs = zip(np.array_split(target, parts), np.array_split(source, parts), strict=True)
                started = clock()
                list(pool.map(lambda pair: np.copyto(*pair), pairs))
                seconds = clock() - started
                if turn:
                    best = min(best, seconds)
    return 2 * size / 2**30 / best


def _onnxruntime(precision: str, threads: int) -> list[Contender]:
    if precision not in ("f32", "int8"):
        return []
    found = []
    for name, macs, model in _works(whole=precision == "int8"):
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or os.cpu_count() or 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        shape = tuple(session.get_inputs()[0].shape)
        left = _random(shape) if precision == "f32" else _bytes(shape)
        found.append(Contender(f"ONNX Runtime {name}", macs, lambda s=session, a=left: s.run(None, {"a": a})))  # type: ignore[misc]
    return found


def _openvino(precision: str, threads: int) -> list[Contender]:
    from ...engines.openvino_engine import core

    try:
        shared = core()
    except MissingExtraError:
        return []
    config: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
    }
    if threads:
        config["INFERENCE_NUM_THREADS"] = threads
    found = []
    for name, macs, model in _works(quantized=precision == "int8"):
        compiled = shared.compile_model(shared.read_model(model.SerializeToString(), b""), "CPU", config)
        if not _ran_in(compiled, precision):
            continue
        request, left = compiled.create_infer_request(), _random(tuple(compiled.inputs[0].shape))
        found.append(Contender(f"OpenVINO {name}", macs, lambda r=request, a=left: r.infer([a], share_inputs=True)))  # type: ignore[misc]
    return found


def _ran_in(compiled: Any, precision: str) -> bool:
    """Whether every product of a compiled graph runs in a precision."""
    names = {"i8": "int8", "u8": "int8"}
    kinds = [
        info["runtimePrecision"].astype(str)
        for info in (node.get_rt_info() for node in compiled.get_runtime_model().get_ops())
        if "layerType" in info and info["layerType"].astype(str) in ("FullyConnected", "MatMul", "Convolution")
    ]
    return bool(kinds) and all(names.get(kind, kind) == precision for kind in kinds)


def _works(*, quantized: bool = False, whole: bool = False) -> list[tuple[str, int, ModelProto]]:
    """Name, multiply-adds and graph of each product; for the arguments, see :func:`product`."""
    kind = "MatMulInteger" if whole else "MatMul"
    works = [
        (f"{kind} {side}×{side}×{side}", side**3, product(side, quantized=quantized, whole=whole)) for side in _SIDES
    ]
    if not whole:
        channels, height, width = _PLANE
        pixels = height * width
        works.append((f"1×1 Conv {pixels}×{channels}×{channels}", pixels * channels**2, pointwise(quantized=quantized)))
    return works


def product(side: int, *, quantized: bool = False, whole: bool = False) -> ModelProto:
    """A square matrix ``a`` times a constant one.

    Args:
        side: rows and columns.
        quantized: both quantized to int8 on the way, which OpenVINO runs in int8.
        whole: of uint8 and int8 numbers, as MatMulInteger.
    """
    if whole:
        nodes = [helper.make_node("MatMulInteger", ["a", "w"], ["c"])]
        return _model(nodes, [numpy_helper.from_array(_bytes((side, side)).astype(np.int8), "w")], (side, side), True)
    return _float_model("MatMul", (side, side), (side, side), quantized)


def pointwise(*, quantized: bool = False) -> ModelProto:
    """A 1×1 convolution of a plane ``a`` with a constant kernel; ``quantized`` as in :func:`product`."""
    channels = _PLANE[0]
    return _float_model("Conv", (1, *_PLANE), (channels, channels, 1, 1), quantized)


def _float_model(op: str, shape: tuple[int, ...], kernel: tuple[int, ...], quantized: bool) -> ModelProto:
    if not quantized:
        weights = [numpy_helper.from_array(_random(kernel), "w")]
        return _model([helper.make_node(op, ["a", "w"], ["c"])], weights, shape, False)
    nodes = [
        helper.make_node("QuantizeLinear", ["a", "scale", "zero"], ["a_int"]),
        helper.make_node("DequantizeLinear", ["a_int", "scale", "zero"], ["a_back"]),
        helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["w_back"]),
        helper.make_node(op, ["a_back", "w_back"], ["c"]),
    ]
    weights = [
        numpy_helper.from_array(_bytes(kernel).astype(np.int8), "w"),
        numpy_helper.from_array(np.array(1 / 127, np.float32), "scale"),
        numpy_helper.from_array(np.array(0, np.int8), "zero"),
    ]
    return _model(nodes, weights, shape, False)


def _model(nodes: list[Any], weights: list[TensorProto], shape: tuple[int, ...], whole: bool) -> ModelProto:
    kinds = (TensorProto.UINT8, TensorProto.INT32) if whole else (TensorProto.FLOAT, TensorProto.FLOAT)
    ends = [helper.make_tensor_value_info(name, kind, shape) for name, kind in zip("ac", kinds, strict=True)]
    body = helper.make_graph(nodes, "product", ends[:1], ends[1:], weights)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)


def _random(shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.random.default_rng(0).random(shape, np.float32)


def _bytes(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 127, shape, np.uint8)
