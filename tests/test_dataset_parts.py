"""The parts that data sets are made with, each against values computed by hand."""

from __future__ import annotations

import csv
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from allaprima.dataset.clips import name_clips, unique_stems
from allaprima.dataset.contact_sheet import draw_sheet
from allaprima.dataset.duplicates import Duplicates
from allaprima.dataset.fitting import Fit
from allaprima.dataset.manifest import Entry, Origin, listed_files, split_units, write_manifest
from allaprima.errors import SinkError, SourceError


def columns(width: int, height: int) -> np.ndarray:
    """A picture whose level is the number of the column, times ten."""
    return np.broadcast_to((10 * np.arange(width))[None, :, None], (height, width, 3)).astype(np.uint8)


def flat(level: int, size: tuple[int, int] = (48, 32)) -> np.ndarray:
    """A picture of one gray."""
    return np.full((size[1], size[0], 3), level, np.uint8)


@pytest.mark.parametrize(
    ("size", "aspect", "scaled", "result", "enlarges"),
    [
        ((640, 480), 1, (853, 480), (640, 480), False),
        ((1280, 360), 1, (1280, 720), (1280, 360), False),
        ((1280, 1440), 1, (2560, 1440), (1280, 1440), True),
        (None, 1, (1280, 720), (1280, 720), False),
        (None, Fraction(3, 2), (1920, 720), (1920, 720), False),
        ((960, 360), Fraction(3, 2), (960, 360), (960, 360), False),
    ],
)
def test_sizes_are_covered(
    size: tuple[int, int] | None, aspect: Fraction, scaled: tuple[int, int], result: tuple[int, int], enlarges: bool
) -> None:
    """Protects: proportions as shown, nothing left uncovered, and enlarging known, for frames of 1280×720."""
    fit = Fit.cover(1280, 720, size, Fraction(aspect))
    assert (fit.scaled, fit.size, fit.enlarges) == (scaled, result, enlarges)


def test_the_middle_is_kept() -> None:
    """Protects: columns 2 to 5 of 8; and what has the size already comes back as it is."""
    pixels = columns(8, 4)
    assert Fit.cover(8, 4, (4, 4)).pixels(pixels)[0, :, 0].tolist() == [20, 30, 40, 50]
    assert np.array_equal(Fit.cover(8, 4, None).pixels(pixels), pixels)


def test_motion_is_scaled_and_never_mixed() -> None:
    """Protects the truth of flow: vectors of one surface or the other, in new pixels, valid where all of them were."""
    flow = np.zeros((4, 8, 2), np.float32)
    flow[:, :, :] = (4, -2)
    flow[:, 5:] = (-2, 0)
    valid = np.ones((4, 8), bool)
    valid[2, 7] = False
    fitted, kept = Fit.cover(8, 4, (4, 2)).motion(flow, valid)
    # Columns 0-1, 2-3, 4-5, 6-7 become one each: the third mixes both surfaces and takes one of the two.
    assert fitted[0, 0].tolist() == fitted[1, 1].tolist() == [2, -1]
    assert fitted[0, 3].tolist() == [-1, 0]
    assert fitted[0, 2].tolist() in ([2, -1], [-1, 0])
    # One pixel up from row 0 is outside; the pixel at the right of row 1 has an invalid quarter.
    assert kept[0, :2].tolist() == [False, False] and kept[1, :2].tolist() == [True, True]
    assert kept[0, 3] and not kept[1, 3]


def test_motion_out_of_the_crop_is_not_valid() -> None:
    """Protects training from pixels that were cut off: 2 to the left of the crop is in the frame, but not in it."""
    flow = np.full((4, 8, 2), (-2, 0), np.float32)
    fitted, kept = Fit.cover(8, 4, (4, 4)).motion(flow, np.ones((4, 8), bool))
    assert fitted.shape == (4, 4, 2) and (fitted == (-2, 0)).all()
    assert kept[0].tolist() == [False, False, True, True]


def test_near_duplicates_of_flat_pictures() -> None:
    """Protects the smallest limit, 1.2 of 255: one level is the same, two are not, whatever came between."""
    seen = Duplicates()
    assert [seen.is_new(flat(level)) for level in (100, 101, 102, 100, 103, 104)] == [
        True,
        False,
        True,
        False,
        False,
        True,
    ]


def test_near_duplicates_with_contrast() -> None:
    """Protects the largest limit, 3 of 255: half the picture brighter by 5 is 2.5 on the mean, by 7 is 3.5."""
    picture = flat(20)
    picture[:, 24:] = 200
    seen = Duplicates()
    assert seen.is_new(picture)
    for more, new in ((5, False), (7, True)):
        brighter = picture.copy()
        brighter[:, 24:] += np.uint8(more)
        assert seen.is_new(brighter) is new
    assert not seen.is_new(cv2.resize(picture, (96, 96), interpolation=cv2.INTER_NEAREST))
    assert seen.is_new(np.ascontiguousarray(picture[:, ::-1])), "the same mean is not the same picture"


def test_near_duplicates_are_remembered_for_long() -> None:
    """Protects long runs: 120 pictures are remembered, more than there is room for at first."""
    seen = Duplicates()
    assert all(seen.is_new(flat(2 * level)) for level in range(120))
    assert not any(seen.is_new(flat(2 * level)) for level in range(120))


def test_splits_by_hash() -> None:
    """Protects splits from ever changing: SHA-256 of a/1, a/2, … begins with 7732, 008a, 25c1, d19b, 7b7b, 600f."""
    units = {f"a/{n}": 10 for n in range(1, 7)}
    # As fractions: 0.466, 0.002, 0.147, 0.819, 0.482, 0.376.
    for share, test in ((0.0, set()), (0.1, {"a/2"}), (0.2, {"a/2", "a/3"}), (0.4, {"a/2", "a/3", "a/6"})):
        splits = split_units(units, share)
        assert {unit for unit, split in splits.items() if split == "test"} == test
        assert set(splits) == set(units)
    assert split_units({"a/2": 10, "b/1": 10}, 0.1) == {"a/2": "test", "b/1": "train"}, "whatever else there is"


def test_splits_leave_both_sides_something() -> None:
    """Protects: training has half at least, one shot trains, and of several one is for test."""
    assert split_units({"a/2": 10}, 0.1) == {"a/2": "train"}
    assert split_units({"a/2": 90, "a/3": 10, "b/1": 20}, 0.2) == {"a/2": "train", "a/3": "test", "b/1": "train"}
    assert split_units({"a/2": 5, "a/3": 5}, 0.2) == {"a/2": "train", "a/3": "test"}, "both drawn: the first goes back"
    assert split_units({"a/1": 9, "a/4": 3, "a/5": 3}, 0.1) == {"a/1": "train", "a/4": "test", "a/5": "train"}
    # Nothing is drawn: of 100 files a tenth is wanted, and 12 is nearer to 10 than 1 is.
    assert split_units({"a/1": 1, "a/4": 87, "a/5": 12}, 0.1) == {"a/1": "train", "a/4": "train", "a/5": "test"}
    assert split_units({"a/1": 9, "a/4": 3}, 0.0) == {"a/1": "train", "a/4": "train"}
    assert split_units({}, 0.1) == {}


def test_manifest_is_plain_csv(tmp_path: Path) -> None:
    """Protects the manifest: commas, quotes and letters of all kinds survive; what isn't known is empty."""
    origins = [Origin("é/1", 'a "b", é.mp4', 12, 0.4804, 1, mirrored=True), Origin("p", "photos/p.jpg")]
    entries = [
        Entry("train/é-000012.png", "ab" * 32, origins[0], "train"),
        Entry("test/p.png", "cd" * 32, origins[1], "test"),
    ]
    path = tmp_path / "manifest.csv"
    write_manifest(path, entries, "CC BY 4.0, me")
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["file", "sha256", "source", "frame", "seconds", "shot", "split", "mirrored", "license"]
    assert rows[0] == [
        "train/é-000012.png",
        "ab" * 32,
        'a "b", é.mp4',
        "12",
        "0.480",
        "1",
        "train",
        "1",
        "CC BY 4.0, me",
    ]
    assert rows[1] == ["test/p.png", "cd" * 32, "photos/p.jpg", "", "", "", "test", "0", "CC BY 4.0, me"]
    assert listed_files(path) == {"train/é-000012.png", "test/p.png"}


@pytest.mark.parametrize("content", [b"", b"name,price\nx,1\n", b"\xff\xfe\x00"])
def test_other_tables_are_no_manifest(tmp_path: Path, content: bytes) -> None:
    """Protects folders of others: what doesn't begin like a manifest is none."""
    (tmp_path / "manifest.csv").write_bytes(content)
    with pytest.raises(SinkError):
        listed_files(tmp_path / "manifest.csv")


def test_names_of_files() -> None:
    """Protects files from each other, also where upper and lower case are the same, and paths from odd names."""
    assert unique_stems(["a", "A", "a-2", "a b/c:d", "..", "épée"]) == ["a", "A-2", "a-2-2", "a-b-c-d", "clip", "épée"]
    assert unique_stems(["p", "p-mirrored", "q-mirrored", "Q"]) == ["p", "p-mirrored-2", "q-mirrored", "Q-2"]


def test_missing_clips_are_no_damage(tmp_path: Path) -> None:
    """Protects from misspelling: a clip that isn't there is an error, where a damaged one would be skipped."""
    with pytest.raises(SourceError, match=r"no file .*nothing\.mp4"):
        name_clips([str(tmp_path / "nothing.mp4")])
    with pytest.raises(SourceError):
        name_clips(["scene:nowhere"])
    (tmp_path / "scenery.mp4").write_bytes(b"")
    named = name_clips([str(tmp_path / "scenery.mp4"), "scene:pan", "-"])
    assert [(clip.title, clip.stem) for clip in named] == [
        ("scenery.mp4", "scenery"),
        ("scene:pan", "scene-pan"),
        ("standard input", "standard-input"),
    ]


def test_contact_sheet() -> None:
    """Protects what is seen: pictures for training before those for test, these in yellow, odd sizes whole."""
    pictures = {"a": flat(90, (64, 48)), "b": flat(90, (64, 48)), "c": flat(90, (30, 90))}
    entries = [Entry(name, "", Origin(name, name, 3, 0.1, 1), "train" if name == "b" else "test") for name in "abc"]
    sheet = draw_sheet(entries, lambda entry: pictures[entry.file])
    yellow = (sheet == (255, 214, 10)).all(axis=2)
    third = sheet.shape[1] // 3
    assert not yellow[:, :third].any() and yellow[:, third : 2 * third].any() and yellow[:, 2 * third :].any()
    gray = (sheet == 90).all(axis=2)
    assert gray[:, :third].sum() == 192 * 144, "a thumbnail is 192 wide, and as high as the first picture asks"
    assert 0 < gray[:, 2 * third :].any(axis=0).sum() <= 48, "an upright picture isn't cropped"


def test_contact_sheet_of_many() -> None:
    """Protects long sheets: of 190 pictures every third is drawn, the first and the last among them, once each."""
    entries = [Entry(str(number), "", Origin(str(number), "a.mp4"), "train") for number in range(190)]
    drawn: list[str] = []

    def show(entry: Entry) -> np.ndarray:
        drawn.append(entry.file)
        return flat(90, (8, 6))

    sheet = draw_sheet(entries, show)
    assert sorted(set(drawn), key=int) == [str(number) for number in range(0, 190, 3)]
    assert sheet.shape[1] > 8 * 192
