"""Speed: statistics worked out by hand, turns on an injected clock, and the stages around the net for real."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nets
import numpy as np
import pytest

from allaprima.engine import Engine, Feeds, Placement
from allaprima.errors import AllaprimaError, EngineError, SourceError, StyleError
from allaprima.measure.speed import bench as speed
from allaprima.measure.speed import stages
from allaprima.measure.speed.bench import Bench, Plan, Tools, placements, whole_frames
from allaprima.measure.speed.memory import resident_mib
from allaprima.measure.speed.roofline import Contender, Peak, Peaks
from allaprima.measure.speed.stages import StageClip
from allaprima.measure.speed.timing import (
    Clocks,
    Neighbors,
    Stage,
    machine_seconds,
    ratio,
    run_in_turn,
    summarize,
    time_steps,
)
from allaprima.style import Style, write_style

F32, BF16 = Placement("onnxruntime", "f32"), Placement("openvino", "bf16")
SIZE = (20, 24)


class FakeClocks:
    """Time that passes only when somebody works, on two of four cores; others keep a third one busy."""

    def __init__(self) -> None:
        self.now = 0.0
        self.clocks = Clocks(lambda: self.now, lambda: 2 * self.now, lambda: (3 * self.now, 4 * self.now))

    def work(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


class FakeEngine(Engine):
    """Takes a set time for each frame and notes that it ran."""

    def __init__(self, placement: Placement, run: Callable[[Placement, Feeds], np.ndarray]) -> None:
        self.placement, self._run = placement, run

    def run(self, feeds: Feeds) -> dict[str, np.ndarray]:
        return {"stylized": self._run(self.placement, feeds)}


class Stand:
    """A measuring stand without a machine: fixed times, fixed peaks, a record of who ran when."""

    def __init__(self, times: dict[str, float], *, memory: float = 100.0) -> None:
        self.time, self.times, self.order = FakeClocks(), times, []
        self.alive: list[weakref.ref[Engine]] = []
        self.most_alive = 0
        self._memory = memory

    def load(self, style: Style, placement: Placement, size: tuple[int, int], threads: int) -> Engine:
        if placement.precision not in self.times:
            raise EngineError(f"no {placement.precision} here")
        engine = FakeEngine(placement, self.run)
        self.alive.append(weakref.ref(engine))
        self.most_alive = max(self.most_alive, sum(each() is not None for each in self.alive))
        return engine

    def run(self, placement: Placement, feeds: Feeds) -> np.ndarray:
        self.order.append(placement.precision)
        self.time.work(self.times[placement.precision])
        return 255 - feeds["image"]

    def product(self) -> None:
        self.order.append("product")
        self.time.work(0.5)

    def peaks(self, precisions: Sequence[str], *, threads: int) -> Peaks:
        product = Contender("product", 10**6, self.product)
        return Peaks({"f32": Peak(0.001, product), "bf16": None, "int8": None}, 10.0, {"bf16": "none", "int8": "none"})

    def tools(self) -> Tools:
        return Tools(self.load, lambda *_: self._memory, self.peaks, self.time.clocks)


def both(style: Style, engines: Sequence[str] | None, precisions: Sequence[str] | None) -> list[Placement]:
    """Stands in for what can be done here."""
    return [F32, BF16]


@pytest.fixture
def style(tmp_path: Path) -> Style:
    """The negative: one 1×1 convolution, nine multiply-adds a pixel."""
    return nets.style_of(tmp_path, nets.negative())


def bench(plan: Plan, stand: Stand, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], list[AllaprimaError]]:
    """Run a plan on a stand with both placements."""
    monkeypatch.setattr(speed, "placements", both)
    measurement = Bench(plan, stand.tools())
    result = measurement.run()
    return result, [error for _, error in measurement.failures]


def test_statistics() -> None:
    """Protects what the columns say: of 1 to 5 ms the median is 3, the 95th percentile 4.8, the quartiles 2 and 4."""
    found = summarize([0.005, 0.001, 0.003, 0.002, 0.004], cpu_seconds=0.006)
    assert found == pytest.approx({"median_ms": 3, "p95_ms": 4.8, "spread_ms": 2, "cpu_ms": 6})
    assert "cpu_ms" not in summarize([0.001, 0.002])


def test_ratio_is_taken_pair_by_pair() -> None:
    """Protects comparisons on a machine that slows down: 2, 2 and 3 times, whatever the round took."""
    assert ratio([2, 4, 9], [1, 2, 3]) == pytest.approx({"median": 2, "spread": 0.5})


def test_things_run_in_turn_after_warm_up() -> None:
    """Protects A B A B: no block of one thing; warm-up rounds take part and aren't counted."""
    time, order = FakeClocks(), []

    def run(name: str, seconds: list[float]) -> Callable[[], None]:
        def once() -> None:
            order.append(name)
            time.work(seconds.pop(0))

        return once

    runs = {"a": run("a", [9.0, 1.0, 2.0]), "b": run("b", [9.0, 3.0, 4.0])}
    samples, errors = run_in_turn(runs, rounds=2, warm_up=1, clocks=time.clocks)
    assert order == ["a", "b"] * 3
    assert samples["a"].wall == [1.0, 2.0]
    assert samples["b"].wall == [3.0, 4.0]
    assert samples["b"].cpu == [6.0, 8.0]
    assert not errors


def test_what_fails_is_left_out_and_the_others_go_on() -> None:
    """Protects the batch: an engine that breaks in the middle costs its own row only."""
    order: list[str] = []

    def breaks() -> None:
        order.append("bad")
        if order.count("bad") == 2:
            raise EngineError("broke")

    runs = {"bad": breaks, "good": lambda: order.append("good")}
    samples, errors = run_in_turn(runs, rounds=3, warm_up=0, clocks=Clocks())
    assert order == ["bad", "good", "bad", "good", "good"]
    assert list(samples) == ["good"]
    assert str(errors["bad"]) == "broke"


def test_steps_of_an_iteration() -> None:
    """Protects stage times: what was skipped isn't counted, CPU time is the mean, a short clip is said so."""
    time = FakeClocks()

    def works(count: int) -> Any:
        for number in range(count):
            time.work(number)
            yield number

    stage, items = time_steps(works(5), 3, time.clocks, skip=2)
    assert (stage.seconds, stage.cpu, items) == ((2, 3, 4), 6, [2, 3, 4])
    with pytest.raises(SourceError, match="fewer than 6 frames"):
        time_steps(works(5), 4, time.clocks, skip=2)


def test_what_others_take_of_the_machine() -> None:
    """Protects the warning: of 4 CPU seconds 3 were busy and 2 our own, so a quarter went to others."""
    time = FakeClocks()
    time.work(5)
    neighbors = Neighbors(time.clocks)
    assert neighbors.share() == 0
    time.work(1)
    assert neighbors.share() == pytest.approx(0.25)
    busy, whole = machine_seconds()
    assert 0 < busy <= whole


def test_rows_ratios_and_shares(style: Style, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects the JSON: 0.25 s against 0.125 s on a stand whose product does 10⁶ multiply-adds in half a second."""
    stand = Stand({"f32": 0.25, "bf16": 0.125})
    plan = Plan([style], [SIZE], rounds=3, warm_up=1, threads=1)
    result, failures = bench(plan, stand, monkeypatch)
    assert not failures
    assert stand.order == ["product", "f32", "bf16"] * 4
    first, second = result["rows"]
    assert (first["style"], first["size"], first["engine"], first["precision"]) == (
        "net",
        "20x24",
        "onnxruntime",
        "f32",
    )
    assert first["frame"] == pytest.approx({"median_ms": 250, "p95_ms": 250, "spread_ms": 0})
    assert (first["fps"], second["fps"], first["memory_mib"], first["threads"]) == (4, 8, 100, 1)
    assert first["gmac"] == pytest.approx(20 * 24 * 9 / 1e9)
    assert first["peak_share"] == pytest.approx((20 * 24 * 9 / 0.25) / (10**6 / 0.5))
    assert first["bound"] in ("compute", "memory")
    assert second["peak_share"] is None
    assert first["stages"]["infer"]["cpu_ms"] == pytest.approx(500)
    assert [name for name, found in first["stages"].items() if found is None] == [
        "decode", "convert", "convert back", "encode", "show",
    ]  # fmt: skip
    assert first["whole"] is None
    assert "--stages" in result["protocol"]["definitions"]["stages"]
    ratio_found = result["ratios"]
    assert ratio_found == [
        {"of": "net, openvino bf16", "to": "net, onnxruntime f32", "size": "20x24", "median": 0.5, "spread": 0}
    ]
    assert result["peaks"]["f32"] == {"gmac_s": pytest.approx(0.002), "winner": "product"}
    assert result["protocol"]["others_cpu"] == pytest.approx(0.25)
    assert result["protocol"]["definitions"]["peak bf16"] == "null: none"
    assert [layer["op"] for layer in result["layers"]["net"]].count("Conv") == 1


def test_a_placement_that_fails_is_named_and_the_others_go_on(style: Style, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects against silent fallback: what can't be done as asked is an entry of ``failures``."""
    stand = Stand({"bf16": 0.1})
    result, failures = bench(Plan([style], [SIZE], rounds=2), stand, monkeypatch)
    assert [row["precision"] for row in result["rows"]] == ["bf16"]
    assert result["failures"] == [{"name": "net, onnxruntime f32 at 20x24", "error": "no f32 here"}]
    assert failures[0].exit_code == EngineError.exit_code


def test_one_size_is_in_memory_at_a_time(style: Style, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects the machine at 3840×2160: engines of a size are gone before those of the next are loaded."""
    stand = Stand({"f32": 0.1, "bf16": 0.1})
    bench(Plan([style], [SIZE, (16, 16), (32, 16)], rounds=2), stand, monkeypatch)
    assert (len(stand.alive), stand.most_alive) == (6, 2)


def test_sizes_that_a_style_cannot_paint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects the batch: a fixed size elsewhere, and less than the smallest, are one line a size."""
    fixed = nets.style_of(tmp_path, nets.negative(shape=(1, 3, 24, 20)))
    plan = Plan([fixed], [SIZE, (32, 32)], rounds=2)
    result, failures = bench(plan, Stand({"f32": 0.1, "bf16": 0.1}), monkeypatch)
    assert [row["size"] for row in result["rows"]] == ["20x24", "20x24"]
    assert [str(error) for error in failures] == [
        "style 'net' paints 20x24 only: measure it with --sizes 20x24",
    ]
    free = nets.style_of(tmp_path, nets.negative())
    _, failures = bench(Plan([free], [(8, 40)], rounds=2), Stand({"f32": 0.1, "bf16": 0.1}), monkeypatch)
    assert [str(error) for error in failures] == ["style 'net' paints from 16x16 pixels on: give a larger size"]


def test_a_style_that_changes_the_size_is_refused(style: Style, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects the comparison: half a painting isn't a painting in half the time."""
    stand = Stand({"f32": 0.1, "bf16": 0.1})
    monkeypatch.setattr(stand, "run", lambda placement, feeds: feeds["image"][:, ::2, ::2])
    result, failures = bench(Plan([style], [SIZE], rounds=2), stand, monkeypatch)
    assert not result["rows"]
    assert {type(error) for error in failures} == {StyleError}
    assert "made 10x12 of 20x24" in str(failures[0])


def test_placements_that_are_left_open(style: Style, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects the defaults: what can't be done isn't tried unless both halves of it were named."""
    monkeypatch.setattr(speed, "_has", lambda package: True)
    monkeypatch.setattr(speed, "_has_bfloat16", lambda: True)
    names = [f"{each.engine} {each.precision}" for each in placements(style, None, None)]
    assert names == ["onnxruntime f32", "openvino f32", "openvino bf16"]
    assert placements(style, None, ["bf16"]) == [BF16]
    assert placements(style, ["onnxruntime"], ["bf16"]) == [Placement("onnxruntime", "bf16")]
    assert len(placements(style, None, ["f16"])) == 2
    monkeypatch.setattr(speed, "_has_bfloat16", lambda: False)
    assert Placement("openvino", "bf16") not in placements(style, None, None)
    monkeypatch.setattr(speed, "_has", lambda package: False)
    assert placements(style, None, None) == [F32]


def test_int8_joins_where_there_is_a_file(style: Style) -> None:
    """Protects the precisions: int8 is measured where the style has an int8 file, and alone where it is one."""
    card = style.card
    quantized = write_style(
        style.path.with_name("net.int8.onnx"),
        style.model,
        type(card)(**{**card.to_dict(), "inputs": card.inputs, "parent_sha256": card.weights_sha256}),
    )
    assert Placement("onnxruntime", "int8") in placements(style, ["onnxruntime"], None)
    assert placements(quantized, ["onnxruntime"], None) == [Placement("onnxruntime", "int8")]


def scene(count: int = 6) -> list[np.ndarray]:
    """A few frames with something moving in them."""
    frames = [np.full((36, 64, 3), 60, np.uint8) for _ in range(count)]
    for index, frame in enumerate(frames):
        frame[10:20, 5 * index : 5 * index + 8] = (220, 120, 40)
    return frames


def test_stages_around_the_net(tmp_path: Path) -> None:
    """Protects the stages: the clip that is decoded is the scene at that size, and every stage takes time."""
    clip = StageClip(tmp_path, scene(), (49, 33), Clocks())
    assert {frame.shape for frame in clip.frames} == {(33, 49, 3)}
    back, encoding = clip.write([255 - frame for frame in clip.frames])
    assert (tmp_path / "painted.mp4").stat().st_size > 500
    for stage in (clip.decoding, clip.conversion, back, encoding):
        assert min(stage.seconds) > 0
    assert abs(int(clip.frames[0][2, 2, 0]) - 60) < 8


def test_rows_with_stages(style: Style, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects the schema: all six stages in every row; what isn't measured is null, never 0."""
    monkeypatch.setattr(stages, "scene_frames", scene)
    stand = Stand({"f32": 0.25, "bf16": 0.125})
    monkeypatch.setattr(speed, "placements", both)
    tools = Tools(stand.load, lambda *_: 1.0, stand.peaks)
    result = Bench(Plan([style], [(32, 32)], rounds=2, stages=True), tools).run()
    for row in result["rows"]:
        assert list(row["stages"]) == ["decode", "convert", "infer", "convert back", "encode", "show"]
        assert row["stages"]["show"] is None
        assert all(
            set(each) == {"median_ms", "p95_ms", "spread_ms", "cpu_ms"} for each in list(row["stages"].values())[:-1]
        )
        assert row["whole"]["median_ms"] > row["frame"]["median_ms"] == row["stages"]["infer"]["median_ms"]
        assert row["fps"] == pytest.approx(1000 / row["frame"]["median_ms"])
    assert "not measured" in result["protocol"]["definitions"]["show"]


def test_whole_frames_are_added_round_by_round() -> None:
    """Protects the whole frame: stages with fewer times begin again, none is left out."""
    others = [Stage((0.1, 0.2), 0.0), Stage((1.0, 2.0, 3.0, 4.0), 0.0)]
    assert whole_frames([10.0, 20.0, 30.0], others) == pytest.approx([11.1, 22.2, 33.1])
    assert whole_frames([10.0], []) == [10.0]


def test_memory_of_a_process_of_its_own(style: Style) -> None:
    """Protects the memory column: a process with one engine holds tens of MiB, and this one's isn't counted."""
    ballast = np.ones(2**28, np.uint8)
    found = resident_mib(style, F32, (32, 32), threads=1)
    assert 30 < found < 30 + ballast.nbytes / 2**20


def test_a_process_that_fails_is_one_line(style: Style) -> None:
    """Protects the batch: the process's last line is the reason."""
    with pytest.raises(EngineError, match=r"memory wasn't measured: .*bf16") as caught:
        resident_mib(style, Placement("onnxruntime", "bf16"), (32, 32))
    assert "\n" not in str(caught.value)
