"""The Python interface, used as the README shows it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import nets
import numpy as np
import pytest
from onnx import ModelProto
from test_cli import count_frames, write_clip

import allaprima
from allaprima.errors import UsageError
from allaprima.frame import SourceInfo
from allaprima.live.desk import Budget, Desk
from allaprima.live.notes import Notes
from allaprima.live.session import Standing
from allaprima.live.switching import Switcher
from allaprima.picture import write_picture
from allaprima.stylizer import with_colors_of

PLAIN = {"engine": "onnxruntime", "precision": "f32", "device": "cpu"}


@pytest.fixture
def photograph() -> np.ndarray:
    """Something with colors and edges in it."""
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = ramp, ramp[::-1]
    pixels[12:36, 20:40] = (30, 60, 220)
    return pixels


def test_a_picture_and_its_file_become_the_same_painting(photograph: np.ndarray, tmp_path: Path) -> None:
    """Arrays and paths are taken alike."""
    write_picture(tmp_path / "photo.png", photograph)
    painting = allaprima.stylize_image(photograph, "starry-night", **PLAIN)
    assert painting.shape == photograph.shape and painting.dtype == np.uint8
    assert np.abs(painting.astype(int) - photograph).mean() > 10
    assert np.array_equal(painting, allaprima.stylize_image(tmp_path / "photo.png", "starry-night", **PLAIN))


def test_a_video_keeps_its_frames(tmp_path: Path) -> None:
    """The one-line call of the README."""
    source = write_clip(tmp_path / "in.mp4", 5)
    result = allaprima.stylize_video(source, tmp_path / "out.mp4", "starry-night", **PLAIN)
    assert result.frames == count_frames(tmp_path / "out.mp4") == 5
    assert result.placement == "onnxruntime f32 on cpu"


def test_a_video_can_be_painted_in_part(tmp_path: Path) -> None:
    """Every K-th frame is painted, and the last; a clip shorter than K, and one of a single frame, come out whole."""
    for frames, painted in ((5, 3), (2, 2), (1, 1)):
        source = write_clip(tmp_path / f"{frames}.mp4", frames, (640, 480))
        out = tmp_path / f"painted-{frames}.mp4"
        result = allaprima.stylize_video(source, out, "starry-night", paint_every=3, **PLAIN)
        assert result.frames == count_frames(out) == frames
        assert result.painted == painted


@pytest.mark.parametrize("model", [nets.with_previous(), nets.with_state()])
@pytest.mark.parametrize("every", [2, "auto"])
def test_a_style_with_a_memory_paints_every_frame(every: int | str, model: ModelProto, tmp_path: Path) -> None:
    """Its memory would lie several frames back: refused before anything is written."""
    style = nets.style_of(tmp_path, model)
    source = write_clip(tmp_path / "in.mp4", 5)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UsageError, match=r"remembers the frame before .*: leave out --paint-every"):
        allaprima.stylize_video(source, tmp_path / "out.mp4", style, paint_every=every, **PLAIN)
    assert sorted(tmp_path.iterdir()) == before
    assert allaprima.stylize_video(source, tmp_path / "out.mp4", style, paint_every=1, **PLAIN).frames == 5


def test_frames_can_be_painted_one_by_one(tmp_path: Path) -> None:
    """Source, painter and stylizer work without a sink; times stay with their frames."""
    painter = allaprima.Painter(allaprima.open_style("starry-night"), strength=0.8, **PLAIN)
    stylizer = allaprima.Stylizer(painter, keep_colors=True)
    with allaprima.open_source(str(write_clip(tmp_path / "in.mp4", 5))) as source:
        pairs = [(frame, stylizer.stylize(frame)) for frame in source.frames()]
    assert len(pairs) == 5
    assert all(before.pts == after.pts and before.duration == after.duration for before, after in pairs)


def test_kept_colors_are_the_pictures_own(photograph: np.ndarray) -> None:
    """Luma of the painting, chroma of the picture (BT.601 as OpenCV computes it)."""
    gray = np.full_like(photograph, 128)
    mixed = with_colors_of(gray, photograph).astype(float)
    weights = np.array([0.299, 0.587, 0.114])
    inside = ((mixed > 0) & (mixed < 255)).all(-1)
    assert np.abs(mixed[inside] @ weights - 128).max() < 3
    assert np.abs(with_colors_of(photograph, photograph).astype(int) - photograph).max() <= 2


def test_a_finished_painter_takes_no_more_options(photograph: np.ndarray) -> None:
    """Options that would be ignored are refused."""
    painter = allaprima.Painter(allaprima.open_style("starry-night"), **PLAIN)
    with pytest.raises(UsageError, match="strength"):
        allaprima.stylize_image(photograph, painter, strength=0.5)


def test_a_live_run_paints_what_comes(tmp_path: Path) -> None:
    """The call of the README: several sinks, a goal, and what the caller is told of it."""
    source = str(write_clip(tmp_path / "in.mp4", 12))
    out = tmp_path / "out.mp4"
    opened: list[SourceInfo] = []
    told: list[Standing] = []
    said: list[str] = []
    result = allaprima.stylize_live(
        source,
        ["null", str(out)],
        nets.style_of(tmp_path, nets.negative()),
        fps=25,
        say=said.append,
        on_open=opened.append,
        on_standing=told.append,
        **PLAIN,
    )
    assert not result.lost and not result.interrupted
    assert count_frames(out) == result.sinks[str(out)].frames > 0
    assert [(info.width, info.height) for info in opened] == [(64, 48)]
    assert told[-1].report.frames == result.report.frames > 0
    assert told[-1].state is not None, "fps is a goal"
    assert any("onnxruntime f32 on cpu" in line for line in said)


def test_a_live_run_ends_when_it_is_told_to(tmp_path: Path) -> None:
    """From a callback as well as from a thread; a latency alone is a goal, too."""
    source = str(write_clip(tmp_path / "in.mp4", 1500))
    stop = threading.Event()
    told: list[Standing] = []

    def tell(standing: Standing) -> None:
        told.append(standing)
        stop.set()

    result = allaprima.stylize_live(
        source,
        "null",
        ["starry-night", nets.style_of(tmp_path, nets.negative())],
        latency=0.5,
        on_standing=tell,
        stop=stop,
        **PLAIN,
    )
    assert result.interrupted and 0 < result.report.frames < 1500
    assert told[0].state is not None


@pytest.mark.parametrize(
    ("rate", "options", "fps"),
    [
        (25, {}, 25),
        (50, {}, 30),
        (50, {"latency": 0.5}, 30),
        (50, {"fps": 40}, 40),
        (25, {"work_size": 32}, None),
        (25, {"fps": 25, "work_size": 32, "adapt": False}, None),
    ],
)
def test_a_live_run_keeps_the_sources_rate(
    rate: int, options: dict[str, Any], fps: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless another goal is given, or settings are to stay; what isn't seen, such as float32, isn't paid for then."""
    budgets: list[Budget | None] = []

    class Watched(Desk):
        def __init__(self, switcher: Switcher, styles: list[str], notes: Notes, budget: Budget | None) -> None:
            budgets.append(budget)
            super().__init__(switcher, styles, notes, budget)

    monkeypatch.setattr("allaprima.api.Desk", Watched)
    source = str(write_clip(tmp_path / "in.mp4", 4, rate=rate))
    style = nets.style_of(tmp_path, nets.negative())
    allaprima.stylize_live(source, "null", style, engine="onnxruntime", device="cpu", **options)
    assert [budget and budget.goal.fps for budget in budgets] == [fps]
    if budgets[0] is not None:
        best = budgets[0].rungs(style.name, 1.0)[0]
        assert best.precision == ("f32" if options else "auto")


def test_a_live_run_needs_a_style_and_a_sink(tmp_path: Path) -> None:
    """A list may be empty in Python."""
    source = str(write_clip(tmp_path / "in.mp4", 2))
    with pytest.raises(UsageError, match="no sink"):
        allaprima.stylize_live(source, [], "starry-night")
    with pytest.raises(UsageError, match="no style"):
        allaprima.stylize_live(source, "null", [])
