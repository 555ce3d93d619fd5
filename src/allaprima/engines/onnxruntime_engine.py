"""ONNX Runtime: CPU, and the providers of the user's build."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import onnxruntime as ort
from numpy.typing import NDArray

from ..engine import Engine, Feeds, Placement
from ..errors import EngineError

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
_PACKAGES = {
    "cuda": "onnxruntime-gpu",
    "tensorrt": "onnxruntime-gpu",
    "directml": "onnxruntime-directml",
    "coreml": "onnxruntime",
}
_INT8_CONVOLUTIONS = {"QLinearConv", "ConvInteger"}
_CONVOLUTIONS = _INT8_CONVOLUTIONS | {"Conv", "FusedConv", "NhwcFusedConv", "ConvTranspose"}


def devices() -> list[str]:
    """Device names that this build of ONNX Runtime offers; a provider offered may still fail to start."""
    available = set(ort.get_available_providers())
    return [name for name, provider in PROVIDERS.items() if provider in available]


def _provider_options(placement: Placement) -> dict[str, str]:
    if placement.precision == "f16":
        if placement.device != "tensorrt":
            raise EngineError(
                f"ONNX Runtime runs float files in f32 on {placement.device}: choose --precision f32,"
                " or --device tensorrt for f16"
            )
        return {"trt_fp16_enable": "1"}
    if placement.precision == "bf16":
        raise EngineError("ONNX Runtime has no bf16 convolutions: choose --engine openvino, or --precision f32")
    return {}


def _nodes(profile: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a profile says of each node that ran: its operator (``op_name``) and ``provider``."""
    return [event["args"] for event in profile if {"op_name", "provider"} <= event.get("args", {}).keys()]


class OnnxRuntimeEngine(Engine):
    """A session on one provider, without fallback to another.

    Args:
        data: the serialized graph.
        placement: asked for; checked against the profile of one inference.
        threads: for each picture.
        probe: something for every input, for that inference.
    """

    def __init__(self, data: bytes, placement: Placement, threads: int, probe: Feeds) -> None:
        if placement.device not in PROVIDERS:
            raise EngineError(f"ONNX Runtime has no device '{placement.device}'; known: {', '.join(PROVIDERS)}")
        provider = PROVIDERS[placement.device]
        if provider not in ort.get_available_providers():
            raise EngineError(
                f"this build of ONNX Runtime has no {provider}: pip install {_PACKAGES[placement.device]},"
                " or choose --device cpu"
            )
        provider_options = _provider_options(placement)
        with tempfile.TemporaryDirectory(prefix="allaprima-") as folder:
            options = ort.SessionOptions()
            options.log_severity_level = 4
            options.intra_op_num_threads = threads
            # Idle threads that spin would steal the cores that decode and encode work on.
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(folder) / "profile")
            try:
                self._session = ort.InferenceSession(
                    data, options, providers=[provider], provider_options=[provider_options]
                )
            except Exception as error:  # ONNX Runtime raises bare types of its own
                reason = " ".join(str(error).split())[:200]
                fix = "" if placement.device == "cpu" else "; check its drivers, or choose --device cpu"
                raise EngineError(f"ONNX Runtime can't load this style on {placement.device}: {reason}{fix}") from error
            if self._session.get_providers()[0] != provider:
                raise EngineError(
                    f"ONNX Runtime put this style on {self._session.get_providers()[0]}, not on {provider}:"
                    " check its drivers, or choose --device cpu"
                )
            self._outputs = [output.name for output in self._session.get_outputs()]
            self._inputs = {value.name for value in self._session.get_inputs()}
            self.run(probe)
            profile = json.loads(Path(self._session.end_profiling()).read_text(encoding="utf-8"))
        # Arithmetic on shapes belongs on the CPU whatever the provider; convolutions there are a fallback.
        strays = {event["provider"] for event in _nodes(profile) if event["op_name"] in _CONVOLUTIONS} - {provider}
        if strays:
            raise EngineError(
                f"ONNX Runtime ran convolutions of this style on {', '.join(sorted(strays))}, not on {provider}:"
                " check its drivers, or choose --device cpu"
            )
        self.placement = Placement("onnxruntime", self._precision(profile, placement), placement.device)
        if self.placement.precision != placement.precision:
            raise EngineError(
                f"ONNX Runtime ran {self.placement.precision}, not {placement.precision}:"
                f" choose --precision {self.placement.precision}"
            )

    @staticmethod
    def _precision(profile: list[dict[str, Any]], placement: Placement) -> str:
        """The precision of the convolutions that ran, from the profile of one inference."""
        ran = {event["op_name"] for event in _nodes(profile)}
        if placement.precision == "f16":
            return "f16"  # set for TensorRT, whose engine is one opaque node in the profile
        return "int8" if ran & _INT8_CONVOLUTIONS else "f32"

    def run(self, feeds: Feeds) -> dict[str, NDArray[Any]]:
        given = {name: array for name, array in feeds.items() if name in self._inputs}
        try:
            outputs = self._session.run(self._outputs, given)
        except Exception as error:  # ONNX Runtime raises bare types of its own
            height, width = feeds["image"].shape[1:3]
            reason = " ".join(str(error).split())[:200]
            raise EngineError(f"ONNX Runtime can't paint {width}x{height} pixels with this style: {reason}") from error
        return dict(zip(self._outputs, outputs, strict=True))
