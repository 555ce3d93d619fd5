"""``auto``: measured once, remembered, and never worse than a new measurement."""

from __future__ import annotations

import json
from pathlib import Path

import nets
import numpy as np
import pytest

from allaprima import placement as module
from allaprima.engine import Engine, Feeds, Placement
from allaprima.errors import EngineError, StyleError
from allaprima.placement import open_engine, probe_picture
from allaprima.style import Card, Style, write_style


@pytest.fixture
def style(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Style:
    monkeypatch.setattr(module, "_MEASURE_SECONDS", 0.005)
    return nets.style_of(tmp_path, nets.textured())


class Fake(Engine):
    """Paints everything in one gray, after a while."""

    def __init__(self, placement: Placement, gray: int) -> None:
        self.placement, self._gray = placement, gray

    def run(self, feeds: Feeds) -> dict[str, np.ndarray]:
        return {"stylized": np.full_like(feeds["image"], self._gray)}


def fake_engines(monkeypatch: pytest.MonkeyPatch, grays: dict[Placement, int], fastest: Placement) -> None:
    """Stand-ins whose speed is decided here: a clock that runs faster for all but one."""
    now = [0.0]

    class Timed(Fake):
        def run(self, feeds: Feeds) -> dict[str, np.ndarray]:
            now[0] += 0.1 if self.placement == fastest else 0.2
            return super().run(feeds)

    def load(style: Style, placement: Placement, size: tuple[int, int], threads: int = 0, at_once: int = 1) -> Engine:
        if placement not in grays:
            raise EngineError("not here")
        return Timed(placement, grays[placement])

    monkeypatch.setattr(module, "candidates", lambda *asked: list(grays))
    monkeypatch.setattr(module, "load_engine", load)
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])


def refuse_to_measure(*given: object) -> None:
    raise AssertionError("measured again")


ORT, OV, BF16 = Placement("onnxruntime", "f32"), Placement("openvino", "f32"), Placement("openvino", "bf16")


def test_the_fastest_is_taken(style: Style, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of engines that paint the same, the fastest."""
    for fastest in (ORT, OV, BF16):
        with monkeypatch.context() as patch:
            fake_engines(patch, {ORT: 100, OV: 100, BF16: 103}, fastest)
            patch.setattr(module, "_key", lambda *asked, fastest=fastest: str(fastest))
            assert open_engine(style, nets.SIZE).placement == fastest


def test_nothing_beyond_the_tolerance_is_taken(style: Style, monkeypatch: pytest.MonkeyPatch) -> None:
    """A faster engine that paints another picture is left."""
    fake_engines(monkeypatch, {ORT: 100, BF16: 104}, BF16)
    assert open_engine(style, nets.SIZE).placement == ORT


def test_one_precision_is_still_compared_with_f32(style: Style, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the user fixed the precision, and no f32 engine is among the candidates."""
    int8 = [Placement("onnxruntime", "int8"), Placement("openvino", "int8")]
    fake_engines(monkeypatch, {ORT: 100, int8[0]: 104, int8[1]: 101}, int8[0])
    monkeypatch.setattr(module, "candidates", lambda *asked: int8)
    assert open_engine(style, nets.SIZE, precision="int8").placement == int8[1]


def test_no_candidate_within_the_tolerance_is_an_error(style: Style, monkeypatch: pytest.MonkeyPatch) -> None:
    """Better no painting than a wrong one."""
    int8 = [Placement("onnxruntime", "int8"), Placement("openvino", "int8")]
    fake_engines(monkeypatch, {ORT: 100, int8[0]: 104, int8[1]: 96}, int8[0])
    monkeypatch.setattr(module, "candidates", lambda *asked: int8)
    with pytest.raises(EngineError, match="--precision f32"):
        open_engine(style, nets.SIZE, precision="int8")


def test_auto_on_real_engines_stays_within_the_tolerance(style: Style) -> None:
    """What auto picks on this machine paints what the reference paints."""
    engine = open_engine(style, (48, 64), threads=1)
    pixels = nets.photograph(48, 64)
    expected = nets.painted_by_reference(style.model, pixels)
    painting = engine.run({"image": pixels[np.newaxis]})["stylized"][0]
    assert np.abs(painting.astype(int) - expected).mean() <= module.TOLERANCE


def test_the_choice_is_remembered(style: Style, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second start doesn't measure; another size or another style does."""
    chosen = open_engine(style, nets.SIZE, threads=1).placement
    monkeypatch.setattr(module, "_measure", refuse_to_measure)
    assert open_engine(style, nets.SIZE, threads=1).placement == chosen
    with pytest.raises(AssertionError, match="measured again"):
        open_engine(style, (32, 32), threads=1)
    other = write_style(style.path.with_name("other.onnx"), nets.textured(channels=4), Card(title="Other"))
    with pytest.raises(AssertionError, match="measured again"):
        open_engine(other, nets.SIZE, threads=1)


def test_a_remembered_choice_that_no_longer_runs_is_measured_again(
    style: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver that went away is no reason to stop."""
    fake_engines(monkeypatch, {ORT: 100, OV: 100}, OV)
    assert open_engine(style, nets.SIZE).placement == OV
    fake_engines(monkeypatch, {ORT: 100}, ORT)
    monkeypatch.setattr(module, "candidates", lambda *asked: [ORT, OV])
    assert open_engine(style, nets.SIZE).placement == ORT


@pytest.mark.parametrize("content", ["{", "[]", "null", '{"KEY": 3}', '{"KEY": "x"}', '{"KEY": {"engine": 1}}'])
def test_a_corrupt_memory_is_ignored(
    style: Style, own_cache: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    """Whatever stands in the file, painting goes on and the memory is made whole."""
    fake_engines(monkeypatch, {ORT: 100, OV: 100}, OV)
    monkeypatch.setattr(module, "_key", lambda *asked: "KEY")
    memory = own_cache / "placements.json"
    memory.write_text(content)
    assert open_engine(style, nets.SIZE).placement == OV
    assert json.loads(memory.read_text())["KEY"]["engine"] == "openvino"
    assert [path.name for path in own_cache.iterdir()] == ["placements.json"]


def test_a_memory_of_bytes_is_ignored(style: Style, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even text."""
    fake_engines(monkeypatch, {ORT: 100, OV: 100}, OV)
    (own_cache / "placements.json").write_bytes(b"\xff\xfe\x00")
    assert open_engine(style, nets.SIZE).placement == OV


def test_a_folder_that_cannot_be_written_is_no_error(
    style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Remembering is a convenience."""
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ALLAPRIMA_CACHE", str(tmp_path / "file" / "below"))
    fake_engines(monkeypatch, {ORT: 100, OV: 100}, OV)
    assert open_engine(style, nets.SIZE).placement == OV


def test_every_reason_is_told_when_nothing_is_left(style: Style, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user sees why each candidate failed."""
    fake_engines(monkeypatch, {}, ORT)
    monkeypatch.setattr(module, "candidates", lambda *asked: [ORT, BF16])
    with pytest.raises(EngineError) as caught:
        open_engine(style, nets.SIZE)
    assert "onnxruntime f32 on cpu: not here" in str(caught.value)
    assert "openvino bf16 on cpu: not here" in str(caught.value)


@pytest.mark.parametrize("build", [nets.with_strength, nets.with_style, nets.with_previous, nets.with_state])
def test_styles_with_further_inputs_are_measured_too(style: Style, build: object) -> None:
    """Strength, a style picture, a previous painting or a state: auto feeds something to each."""
    other = write_style(style.path.with_name("other.onnx"), build(), Card(title="Other"))  # type: ignore[operator]
    assert open_engine(other, nets.SIZE, threads=1).placement == ORT


def test_an_int8_file_of_other_weights_is_told(style: Style) -> None:
    """A stale int8 file is an error, not a quiet f32."""
    stale = Card(title="Net", parent_sha256="0" * 64)
    write_style(style.path.with_name("net.int8.onnx"), nets.negative(), stale)
    with pytest.raises(StyleError, match="other weights"):
        open_engine(style, nets.SIZE)


@pytest.mark.parametrize("size", [(16, 16), (24, 300), (301, 17)])
def test_the_probe_picture_has_detail_and_is_always_the_same(size: tuple[int, int]) -> None:
    """Measuring on a flat picture would compare nothing."""
    picture = probe_picture(size)
    assert picture.shape == (*size, 3)
    assert picture.std() > 20
    assert np.array_equal(picture, probe_picture(size))
