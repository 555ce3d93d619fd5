"""The protocol of ``evaluate``: both rows of every style, figures that can be foreseen, and batches that go on."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import pytest

from allaprima.errors import SourceError
from allaprima.failure import Failure
from allaprima.frame import Frame, Pixels
from allaprima.measure.quality.evaluation import Evaluation, Subject, evaluate
from allaprima.measure.quality.material import Material
from allaprima.measure.quality.sequences import scene_suite
from allaprima.stylizer import DEFAULT_COHERENCE, Stylizer

HEIGHT, WIDTH = 96, 208
STEP = 3


class Fake:
    """A painter that can be reckoned with by hand."""

    stride = 4
    noise_gain = 1.0
    stateful = False

    def prepare(self, height: int, width: int) -> str:
        return "by hand"

    def paint(self, pixels: Pixels, state: Mapping[str, Any]) -> tuple[Pixels, Mapping[str, Any]]:
        return self.change(pixels), {}

    def change(self, pixels: Pixels) -> Pixels:
        return pixels


class Screen(Fake):
    """Adds columns of ±10 that stick to the screen."""

    def change(self, pixels: Pixels) -> Pixels:
        columns = np.where(np.arange(pixels.shape[1]) % 2, 10, -10)
        return (pixels.astype(np.int16) + columns[:, None]).astype(np.uint8)


class Smear(Fake):
    """Blurs in time alone: nine tenths of the painting before."""

    stateful = True

    def paint(self, pixels: Pixels, state: Mapping[str, Any]) -> tuple[Pixels, Mapping[str, Any]]:
        before = state.get("previous", pixels)
        if before.shape != pixels.shape:
            before = pixels
        painted = cv2.addWeighted(before, 0.9, pixels, 0.1, 0)
        return painted, {"previous": painted}


class Half(Fake):
    """Returns another size."""

    def change(self, pixels: Pixels) -> Pixels:
        return np.ascontiguousarray(pixels[::2, ::2])


def picture(width: int = WIDTH, seed: int = 0) -> Pixels:
    """Noise of a fine scale, 60 to 200."""
    rough = np.random.default_rng(seed).standard_normal((HEIGHT, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(rough, (0, 0), 1.5)
    return np.clip(130 + 25 * smooth / smooth.std(), 60, 200).astype(np.uint8)


def clip(frames: int = 6) -> list[Frame]:
    """A picture that slides by three pixels a frame."""
    whole = picture(WIDTH + STEP * frames)
    return [Frame(np.ascontiguousarray(whole[:, STEP * i : STEP * i + WIDTH]), i) for i in range(frames)]


@pytest.fixture(autouse=True)
def without_loss_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The perceptual figures have tests of their own; here they would need 60 MB of weights."""
    monkeypatch.setitem(sys.modules, "torch", None)


def measured(*painters: Fake, material: Material | None = None, **options: Any) -> Evaluation:
    material = material or Material(pictures={"a": picture(), "b": picture(seed=1)}, clips={"slide": clip()})
    subjects = [
        Subject(type(each).__name__, lambda dial, each=each: Stylizer(each, coherence=dial), each.stride)  # type: ignore[misc]
        for each in painters
    ]
    return evaluate(subjects, material, **options)


def test_both_rows_of_every_style_and_no_other() -> None:
    """Protects the promise that no table shows a style with coherence alone, or without."""
    found = measured(Fake(), Screen())
    assert [(row.name, row.coherence, row.default) for row in found.rows] == [
        (name, dial, dial == DEFAULT_COHERENCE) for name in ("Fake", "Screen") for dial in (0.0, DEFAULT_COHERENCE)
    ]
    assert not found.failures


def test_the_untouched_has_one_row() -> None:
    """Protects the zero line: with coherence, clips would be blended, and no longer be what everything is above."""
    material = Material(pictures={"a": picture()}, clips={"slide": clip()})
    subjects = [
        Subject("plain", lambda dial: Stylizer(Fake(), coherence=dial), 4, plain=True),
        Subject("other", lambda dial: Stylizer(Screen(), coherence=dial), 4),
    ]
    told: list[tuple[str, int, int]] = []
    found = evaluate(subjects, material, on_progress=lambda *what: told.append(what))
    rows = [(row.name, row.coherence) for row in found.rows]
    assert rows == [("plain", 0.0), ("other", 0.0), ("other", DEFAULT_COHERENCE)]
    assert [what[1:] for what in told] == [(0, 3), (1, 3), (2, 3)]
    assert found.rows[0].warp_above == pytest.approx(0)
    other = found.rows[1]
    assert other.warp_above == pytest.approx(other.warp - other.warp_untouched)
    assert other.clips["slide"]["sharpness_last"] == pytest.approx(other.sharpness, rel=0.2)


def test_painting_nothing_has_the_errors_of_the_material() -> None:
    """Protects the zero line: identity redraws nothing at whole pixels, gains no noise, and warps like the clip."""
    row = measured(Fake()).rows[0]
    assert row.shift["1"] == row.shift["2"] == row.shift["stride"] == 0
    assert row.shift["2.6"] <= row.shift_floor["2.6"] + 0.5
    assert row.noise == {"1": pytest.approx(1), "2": pytest.approx(1), "4": pytest.approx(1)}
    assert row.warp == row.warp_untouched
    assert row.sharpness == row.sharpness_untouched
    assert row.ssim == pytest.approx(1)
    assert row.blobs == 0


def test_a_screen_texture_costs_what_it_differs_by() -> None:
    """Protects the scale of shift error: columns of ±10 moved by one differ by 20, moved by two by nothing."""
    row = measured(Screen()).rows[0]
    assert row.shift["1"] == pytest.approx(20)
    assert row.shift["2"] == row.shift["stride"] == 0


def test_blur_in_time_is_exposed() -> None:
    """Protects against steadiness that is only blur: sharpness falls, and along true flow the smear shows."""
    material = Material(clips={"slide": clip(12)}, sequences=[s for s in scene_suite() if s.name == "scene:pan"])
    plain, smeared = (measured(each, material=material).rows[0] for each in (Fake(), Smear()))
    assert plain.sharpness and smeared.sharpness and plain.e_stab is not None and smeared.e_stab is not None
    assert smeared.sharpness < 0.8 * plain.sharpness
    assert smeared.e_stab > 1.5 * plain.e_stab
    assert smeared.e_stab_untouched == plain.e_stab == plain.e_stab_untouched


def test_a_style_of_another_size_fails_and_the_others_go_on() -> None:
    """One bad style must not cost an hour of measuring the others."""
    found = measured(Half(), Fake())
    assert [row.name for row in found.rows] == ["Fake", "Fake"]
    assert [failure.name for failure in found.failures] == ["Half"]
    assert "208×96 came back as 104×48" in str(found.failures[0].error)


def test_a_clip_that_cannot_be_measured_is_named_once() -> None:
    """What a clip lacks is said once, not once a row, and its neighbors are measured."""
    material = Material(clips={"still": clip(1), "slide": clip()})
    found = measured(Fake(), material=material)
    assert [failure.name for failure in found.failures] == ["still"]
    assert list(found.rows[0].clips) == ["slide"]


def test_what_was_not_measured_is_null_with_a_note() -> None:
    """A missing figure is never 0."""
    row = measured(Fake(), material=Material(failures=[Failure("x.mp4", SourceError("no"))])).to_dict()["rows"][0]
    for name in ("style", "style_score", "content", "ssim", "warp", "e_stab", "sharpness", "grid", "milliseconds"):
        assert row[name] is None
    assert row["shift"] == row["noise"] == {}
    assert any("there are no pictures" in note for note in row["notes"])
    assert any("'train' extra" in note for note in row["notes"])


def test_a_stride_too_large_to_pan_by_is_a_note() -> None:
    """Nets of a huge stride are measured in everything else."""

    class Coarse(Fake):
        stride = 64

    row = measured(Coarse()).rows[0]
    assert set(row.shift) == {"1", "2", "2.6"}
    assert any("shift by stride" in note for note in row.notes)
    assert row.noise and row.warp is not None


def test_the_worst_frame_is_shown() -> None:
    """The report's picture is of the frame that redraws most, not of any frame."""

    class Glitch(Fake):
        count = 0

        def change(self, pixels: Pixels) -> Pixels:
            self.count += 1
            return 255 - pixels if self.count == 5 else pixels

    found = measured(Glitch(), material=Material(clips={"slide": clip(8)}))
    captions = " ".join(picture.caption for picture in found.pictures)
    assert "slide, frame 4," in captions or "slide, frame 5," in captions


def test_rows_are_timed_in_turn() -> None:
    """A B A B: a machine that slows down slows all rows alike."""
    order: list[str] = []

    class Named(Fake):
        def __init__(self, name: str) -> None:
            self.name = name

        def change(self, pixels: Pixels) -> Pixels:
            order.append(self.name)
            return pixels

    found = measured(Named("a"), Named("b"), material=Material(clips={"slide": clip(2)}), coherences=[0.0])
    assert order[-6:] == ["a", "b"] * 3
    assert all(row.milliseconds is not None and math.isfinite(row.milliseconds) for row in found.rows)
