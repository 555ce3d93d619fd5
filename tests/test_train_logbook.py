"""What a run leaves to look at: the preview clip, and TensorBoard's files."""

# ruff: noqa: E402
from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from PIL import Image
from trainfakes import JOHNSON, NoiseBatches, make_trainer

from allaprima.errors import AllaprimaError, TrainingError
from allaprima.train import trainer as loop
from allaprima.train.logbook import Logbook
from allaprima.train.preview import FRAMES, preview_clip


def wave(width: int, height: int) -> Image.Image:
    """A picture that says by its red how far right, and by its green how far down."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack((x, y, 0 * x), -1).astype(np.uint8))


@pytest.mark.parametrize(
    ("size", "shown"),
    [((768, 512), (256, 385)), ((300, 200), (200, 301)), ((12, 16), (43, 32)), ((256, 256), (256,) * 2)],
)
def test_a_picture_becomes_a_slow_pan(size: tuple[int, int], shown: tuple[int, int]) -> None:
    """Every frame shows a third of a pixel further right and down; at most 256 pixels high, never less than 32."""
    clip = preview_clip(wave(*size))
    assert clip.dtype == torch.float32
    assert clip.shape[:2] == (FRAMES, 3)
    assert clip.shape[2:] == pytest.approx(shown, abs=1)
    if min(size) < 256:
        return
    inner = clip[:, :2, 8:-8, 8:-8]
    steps = (inner[-1] - inner[0]).mean((1, 2)) / (FRAMES - 1)
    slope = torch.stack(((inner[0, 0, :, -1] - inner[0, 0, :, 0]).mean(), (inner[0, 1, -1] - inner[0, 1, 0]).mean()))
    pixels = steps / (slope / torch.tensor([inner.shape[3] - 1, inner.shape[2] - 1]))
    torch.testing.assert_close(pixels, torch.full((2,), 0.3), atol=0.02, rtol=0)


def test_a_clip_is_shown_as_it_is(tmp_path: Path) -> None:
    """The first frames of a folder of frames, at most 256 pixels high."""
    for index in range(15):
        Image.new("RGB", (400, 300), (index * 10, 0, 0)).save(tmp_path / f"{index:03d}.png")
    clip = preview_clip(tmp_path)
    assert clip.shape == (FRAMES, 3, 256, 341)
    assert [round(float(frame[0, 0, 0]) * 255) for frame in clip] == list(range(0, 10 * FRAMES, 10))


def test_a_preview_that_is_nothing(tmp_path: Path) -> None:
    """Missing pictures and clips are told in a line."""
    with pytest.raises(TrainingError, match=r"none\.jpg"):
        preview_clip(tmp_path / "none.jpg")
    with pytest.raises(AllaprimaError, match=r"none\.mp4"):
        preview_clip(tmp_path / "none.mp4")


def test_the_animated_preview_keeps_its_colors(tmp_path: Path) -> None:
    """Frames in order, near the painting's colors, and what doesn't change in it doesn't in the file."""
    clip = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)).repeat(3, 1, 1, 1)
    clip = torch.nn.functional.interpolate(clip, (40, 48), mode="bilinear").contiguous()
    clip[1, :, :20] = 1 - clip[1, :, :20]
    book = Logbook(tmp_path, lambda text: None)
    book.preview(7, clip)
    book.close()
    with Image.open(tmp_path / "preview-000007.png") as first:
        np.testing.assert_allclose(np.asarray(first) / 255, clip[0].permute(1, 2, 0), atol=0.5 / 255 + 1e-6)
    frames = []
    with Image.open(tmp_path / "preview-000007.gif") as animated:
        assert animated.info["loop"] == 0
        for index in range(animated.n_frames):  # type: ignore[attr-defined]
            animated.seek(index)
            frames.append(np.asarray(animated.convert("RGB"), np.float32) / 255)
    assert len(frames) == 3
    np.testing.assert_array_equal(frames[0], frames[2])
    np.testing.assert_array_equal(frames[0][20:], frames[1][20:])
    assert np.abs(frames[0] - clip[0].permute(1, 2, 0).numpy()).mean() < 0.05


def test_tensorboard_gets_each_loss_by_itself_and_the_previews(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every ten steps; the files are read back by TensorBoard's own reader."""
    loader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_file_loader", reason="needs the extra 'train'"
    )
    monkeypatch.setattr(loop, "Batches", NoiseBatches)
    result = make_trainer(tmp_path / "run", replace(JOHNSON, steps=12)).train()
    (file,) = (tmp_path / "run" / "tensorboard").iterdir()
    logged: dict[tuple[int, str], Any] = {}
    for event in loader.LegacyEventFileLoader(str(file)).Load():
        logged |= {(event.step, value.tag): value for value in event.summary.value}
    names = {*result.history[0], "learning_rate", "steps_per_second"}
    assert {"total", "content", "style", "style/relu1_2", "tv"} <= names
    assert logged.keys() == {*((10, name) for name in names), (12, "preview"), (12, "clip")}
    for name, value in result.history[9].items():
        assert logged[10, name].simple_value == pytest.approx(value)
    assert logged[10, "learning_rate"].simple_value == pytest.approx(1e-3)
    assert logged[10, "steps_per_second"].simple_value > 0
    for tag, kind in (("preview", "PNG"), ("clip", "GIF")):
        stored = logged[12, tag].image
        assert (stored.width, stored.height, stored.colorspace) == (48, 32, 3)
        with Image.open(io.BytesIO(stored.encoded_image_string)) as image:
            assert (image.format, image.size) == (kind, (48, 32))
            assert (getattr(image, "n_frames", 1) > 1) == (kind == "GIF")
