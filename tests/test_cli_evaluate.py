"""``allaprima evaluate`` from the command line: JSON, cards, reports, and batches with something bad in them."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from clips import make, textured
from nets import graph, negative, node

from allaprima.cli import run
from allaprima.measure.quality import evaluation, material
from allaprima.picture import write_picture
from allaprima.style import Card, Style, write_style

SIZE = (160, 96)
FIGURES = {
    "style", "style_score", "content", "shift", "noise", "warp", "warp_untouched", "e_stab", "sharpness"
}  # fmt: skip
sliding = partial(textured, soft=2)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of one picture and one clip; a protocol of small pictures; no loss network."""
    monkeypatch.setattr(material, "PICTURE_SIZE", SIZE)
    monkeypatch.setattr(material, "CLIP_SIZE", SIZE)
    monkeypatch.setattr(material, "scene_suite", list)
    monkeypatch.setattr(evaluation, "_TIMING_ROUNDS", 1)
    monkeypatch.setitem(sys.modules, "torch", None)
    folder = tmp_path / "data"
    (folder / "content-test").mkdir(parents=True)
    (folder / "clips").mkdir()
    write_picture(folder / "content-test" / "one.png", sliding(0, *SIZE), like=None, overwrite=False)
    make(folder / "clips" / "slide.mp4", frames=5, size=SIZE, picture=sliding)
    return folder


@pytest.fixture
def style(tmp_path: Path) -> Path:
    path = tmp_path / "negative.onnx"
    write_style(path, negative(), Card("Negative"))
    return path


def evaluated(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    code = run(["evaluate", *map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_json_holds_every_figure_and_the_protocol(data: Path, style: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who reads the JSON finds the figures, both rows, and what they were measured on; the negative is as steady as
    the clip."""
    code, found = evaluated(capsys, style, "--data", data)
    assert code == 0
    assert [row["coherence"] for row in found["rows"]] == [0.0, evaluation.DEFAULT_COHERENCE]
    row = found["rows"][0]
    assert set(row) >= FIGURES
    assert set(row["shift"]) == {"1", "2", "2.6", "stride"}
    assert set(row["noise"]) == {"1", "2", "4"}
    assert row["warp"] == pytest.approx(row["warp_untouched"], rel=1e-3)
    assert row["placement"] == "onnxruntime f32 on cpu"
    assert found["protocol"]["clips"] == {"slide": 5}
    assert found["protocol"]["pictures"]["names"] == ["one"]
    assert found["machine"]["cpu"]
    assert row["style"] is None and any("train" in note for note in row["notes"])


def test_card_keeps_what_was_measured(data: Path, style: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A measured style says so wherever it goes: figures, date, machine, commit, data names."""
    before = Style.open(style)
    assert evaluated(capsys, style, "--data", data, "--write-card")[0] == 0
    after = Style.open(style)
    measured = after.card.measurements
    assert measured["warp"] is not None and measured["coherence_off"]["coherence"] == 0
    assert {"date", "machine", "commit"} <= set(measured)
    assert measured["data"]["clips"] == ["slide"]
    assert after.card.weights_sha256 == before.card.weights_sha256


def test_report_is_written(data: Path, style: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One command leaves a page with the style's name and its pictures."""
    report = tmp_path / "report.html"
    assert evaluated(capsys, style, "--data", data, "--report", report)[0] == 0
    page = report.read_text(encoding="utf-8")
    assert "negative" in page and "data:image/" in page and "worst frame" in page


def test_a_bad_clip_is_named_and_the_rest_goes_on(data: Path, style: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Clips of one frame and files that are no video cost a line each and the exit code, not the batch."""
    make(data / "clips" / "short.mp4", frames=1, size=SIZE)
    (data / "clips" / "broken.mp4").write_bytes(b"no video")
    code, found = evaluated(capsys, style, "--data", data)
    assert code == 3
    assert {failure["name"] for failure in found["failures"]} == {"short.mp4", "broken.mp4"}
    assert found["rows"][0]["warp"] is not None


def test_bad_sequences_are_named_and_the_good_one_is_measured(
    data: Path, style: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing frame and a flow of the wrong size cost a line each and the exit code; the third sequence counts."""
    for name, frames, width in (("good", (1, 2), 160), ("gap", (1,), 160), ("wrong", (1, 2), 80)):
        (tmp_path / "flow" / name).mkdir(parents=True)
        for number in frames:
            picture = sliding(number, *SIZE)
            write_picture(tmp_path / "flow" / name / f"frame_{number:04d}.png", picture, like=None, overwrite=False)
        vectors = np.full((SIZE[1], width, 2), (-2, 0), np.float32)
        assert cv2.writeOpticalFlow(str(tmp_path / "flow" / name / "frame_0001.flo"), vectors)
    code, found = evaluated(capsys, style, "--data", data, "--flow", tmp_path / "flow")
    assert code == 3
    assert {failure["name"] for failure in found["failures"]} == {"gap", "wrong"}
    reasons = " ".join(failure["error"] for failure in found["failures"])
    assert "frame_0002.png" in reasons and "is 80×96, its frame 160×96" in reasons
    good = found["rows"][0]["sequences"]["good"]
    assert good["e_stab"] == pytest.approx(good["untouched"]) == pytest.approx(0, abs=1e-3)
    assert good["mask"] == "known flow, inside"


def test_a_style_that_halves_is_named_and_the_others_go_on(
    data: Path, style: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What returns another size can't be measured; the styles beside it are."""
    half = graph([node("AveragePool", ["image"], ["stylized"], kernel_shape=[2, 2], strides=[2, 2])])
    write_style(tmp_path / "half.onnx", half, Card("Half"))
    code, found = evaluated(capsys, tmp_path / "half.onnx", style, "--data", data)
    assert code == 5
    assert [failure["name"] for failure in found["failures"]] == ["half"]
    assert [row["name"] for row in found["rows"]] == ["negative", "negative"]


def test_a_peer_without_a_card_is_measured_beside(
    data: Path, style: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--range`` is for the files that need it; the others keep their cards."""
    peer = tmp_path / "peer.onnx"
    onnx.save(negative(255.0), peer)
    code, found = evaluated(capsys, style, "--data", data, "--against", peer, "--range", "0-255", "--stride", "4")
    assert code == 0
    assert [(row["name"], row["against"]) for row in found["rows"]] == [
        ("negative", False), ("negative", False), ("peer", True), ("peer", True)
    ]  # fmt: skip
    assert found["rows"][2]["stride"] == 4


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["great-wave", "--data", "nowhere"], 2, "no folder"),
        (["great-wave", "--style-image", "a.png", "--style-image", "b.png"], 2, "one for each"),
        (["no-such-style"], 5, "no-such-style"),
        (["great-wave", "--clips", "nowhere"], 3, "can't list"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    arguments: list[str], code: int, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Mistakes are told before minutes are spent, with the documented exit code."""
    assert run(["evaluate", *arguments]) == code
    error = capsys.readouterr().err
    assert word in error and error.count("\n") == 1


def test_no_card_to_write_on(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Other people's files stay as they are."""
    foreign = tmp_path / "foreign.onnx"
    onnx.save(negative(), foreign)
    before = foreign.read_bytes()
    assert run(["evaluate", str(foreign), "--range", "0-1", "--data", str(data), "--write-card"]) == 2
    assert "no allaprima card" in capsys.readouterr().err
    assert foreign.read_bytes() == before
