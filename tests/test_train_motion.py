"""Pairs of frames for training: the exact warp of stills, true flow of data sets, and what is made of clips."""

# ruff: noqa: E402
from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import clips
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from allaprima.dataset.pairs import make_pairs
from allaprima.dataset.sequences import TrueFlow
from allaprima.errors import PartialRunError, SourceError, TrainingError
from allaprima.train.content import Content, Motion, StillMotion, open_content
from allaprima.train.contents.flow import crop_flow, mirror
from allaprima.train.contents.pictures import Warp, inside_crop

MOVES = StillMotion(6, 0.05)


def opened(*names: Path | str, cache: Path = Path("unused"), **options: Any) -> Content:
    return open_content([str(name) for name in names], **{"crop": 64, "cache": cache, "still_motion": MOVES, **options})


def smooth(width: int, height: int, start: float = 0) -> np.ndarray:
    """uint8 H×W×3; waves whose colors say where they are, from column ``start`` on."""
    rows, columns = np.mgrid[0:height, 0:width] + 0.5
    columns = columns + start
    waves = [np.sin(columns / 9 + 2), np.sin(rows / 11 + columns / 40), np.cos((columns - rows) / 13)]
    return np.asarray(np.round(127.5 + 110 * np.stack(waves, -1)), np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".flo":
        header = np.float32(202021.25).tobytes() + np.array(pixels.shape[1::-1], "<i4").tobytes()
        path.write_bytes(header + pixels.astype("<f4").tobytes())
    else:
        Image.fromarray(pixels).save(path)
    return path


def vectors(x: float, y: float, width: int, height: int) -> np.ndarray:
    return np.full((height, width, 2), (x, y), np.float32)


def moved_along(motion: Motion) -> Tensor:
    """``before`` at p + flow(p)."""
    side = motion.flow.shape[-1]
    middles = torch.arange(side) + 0.5
    points = torch.stack(torch.meshgrid(middles, middles, indexing="xy")) + motion.flow
    grid = (2 * points / side - 1).permute(1, 2, 0)[None]
    return F.grid_sample(motion.before[None], grid, mode="bicubic", padding_mode="border", align_corners=False)[0]


def error(image: Tensor, motion: Motion) -> float:
    """Largest difference, of 255, between the picture and what was moved along the flow, where that is valid."""
    return float(((moved_along(motion) - image).abs() * motion.valid).max()) * 255


def drawn(content: Content, count: int = 1, seed: int = 0) -> list[tuple[Tensor, Motion]]:
    random = np.random.default_rng(seed)
    samples = [content.sample(random) for _ in range(count)]
    return [(image, motion) for image, motion in samples if motion is not None]


@pytest.mark.parametrize(("size", "tolerance"), [((64, 64), 2.5), ((67, 90), 2.5), ((240, 160), 8)])
def test_the_warp_of_a_still_is_exact(tmp_path: Path, size: tuple[int, int], tolerance: float) -> None:
    """``before`` at p + flow(p) is the picture; nothing is made up at the borders, even of the smallest pictures."""
    save(tmp_path / "a.png", smooth(*size))
    samples = drawn(opened(tmp_path), 30)
    assert len(samples) == 30
    for image, motion in samples:
        assert image.shape == motion.before.shape == (3, 64, 64)
        assert error(image, motion) < tolerance
        assert motion.valid.mean() > 0.7
        assert motion.before.amax(0).min() > 0.04, "no black border"
    bends = [float((motion.flow - motion.flow.mean((1, 2), keepdim=True)).abs().max()) for _, motion in samples]
    assert 5 < sum(bend < 1e-4 for bend in bends) < 25, "about half are translations"
    assert max(bends) < 0.05 * 2 * 32
    shifts = torch.stack([motion.flow.mean((1, 2)) for _, motion in samples])
    assert 4 < shifts.abs().max() <= 6.0001
    assert {bool(value) for value in (shifts > 0).flatten()} == {True, False}


def test_the_warp_by_hand() -> None:
    """Half-pixel centers: stretched by 2 about the center of 4 pixels, middles −1.5, −0.5, 0.5, 1.5 move by as much."""
    warp = Warp(np.array([[2.0, 0], [0, 1]]), np.array([0.25, 0]))
    assert warp.flow(4)[0].tolist() == [[-1.25, -0.25, 0.75, 1.75]] * 4
    assert not warp.flow(4)[1].any()
    # The moved crop shows what lies from 0.5 · (−2 − 0.25) to 0.5 · (2 − 0.25) about the center: inside of it.
    assert warp.margins(4) == (2, 2, 2, 2)
    assert Warp(np.eye(2), np.array([3.5, -1.0])).margins(4) == (4 + 2, 2, 2, 1 + 2)
    assert inside_crop(warp.flow(4))[0].tolist() == [[0, 1, 1, 0]] * 4


def test_whole_shifts_copy_pixels(tmp_path: Path) -> None:
    """Without interpolation there is no error: every value is that of the pixel it came from."""
    pixels = np.random.default_rng(0).integers(0, 256, (90, 110, 3), np.uint8)
    moved = np.asarray(Warp(np.eye(2), np.array([3.0, -2.0])).moved(Image.fromarray(pixels), 20, 10, 64))
    assert (moved == pixels[10 + 2 : 10 + 2 + 64, 20 - 3 : 20 - 3 + 64]).all()


def test_a_still_that_does_not_move(tmp_path: Path) -> None:
    """No shift, no bend: the same crop twice, valid everywhere."""
    save(tmp_path / "a.png", smooth(120, 90))
    ((image, motion),) = drawn(opened(tmp_path, still_motion=StillMotion(0, 0)))
    assert torch.equal(image, motion.before)
    assert motion.valid.all()
    assert not motion.flow.any()


def test_flow_of_a_crop_by_hand() -> None:
    """Half the width, a third of the height: the vectors of the pixels there, by the same ratios; the mask with it."""
    flow = np.zeros((9, 8, 2), np.float32)
    flow[..., 0], flow[..., 1] = np.arange(8) * 0.5, np.arange(9)[:, None] * 0.75 - 3
    mask = np.ones((9, 8), np.bool_)
    mask[4, 3] = False
    found, valid = crop_flow(TrueFlow(flow, mask, True), (4, 3), 1, 0, 3)
    assert found[0].tolist() == [[0.75, 1.25, 1.75]] * 3, "columns 3, 5, 7, halved"
    assert found[1].tolist() == [[-0.75] * 3, [0] * 3, [0.75] * 3], "rows 1, 4, 7, by a third"
    # Row 0 leaves at the top, row 2 at the bottom; column 2 and 1 at the right; the mask takes the middle of the left.
    assert not valid.any()
    mask[4, 3] = True
    assert crop_flow(TrueFlow(flow, mask, True), (4, 3), 1, 0, 3)[1][0].tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 0]]


def test_mirroring_turns_flow_around() -> None:
    """Left and right swapped, x negated, y kept."""
    flow = torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]])
    image, before, valid = torch.tensor([[[0.1, 0.2]]]), torch.tensor([[[0.3, 0.4]]]), torch.tensor([[[0.0, 1.0]]])
    turned, motion = mirror(image, Motion(before, flow, valid))
    assert turned.tolist() == image.flip(-1).tolist()
    assert motion.before.tolist() == before.flip(-1).tolist()
    assert motion.flow.tolist() == [[[-2.0, -1.0]], [[4.0, 3.0]]]
    assert motion.valid.tolist() == [[[1.0, 0.0]]]


def sintel(folder: Path, frames: int = 3) -> Path:
    """The camera slides by 5 px a frame; the right fifth is occluded, and a corner unknown."""
    width, height = 150, 100
    for index in range(1, frames + 1):
        save(folder / "clean" / "alley" / f"frame_{index:04d}.png", smooth(width, height, 5 * index))
        if index < frames:
            flow = vectors(-5, 0, width, height)
            flow[:10, :10], flow[:10, 10:20] = 1e10, np.nan
            save(folder / "flow" / "alley" / f"frame_{index:04d}.flo", flow)
            hidden = np.zeros((height, width), np.uint8)
            hidden[:, -30:] = 255
            save(folder / "occlusions" / "alley" / f"frame_{index:04d}.png", hidden)
    return folder


def rendered(folder: Path) -> Path:
    """FlyingThings3D: flow into the past, of three frames."""
    for index in (6, 7, 8):
        save(folder / "frames_finalpass" / "A" / "left" / f"{index:04d}.png", smooth(150, 100, 5 * index))
        past = folder / "optical_flow" / "A" / "into_past" / "left"
        save(past / f"OpticalFlowIntoPast_{index:04d}_L.flo", vectors(5, 0, 150, 100))
    return folder


@pytest.mark.parametrize("make", [sintel, rendered])
def test_flow_of_data_sets(tmp_path: Path, make: Any) -> None:
    """Forward flow starts from the earlier frame, backward flow from the later one; both lead to ``before``."""
    content = opened(make(tmp_path))
    assert content.describe() == "2 pairs in 1 data set"
    samples = drawn(content, 40)
    for image, motion in samples:
        assert error(image, motion) < 4
        assert motion.valid.any()
        assert not motion.flow[1].any()
        assert torch.isfinite(motion.flow).all()
        known = motion.flow[0] != 0
        assert not motion.valid[0][~known].any()
    slides = torch.tensor([float(motion.flow[0].abs().max()) for _, motion in samples])
    assert 3.1999 < slides.min() < 3.5, "5 px at 64 of 100 rows"
    assert 3.8 < slides.max() <= 4.0001
    directions = {float(motion.flow[0].sum()) > 0 for _, motion in samples}
    assert directions == {True, False}, "mirrored ones go the other way"


def test_occluded_and_unknown_pixels_are_not_valid(tmp_path: Path) -> None:
    """The mask file, Middlebury's mark and not-a-number each take their pixels away."""
    content = opened(sintel(tmp_path), crop=96)
    for image, motion in drawn(content, 10):
        unknown = motion.flow[0] == 0
        assert not motion.valid[0][unknown].any()
        # Two fifths of a crop as high as the frame can be hidden at most: 30 of 96 columns, 5 more leave it.
        assert 0.5 < motion.valid.mean() < 1
        assert error(image, motion) < 4


def test_flow_is_found_in_what_dataset_pairs_wrote(tmp_path: Path) -> None:
    """The project's own data sets are read, their test side is left alone."""
    for name in ("photos", "pictures"):
        (tmp_path / name).mkdir()
    for index in range(6):
        save(tmp_path / "photos" / f"{index}.png", smooth(150, 100, 4 * index))
    make_pairs([str(tmp_path / "photos")], tmp_path / "set", test_share=0)
    content = opened(tmp_path / "set")
    assert content.describe() == "5 pairs in 1 data set"
    for image, motion in drawn(content, 5):
        assert error(image, motion) < 25
        assert motion.valid.mean() > 0.5
    single = opened(tmp_path / "set", still_motion=None)
    assert single.describe() == "6 pictures in 1 data set", "without the masks"
    assert single.sample(np.random.default_rng(0))[1] is None


def test_pairs_that_cannot_be_used(tmp_path: Path) -> None:
    """Too small and unreadable ones are left out; flow that breaks off costs its pair; a cut is passed over."""
    folder = sintel(tmp_path / "a", frames=5)
    (folder / "clean" / "alley" / "frame_0005.png").write_text("not a picture")
    broken = folder / "flow" / "alley" / "frame_0001.flo"
    broken.write_bytes(broken.read_bytes()[:1000])
    content = opened(folder)
    assert content.describe() == "3 pairs in 1 data set; 1 file skipped"
    drawn(content, 20)
    assert {path.name for path in content.broken} == {"frame_0002.png"}
    with pytest.raises(
        TrainingError, match=r"no usable pairs in .*: 1 can't be read, 3 are smaller than the crop of 104"
    ):
        opened(folder, crop=104)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "one.pfm").touch()
    with pytest.raises(SourceError, match="no sequence with flow"):
        opened(tmp_path / "b")


def test_films_of_the_subset_are_not_paired(tmp_path: Path) -> None:
    """Where one film of FlyingThings3D's subset ends and the next begins, there is no motion."""
    for index in range(4):
        pixels = smooth(150, 100, 5 * index) if index < 2 else 255 - smooth(100, 150)[::-1].swapaxes(0, 1) // 4
        save(tmp_path / "image_clean" / "left" / f"{index:07d}.png", np.ascontiguousarray(pixels))
        save(tmp_path / "flow" / "left" / "into_past" / f"{index:07d}.flo", vectors(5, 0, 150, 100) * (index == 1))
    content = opened(tmp_path)
    assert content.describe() == "3 pairs in 1 data set"
    source = content.sources[0]
    found = [source.sample(index, np.random.default_rng(0)) is None for index in range(3)]
    assert found == [False, True, False]
    assert len(drawn(content, 8)) == 8
    assert not content.broken


def test_scenes_become_pairs_and_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exact motion from the built-in scenes, shrunk to what crops need; a second opening uses them again."""
    monkeypatch.setattr("allaprima.sources.scene.FRAMES", 7)
    said: list[str] = []
    content = opened("scene:pan=2", cache=tmp_path / "cache", clip_step=3, say=said.append)
    assert content.describe() == "2 pairs of 1 scene"
    assert content.first_picture().size == (143, 80)
    samples = drawn(content, 4)
    assert all(error(image, motion) < 60 for image, motion in samples)
    assert all(motion.valid.mean() > 0.6 for _, motion in samples)
    assert said[0] == "scene:pan: taking pairs of frames, one in 3"
    single = opened("scene:pan", cache=tmp_path / "cache", clip_step=3, still_motion=None, say=said.append)
    assert single.describe() == "2 pictures of 1 scene", "the third is a near-duplicate"
    assert single.sample(np.random.default_rng(0))[1] is None
    before = len(said)
    again = opened("scene:pan", cache=tmp_path / "cache", clip_step=3, say=said.append)
    assert "used again" in said[before]
    assert len(said) == before + 1
    assert torch.equal(drawn(again, 4)[3][0], samples[3][0])


def test_taking_frames_can_be_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long clip takes minutes: it ends when asked to, and half a data set is not taken for one later."""
    monkeypatch.setattr("allaprima.sources.scene.FRAMES", 7)
    with pytest.raises(PartialRunError):
        opened("scene:pan", cache=tmp_path / "cache", stop=lambda: True)
    assert list((tmp_path / "cache").iterdir()) == []


def clip(path: Path, frames: int = 12, speed: int = 2) -> Path:
    """A camera that slides right."""
    return clips.make(path, frames=frames, size=(160, 120), picture=lambda i, w, h: smooth(w, h, speed * i))


def test_clips_become_pairs_and_frames(tmp_path: Path) -> None:
    """Found motion that is checked, at every so many frames; a clip smaller than the crop says what to do."""
    file = clip(tmp_path / "street.mp4")
    pairs = opened(file, cache=tmp_path / "cache", clip_step=5)
    assert pairs.describe() == "3 pairs of 1 clip"
    for image, motion in drawn(pairs, 4):
        assert image.shape == (3, 64, 64)
        assert error(image, motion) < 60
        known = motion.flow[0][motion.valid[0] > 0].abs()
        assert float(known.median()) == pytest.approx(2 * 64 / 120, rel=0.3)
    single = opened(file, cache=tmp_path / "cache", clip_step=5, still_motion=None)
    assert single.describe() == "3 pictures of 1 clip"
    with pytest.raises(TrainingError, match=r"street\.mp4 is 160×120, smaller than the crop of 128: lower crop"):
        opened(file, cache=tmp_path / "cache", crop=128)


def test_cached_frames_belong_to_their_clip(tmp_path: Path) -> None:
    """Used again for the same clip and settings alone: another step, another file of that name, no note: made anew."""
    (tmp_path / "other").mkdir()
    file, cache = clip(tmp_path / "street.mp4"), tmp_path / "cache"

    def says(**options: Any) -> tuple[bool, int]:
        """Whether what is there was used again, and how many frames there are."""
        said: list[str] = []
        content = opened(file, cache=cache, still_motion=None, say=said.append, **options)
        return "used again" in said[0], len(content.sources[0])

    assert says(clip_step=5) == (False, 3)
    assert says(clip_step=5) == (True, 3)
    assert says(clip_step=3) == (False, 4)
    assert says(clip_step=3) == (True, 4)
    clip(file, frames=6, speed=3)
    assert says(clip_step=3) == (False, 2)
    os.utime(file, (1, 1))
    assert says(clip_step=3) == (False, 2)
    for note in cache.glob("*.json"):
        note.write_text("{")
    assert says(clip_step=3) == (False, 2)
    shutil.copy(file, tmp_path / "other" / "street.mp4")
    opened(tmp_path / "other" / "street.mp4", cache=cache, still_motion=None, clip_step=3)
    assert says(clip_step=3) == (True, 2), "clips of one name don't take each other's place"


def test_a_mix_of_everything(tmp_path: Path) -> None:
    """One line tells what there is; every source is drawn from, with motion from each."""
    for index in range(2):
        save(tmp_path / "photos" / f"{index}.png", smooth(90, 80))
    file = clip(tmp_path / "street.mp4")
    content = opened(tmp_path / "photos", f"{file}=2", sintel(tmp_path / "sintel"), cache=tmp_path, clip_step=5)
    assert content.describe() == "2 pictures in 1 folder, 3 pairs of 1 clip, 2 pairs in 1 data set"
    assert len(drawn(content, 12)) == 12


@pytest.mark.data
def test_pieces_of_the_data_folder() -> None:
    """Real data sets: what is at p is at p + flow(p) in the other frame, so that most of the change is explained."""
    folder = Path(os.environ.get("ALLAPRIMA_DATA", ""), "flow")
    if not folder.is_dir():
        pytest.skip("ALLAPRIMA_DATA names no folder with flow")
    explained = []
    for image, motion in drawn(opened(folder, crop=128), 10):
        assert torch.isfinite(motion.flow).all()
        still = ((motion.before - image).abs() * motion.valid).sum()
        moved = ((moved_along(motion) - image).abs() * motion.valid).sum()
        explained.append(float(moved / still))
    assert np.median(explained) < 0.6
