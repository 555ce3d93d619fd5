"""The machine's ceilings: the best of several, on an injected clock, and real products that multiply rightly."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator

import numpy as np
import onnxruntime as ort
import pytest

from allaprima.measure.speed import roofline
from allaprima.measure.speed.roofline import (
    Contender,
    Peak,
    Peaks,
    Position,
    copy_speed,
    fastest,
    measure_peaks,
    position,
)

HAS_OPENVINO = importlib.util.find_spec("openvino") is not None


class Clock:
    """Moves only when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def takes(self, *seconds: float, log: list[str] | None = None, name: str = "") -> Callable[[], None]:
        """Something that takes these seconds, one after another."""
        left: Iterator[float] = iter(seconds)

        def run() -> None:
            self.now += next(left)
            if log is not None:
                log.append(name)

        return run


def test_the_best_run_of_the_best_product_wins() -> None:
    """Protects the peak: run in turn, the first round not counted, the fastest by multiply-adds a second named."""
    clock, order = Clock(), []
    small = Contender("small", 10**9, clock.takes(0.01, 0.5, 0.25, log=order, name="small"))
    large = Contender("large", 8 * 10**9, clock.takes(0.01, 4.0, 1.0, log=order, name="large"))
    peak = fastest([small, large], 2, clock)
    assert (peak.product.name, peak.gmac_s, peak.repeats) == ("large", pytest.approx(8), 2)
    assert order == ["small", "large"] * 3


def test_further_runs_can_only_raise_a_peak() -> None:
    """Protects the peak from a slow beginning, and from a slow end; a burst is as many products as it repeats."""
    product = Contender("product", 10**9, lambda: None)
    peaks = Peaks({"f32": Peak(4.0, product), "bf16": None}, 10.0, {"bf16": "no"})
    assert peaks.after({"f32": [1.0, 0.125]}).products["f32"] == Peak(8.0, product)
    assert peaks.after({"f32": [1.0]}).products["f32"] == Peak(4.0, product)
    assert Peak(4.0, product, repeats=3).after([0.3]) == Peak(pytest.approx(10.0), product, 3)
    assert peaks.to_dict() == {"f32": {"gmac_s": 4.0, "winner": "product"}, "bf16": None, "copy_gib_s": 10.0}


def test_share_and_bound() -> None:
    """Protects the verdict: 10 GMAC at 100 GMAC/s take 0.1 s, 2 GiB at 10 GiB/s take 0.2 s, the net took 0.4 s."""
    assert position(10, 2048, 0.4, 100, 10) == Position(pytest.approx(0.25), "memory")
    assert position(10, 512, 0.2, 100, 10) == Position(pytest.approx(0.5), "compute")


def test_a_copy_reads_and_writes() -> None:
    """Protects the convention: a copy of n bytes in the best of two ways moves 2n."""
    ticks = iter([0.0, 9.0] * 2 + [0.0, 0.5, 0.0, 0.25])
    assert copy_speed(2, 1, 2**20, lambda: next(ticks)) == pytest.approx(2 / 1024 / 0.25)


@pytest.mark.parametrize("quantized", [False, True])
def test_products_multiply(quantized: bool) -> None:
    """Protects the yardstick: what is timed is a matrix product, within the quantization's step."""
    model = roofline.product(16, quantized=quantized)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    left = np.random.default_rng(3).random((16, 16), np.float32)
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == "w")
    right = np.frombuffer(weights.raw_data, np.int8 if quantized else np.float32).reshape(16, 16)
    expected = left @ (right / np.float32(127) if quantized else right)
    assert np.abs(session.run(None, {"a": left})[0] - expected).max() < (0.1 if quantized else 1e-4)


def test_peaks_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects the real thing: every precision asked for is measured or has a reason, and names its winner."""
    monkeypatch.setattr(roofline, "_SIDES", (64,))
    monkeypatch.setattr(roofline, "_PLANE", (16, 8, 8))
    monkeypatch.setattr(roofline, "_COPIED", 2**20)
    peaks = measure_peaks(["f32", "bf16", "f16"], threads=1, rounds=2)
    single, half = peaks.products["f32"], peaks.products["bf16"]
    assert single is not None
    assert single.gmac_s > 0
    assert single.product.name.startswith(("ONNX Runtime", "OpenVINO"))
    assert (half is None) == ("bf16" in peaks.reasons)
    assert peaks.products["int8"] is None
    assert peaks.reasons["int8"] == "not asked for"
    assert peaks.copy_gib_s > 0


@pytest.mark.skipif(not HAS_OPENVINO, reason="needs the extra 'openvino'")
def test_a_product_that_runs_in_another_precision_is_no_contender() -> None:
    """Protects the label: what OpenVINO runs in f32 isn't called int8."""
    import openvino

    core = openvino.Core()
    model = core.read_model(roofline.product(32).SerializeToString(), b"")
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert roofline._ran_in(compiled, "f32")
    assert not roofline._ran_in(compiled, "int8")
