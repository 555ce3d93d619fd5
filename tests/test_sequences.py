"""Sequences with true flow: files as data sets lay them out, what is said of their masks, and how they are painted."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from allaprima.dataset.sequences import find_pairs, find_sequences
from allaprima.errors import SourceError
from allaprima.frame import Frame, Pixels
from allaprima.measure.quality.motion import inside, read_flow, warp
from allaprima.measure.quality.sequences import SUITE, measure_stability, scene_suite

HEIGHT, WIDTH = 24, 40


def texture() -> Pixels:
    """Smooth noise, wider than a frame."""
    rng = np.random.default_rng(0)
    layer = cv2.GaussianBlur(rng.standard_normal((HEIGHT, WIDTH + 60, 3)), (0, 0), 2)
    return np.clip(128 + 60 * layer / layer.std(), 0, 255).astype(np.uint8)


def frame(index: int) -> Pixels:
    """A camera slides right by 2 px a frame: what is at x now is at x − 2 in the next frame, x + 2 in the last."""
    return texture()[:, 2 * index : 2 * index + WIDTH]


def vectors(x: float, y: float = 0, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """The same vector everywhere."""
    return np.full((height, width, 2), (x, y), np.float32)


def write(path: Path, content: np.ndarray | bytes) -> None:
    """A picture (RGB or gray), a .flo, a .pfm, or bytes, by the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif path.suffix == ".flo":
        height, width = content.shape[:2]
        header = np.float32(202021.25).tobytes() + np.array([width, height], "<i4").tobytes()
        path.write_bytes(header + content.astype("<f4").tobytes())
    elif path.suffix == ".pfm":
        height, width = content.shape[:2]
        rows = np.dstack([content, np.zeros((height, width))])[::-1].astype("<f4")
        path.write_bytes(f"PF\n{width} {height}\n-1.0\n".encode() + rows.tobytes())
    else:
        cv2.imwrite(str(path), content if content.ndim == 2 else cv2.cvtColor(content, cv2.COLOR_RGB2BGR))


def white_at(rows: slice) -> np.ndarray:
    """A mask file: white in some rows."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[rows] = 255
    return mask


def piece(folder: Path, frames: int = 4) -> Path:
    """Frames 1, 2, … and forward flow between them, in one folder."""
    for index in range(1, frames + 1):
        write(folder / f"frame_{index:04d}.png", frame(index))
        if index < frames:
            write(folder / f"frame_{index:04d}.flo", vectors(-2))
    return folder


def identity(frame: Frame) -> Frame:
    """The painter that leaves everything as it is."""
    return frame


def test_flo_by_hand(tmp_path: Path) -> None:
    """Protects the layout of .flo: u, v by pixel in rows; over 1e9 and not a number is unknown."""
    values = np.arange(2 * 3 * 2, dtype=np.float32).reshape(2, 3, 2)
    values[0, 1, 1], values[1, 0, 0], values[1, 2, 0] = 1.7e9, np.nan, -np.inf
    write(tmp_path / "a.flo", values)
    flow, known = read_flow(tmp_path / "a.flo")
    assert known.tolist() == [[True, False, True], [False, True, False]]
    assert flow[0, 2].tolist() == [4, 5]
    assert flow[0, 1].tolist() == [0, 0]
    assert flow.dtype == np.float32


@pytest.mark.parametrize(("scale", "kind"), [("-1.0", "<f4"), ("1", ">f4")])
def test_pfm_by_hand(tmp_path: Path, scale: str, kind: str) -> None:
    """Protects the layout of .pfm: R is x, G is y, rows from the bottom up, byte order by the sign of the scale."""
    rows = [[(1, 2, 0), (3, 4, 0), (5, 6, 0)], [(7, 8, 0), (9, 10, 0), (np.nan, 12, 0)]]
    header = f"PF\n3 2\n{scale}\n".encode()
    (tmp_path / "a.pfm").write_bytes(header + np.array(rows[::-1], kind).tobytes())
    flow, known = read_flow(tmp_path / "a.pfm")
    assert flow[0].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert flow[1].tolist() == [[7, 8], [9, 10], [0, 0]]
    assert known.tolist() == [[True] * 3, [True, True, False]]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.flo", b"", "cut short"),
        ("a.flo", b"PIEHxx", "cut short"),
        ("a.flo", b"abcd" + bytes(20), "not a .flo file"),
        ("a.flo", np.float32(202021.25).tobytes() + np.array([-1, 5], "<i4").tobytes(), "not a .flo file"),
        ("a.flo", np.float32(202021.25).tobytes() + np.array([9, 9], "<i4").tobytes() + bytes(99), "need 660 bytes"),
        ("a.pfm", b"PF\n3 2\n-1\n" + bytes(20), "not a picture of flow"),
        ("a.pfm", b"Pf\n3 2\n-1\n" + bytes(24), "not a picture of flow"),
        ("a.pfm", b"", "not a picture of flow"),
        ("b.flo", None, "can't read"),
        ("b.pfm", None, "can't read"),
    ],
)
def test_damaged_flow(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    """Protects against numbers from damaged files: each is named in one line."""
    if content is not None:
        write(tmp_path / name, content)
    with pytest.raises(SourceError, match=says) as caught:
        read_flow(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_pieces_are_painted_in_order_as_one_sequence(tmp_path: Path) -> None:
    """Protects painters with a memory: every frame comes once, in order, without motion; identity costs nothing."""
    (sequence,) = find_sequences(piece(tmp_path / "alley"))
    assert (sequence.name, sequence.frames, sequence.pairs) == ("alley", 4, 3)
    assert sequence.mask == "known flow, inside"
    seen = []

    def painter(frame: Frame) -> Frame:
        seen.append(frame)
        return frame

    result = measure_stability(painter, sequence)
    assert [f.pts for f in seen] == [0, 1, 2, 3]
    assert all((f.pixels == frame(i)).all() and f.motion is None for i, f in enumerate(seen, 1))
    assert (result.e_stab, result.untouched, result.pairs) == (0, 0, 3)
    assert result.valid_fraction == pytest.approx(38 / 40), "two columns leave the picture"
    assert result.mask == sequence.mask


def test_masks_of_files(tmp_path: Path) -> None:
    """Protects occlusions: white in either file is left out, of its own pair alone, and the result says so."""
    folder = piece(tmp_path / "alley")
    write(folder / "occlusions" / "frame_0002.png", white_at(np.s_[:6]))
    write(folder / "invalid" / "frame_0002.png", white_at(np.s_[3:12]))
    (sequence,) = find_sequences(tmp_path)
    assert sequence.mask == "occlusion file for 1 of 3"
    valid = [step.truth.mask for step in sequence.steps() if step.truth is not None]
    assert [mask.mean() for mask in valid] == [1, 0.5, 1]
    assert not valid[1][:12].any()
    for index in (1, 3):
        write(folder / "occlusions" / f"frame_{index:04d}.png", white_at(np.s_[:0]))
    assert find_sequences(tmp_path)[0].mask == "occlusion file"


def test_sintel_as_a_whole(tmp_path: Path) -> None:
    """Protects MPI-Sintel's layout: both passes, masks by scene, scenes in order; the test set has no flow."""
    root = tmp_path / "MPI-Sintel" / "training"
    for scene in ("alley_1", "alley_10", "alley_2"):
        for index in range(1, 4):
            for kind in ("clean", "final"):
                write(root / kind / scene / f"frame_{index:04d}.png", frame(index))
            if index < 3:
                write(root / "flow" / scene / f"frame_{index:04d}.flo", vectors(-2))
                write(root / "occlusions" / scene / f"frame_{index:04d}.png", white_at(np.s_[:12]))
            write(root / "invalid" / scene / f"frame_{index:04d}.png", white_at(np.s_[18:]))
    write(tmp_path / "MPI-Sintel" / "test" / "clean" / "market_1" / "frame_0001.png", frame(0))
    found = find_sequences(tmp_path)
    scenes = ("alley_1", "alley_2", "alley_10")
    assert [s.name for s in found] == [f"MPI-Sintel/training/{k}/{s}" for k in ("clean", "final") for s in scenes]
    assert {(s.frames, s.pairs, s.mask) for s in found} == {(3, 2, "occlusion file")}
    result = measure_stability(identity, found[0])
    assert result.e_stab == 0
    assert result.valid_fraction == pytest.approx(0.25 * 38 / 40)
    assert [s.name for s in find_sequences(root)] == [f"{k}/{s}" for k in ("clean", "final") for s in scenes]


def test_middlebury(tmp_path: Path) -> None:
    """Protects Middlebury's layout: eight frames, flow between two of them, unknown where it says so."""
    for index in range(7, 15):
        write(tmp_path / "other-data" / "Grove" / f"frame{index:02d}.png", frame(index))
    flow = vectors(-2)
    flow[:12] = 1.66666e9
    write(tmp_path / "other-gt-flow" / "Grove" / "flow10.flo", flow)
    write(tmp_path / "other-gt-flow" / "Grove" / "flow10.png", frame(0))
    (sequence,) = find_sequences(tmp_path)
    assert (sequence.name, sequence.frames, sequence.pairs) == ("other-data/Grove", 8, 1)
    result = measure_stability(identity, sequence)
    assert (result.e_stab, result.pairs) == (0, 1)
    assert result.valid_fraction == pytest.approx(0.5 * 38 / 40)


@pytest.mark.parametrize("suffix", ["pfm", "flo"])
def test_scene_flow(tmp_path: Path, suffix: str) -> None:
    """Protects the layout of FlyingThings3D and Monkaa: the past first, the future where it lacks, the ends unused."""
    for base in ("TRAIN/A/0000", "monkey_x2"):
        for index in range(6, 10):
            write(tmp_path / "frames_finalpass" / base / "left" / f"{index:04d}.png", frame(index))
            write(tmp_path / "frames_finalpass" / base / "right" / f"{index:04d}.png", frame(0))
            future = tmp_path / "optical_flow" / base / "into_future" / "left"
            write(future / f"OpticalFlowIntoFuture_{index:04d}_L.{suffix}", vectors(-2))
            past = tmp_path / "optical_flow" / base / "into_past" / "left"
            if index != 8:
                write(past / f"OpticalFlowIntoPast_{index:04d}_L.{suffix}", vectors(2))
    found = find_sequences(tmp_path)
    assert [s.name for s in found] == ["frames_finalpass/monkey_x2", "frames_finalpass/TRAIN/A/0000"]
    for sequence in found:
        assert (sequence.frames, sequence.pairs, sequence.mask) == (4, 3, "known flow, inside")
        truths = [step.truth for step in sequence.steps()]
        assert truths[0] is None
        assert [truth.backward for truth in truths[1:] if truth is not None] == [True, False, True]
        result = measure_stability(identity, sequence)
        assert (result.e_stab, result.pairs) == (0, 3)


def test_flownet_subset(tmp_path: Path) -> None:
    """Protects the subset's layout: films follow each other unsaid, and flow from one to the next isn't compared."""
    for index in range(8):
        second = index >= 4
        shown = frame(index)[::-1] // 4 + np.array([190, 5, 5], np.uint8) if second else frame(index)
        write(tmp_path / "train" / "image_clean" / "left" / f"{index:07d}.png", np.ascontiguousarray(shown))
        write(tmp_path / "train" / "image_clean" / "left" / f"{index + 100 + 20 * second:07d}.png", frame(index))
        write(tmp_path / "train" / "flow" / "left" / "into_future" / f"{index:07d}.flo", vectors(-2))
        write(tmp_path / "train" / "flow" / "left" / "into_past" / f"{index:07d}.flo", vectors(2))
    (sequence,) = find_sequences(tmp_path)
    assert sequence.name == "train/image_clean/left/0000000"
    assert [step.truth is not None for step in sequence.steps()] == [False, *[True] * 3, False, *[True] * 3]
    assert measure_stability(identity, sequence).e_stab == 0


def test_single_pairs_are_read_like_sequences(tmp_path: Path) -> None:
    """Protects training: any pair alone is the pair of the sequence, with its masks, unless it lacks a frame."""
    folder = piece(tmp_path / "alley", 5)
    write(folder / "occlusions" / "frame_0002.png", white_at(np.s_[:6]))
    (sequence,) = find_sequences(tmp_path)
    pairs = find_pairs(tmp_path)
    assert [(pair.before.name, pair.now.name) for pair in pairs[:2]] == [
        ("frame_0001.png", "frame_0002.png"),
        ("frame_0002.png", "frame_0003.png"),
    ]
    for pair, (earlier, later) in zip(pairs, pairwise(sequence.steps()), strict=True):
        read = pair.read()
        assert read is not None
        before, now, truth = read
        assert later.truth is not None
        assert (before == earlier.frame.pixels).all()
        assert (now == later.frame.pixels).all()
        assert (truth.flow == later.truth.flow).all()
        assert (truth.mask == later.truth.mask).all()
        assert not truth.backward
    write(folder / "frame_0004.png", np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(SourceError, match=r"frame_0004\.png' is 9×9, the frame before it 40×24"):
        pairs[2].read()
    (folder / "frame_0004.png").unlink()
    assert [pair.now.name for pair in find_pairs(tmp_path)] == ["frame_0002.png", "frame_0003.png"]
    with pytest.raises(SourceError, match="no folder"):
        find_pairs(tmp_path / "nothing")


def test_trouble_stays_with_its_sequence(tmp_path: Path) -> None:
    """Protects the batch: missing frames and wrong sizes are one line of one sequence, before it is painted."""
    piece(tmp_path / "fine")
    for name in ("gap", "last", "none", "large", "mask", "other"):
        piece(tmp_path / name)
    (tmp_path / "gap" / "frame_0002.png").unlink()
    write(tmp_path / "last" / "frame_0004.flo", vectors(-2))
    for file in (tmp_path / "none").glob("*.png"):
        file.unlink()
    write(tmp_path / "large" / "frame_0001.flo", vectors(-2, 0, 30, 50))
    write(tmp_path / "mask" / "occlusions" / "frame_0001.png", np.zeros((9, 9), np.uint8))
    write(tmp_path / "other" / "frame_0003.png", np.zeros((9, 9, 3), np.uint8))
    says = {
        "gap": r"missing frame '.*gap/frame_0002\.png': 1 of 4",
        "large": r"frame_0001\.flo' is 50×30, its frame 40×24",
        "last": r"missing frame '.*last/frame_0005\.png'",
        "mask": r"occlusions/frame_0001\.png' is 9×9, its frame 40×24",
        "none": r"missing frame '.*none/frame_0001\.png': 4 of 4",
        "other": r"frame_0003\.png' is 9×9, the frame before it 40×24",
    }
    for sequence in find_sequences(tmp_path):
        if sequence.name == "fine":
            assert measure_stability(identity, sequence).pairs == 3
            continue
        with pytest.raises(SourceError, match=says.pop(sequence.name)) as caught:
            measure_stability(identity, sequence)
        assert "\n" not in str(caught.value)
    assert not says


def test_folders_without_sequences(tmp_path: Path) -> None:
    """Protects against an empty batch that looks like success."""
    with pytest.raises(SourceError, match="no folder"):
        find_sequences(tmp_path / "nothing")
    with pytest.raises(SourceError, match="no sequence with flow"):
        find_sequences(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path)
    with pytest.raises(SourceError, match="no sequence with flow"):
        find_sequences(tmp_path)
    (tmp_path / "flow" / "alley").mkdir(parents=True)
    write(tmp_path / "clean" / "alley" / "frame_0001.png", frame(1))
    (sequence,) = find_sequences(tmp_path)
    with pytest.raises(SourceError, match="no flow for the frames in"):
        measure_stability(identity, sequence)


@pytest.mark.parametrize("name", SUITE)
def test_scenes_reproduce_their_next_frame(name: str) -> None:
    """Protects the suite: outside occlusions true flow leaves interpolation alone, once the light is taken out."""
    (sequence,) = scene_suite([name], 3)
    assert (sequence.name, sequence.mask, sequence.frames, sequence.pairs) == (f"scene:{name}", "exact", 3, 2)
    steps = list(sequence.steps())
    assert steps[0].truth is None
    assert all(step.frame.motion is None and step.frame.mask is None for step in steps)
    for before, now in pairwise(steps):
        assert now.truth is not None
        assert now.truth.backward
        moved, valid = warp(before.frame.pixels, now.truth.flow), now.truth.mask
        moved *= now.frame.pixels[valid].sum() / moved[valid].sum()
        error = np.abs(moved - now.frame.pixels).mean(axis=2)[valid]
        assert error.mean() < 1
        assert valid.mean() > 0.8


@pytest.mark.data
def test_pieces_of_the_data_folder() -> None:
    """Protects the reading of real files: true flow explains most of what changes, and says which mask it had."""
    folder = Path(os.environ.get("ALLAPRIMA_DATA", ""), "flow")
    if not folder.is_dir():
        pytest.skip("ALLAPRIMA_DATA names no folder with flow")
    found = {sequence.name: sequence for sequence in find_sequences(folder)}
    assert len(found) == 9
    assert found["sintel/alley_1-clean"].mask == "occlusion file for 1 of 3"
    assert found["sintel/alley_2-clean"].mask == "occlusion file"
    assert found["middlebury/Urban3"].mask == "known flow, inside"
    for sequence in found.values():
        steps = list(sequence.steps())
        for before, now in pairwise(steps):
            assert now.truth is not None
            moved, valid = warp(now.frame.pixels, now.truth.flow), now.truth.mask & inside(now.truth.flow)
            still = np.abs(now.frame.pixels.astype(np.float32) - before.frame.pixels)[valid].mean()
            assert np.abs(moved - before.frame.pixels)[valid].mean() < 0.6 * still, sequence.name
