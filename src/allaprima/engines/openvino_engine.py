"""OpenVINO on CPU and GPU."""

from __future__ import annotations

import queue
from collections import Counter
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine import Engine, Feeds, Placement
from ..errors import EngineError, MissingExtraError

_HINTS = {"f32": "f32", "bf16": "bf16", "f16": "f16", "int8": "f32"}
_NAMES = {"f32": "f32", "bf16": "bf16", "f16": "f16", "i8": "int8", "u8": "int8"}


@cache
def core() -> Any:
    """The one ``openvino.Core`` of this process.

    Its CPU plugin moves the stack that signals are handled on, and puts it back when it goes: with several of them
    that don't go in reverse order, the next Ctrl-C would be handled on memory that is gone.

    Raises:
        MissingExtraError: OpenVINO isn't installed.
    """
    try:
        import openvino
    except ImportError as error:
        raise MissingExtraError("--engine openvino", "openvino") from error
    return openvino.Core()


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def devices() -> list[str]:
    """Device names that OpenVINO finds here, lower case."""
    return [name.lower() for name in core().available_devices]


def _with_wide_strength(model: Any) -> Any:
    """A copy whose ``strength`` has as many axes as the layers that it is added to; the model itself where it can't.

    OpenVINO fuses element-wise operations, and where their inputs differ in rank, it brings all channels into planes
    before and back behind them: up to a tenth of a small int8 net's time.
    """
    import openvino

    wide = model.clone()
    for parameter in wide.get_parameters():
        output = parameter.output(0)
        if output.get_any_name() == "strength" and output.get_partial_shape() == openvino.PartialShape([1]):
            users = output.get_target_inputs()
            reshaped = openvino.opset12.reshape(parameter, np.array([1, 1, 1, 1]), special_zero=False)
            for user in users:
                user.replace_source_output(reshaped.output(0))
    try:
        wide.validate_nodes_and_infer_types()
    except RuntimeError:  # a net that does more with it than to add or multiply
        return model
    return wide


class OpenVinoEngine(Engine):
    """A graph compiled for one size, again when the size changes.

    Args:
        data: the serialized graph.
        placement: asked for; checked against the compiled graph's own account of its convolutions.
        size: (height, width) of the pictures to come.
        threads: 0 takes all cores.
        at_once: how many pictures are painted at a time.
    """

    def __init__(self, data: bytes, placement: Placement, size: tuple[int, int], threads: int, at_once: int) -> None:
        self._core = core()
        self._asked, self._threads, self._at_once = placement, threads, at_once
        self._device = placement.device.upper()
        if self._device not in self._core.available_devices:
            found = ", ".join(self._core.available_devices).lower()
            raise EngineError(f"OpenVINO finds no device '{placement.device}' here; choose --device {found}")
        try:
            self._model = _with_wide_strength(self._core.read_model(data, b""))
        except RuntimeError as error:
            raise EngineError(f"OpenVINO can't read this style: {_reason(error)}") from error
        self._inputs = {port.get_any_name() for port in self._model.inputs}
        self._size: tuple[int, ...] | None = None
        self._compile((1, *size))

    def _compile(self, size: tuple[int, ...]) -> None:
        import openvino

        model = self._model.clone()
        shapes = {}
        for port in model.inputs:
            shape = port.get_partial_shape()
            if port.get_any_name() in ("image", "previous"):
                shape = openvino.PartialShape([*size, 3])
            shapes[port.get_any_name()] = shape
        config: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY" if self._at_once == 1 else "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": _HINTS[self._asked.precision],
        }
        if self._at_once > 1:
            config["NUM_STREAMS"] = self._at_once
        if self._device == "CPU":
            # Pinned, a stream waits for its core while decoding or encoding has it, though another one is free.
            config["ENABLE_CPU_PINNING"] = False
            if self._threads:
                config["INFERENCE_NUM_THREADS"] = self._threads
        try:
            model.reshape(shapes)
            compiled = self._core.compile_model(model, self._device, config)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO can't compile this style: {_reason(error)}") from error
        ran = self._precision(compiled)
        if ran != self._asked.precision:
            raise EngineError(
                f"OpenVINO ran {ran} on {self._asked.device}, not {self._asked.precision}:"
                f" choose --precision {ran}, or --precision auto"
            )
        self.placement = Placement("openvino", ran, self._asked.device)
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(self._at_once):
            self._free.put(compiled.create_infer_request())
        self._size = size
        self._outputs = [port.get_any_name() for port in compiled.outputs]

    @staticmethod
    def _precision(compiled: Any) -> str:
        """The precision in which most convolutions run."""
        counts: Counter[str] = Counter()
        for node in compiled.get_runtime_model().get_ops():
            info = node.get_rt_info()
            if "layerType" in info and "Convolution" in info["layerType"].astype(str):
                counts[info["runtimePrecision"].astype(str)] += 1
        if not counts:
            raise EngineError("OpenVINO doesn't say in what precision it runs this style: choose --engine onnxruntime")
        ran = counts.most_common(1)[0][0]
        return _NAMES.get(ran, ran)

    def run(self, feeds: Feeds) -> dict[str, NDArray[Any]]:
        size = feeds["image"].shape[:3]
        if size != self._size:
            self._compile(size)
        given = {name: np.ascontiguousarray(feeds[name]) for name in self._inputs}
        request = self._free.get()
        try:
            request.infer(given, share_inputs=True)
            return {name: request.get_tensor(name).data.copy() for name in self._outputs}
        except RuntimeError as error:
            raise EngineError(
                f"OpenVINO can't paint {size[2]}x{size[1]} pixels with this style: {_reason(error)}"
            ) from error
        finally:
            self._free.put(request)
