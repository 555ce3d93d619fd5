"""Folders of pictures as video, in and out: order, sizes, and that nothing of the user's is ever lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from allaprima.errors import SinkError, SourceError
from allaprima.frame import Frame
from allaprima.sink import SinkOptions
from allaprima.sinks.image_folder import ImageFolderSink
from allaprima.sources.image_folder import ImageFolderSource


def save(path: Path, level: int, size: tuple[int, int] = (20, 12)) -> None:
    """A flat gray picture."""
    Image.new("RGB", size, (level, level, level)).save(path)


def levels(path: Path) -> list[int]:
    """First pixel of each frame of a folder."""
    with ImageFolderSource(path) as source:
        return [int(frame.pixels[0, 0, 0]) for frame in source.frames()]


def fill(sink: ImageFolderSink, count: int) -> None:
    """Frames of level 0, 1, 2…"""
    for index in range(count):
        sink.write(Frame(np.full((12, 20, 3), index, np.uint8), pts=index))


def test_natural_order_and_times(tmp_path: Path) -> None:
    """Protects the order of frames: 2 before 10; hidden and other files are no frames."""
    for name, level in (("frame10.png", 3), ("frame2.png", 2), ("Frame1.PNG", 1), ("frame10b.bmp", 4)):
        save(tmp_path / name, level)
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "._frame0.png").write_bytes(b"resource fork")
    assert levels(tmp_path) == [1, 2, 3, 4]
    with ImageFolderSource(tmp_path) as source:
        assert (source.info.width, source.info.height, source.info.frames) == (20, 12, 4)
        assert source.info.frame_rate == 24
        frames = list(source.frames())
    assert [frame.seconds for frame in frames] == pytest.approx([0, 1 / 24, 2 / 24, 3 / 24])
    assert {frame.duration for frame in frames} == {1}


def test_trim(tmp_path: Path) -> None:
    """Protects --start and --end on folders."""
    for index in range(8):
        save(tmp_path / f"{index}.png", index)
    with ImageFolderSource(tmp_path, start=2 / 24, end=5 / 24) as source:
        frames = list(source.frames())
    assert [int(frame.pixels[0, 0, 0]) for frame in frames] == [2, 3, 4]
    assert [frame.pts for frame in frames] == [0, 1, 2]


def test_odd_one_out_is_named(tmp_path: Path) -> None:
    """Protects long runs: a picture of another size is found before painting, whatever its place."""
    for index in range(5):
        save(tmp_path / f"{index}.png", index, (8, 8) if index == 3 else (20, 12))
    with pytest.raises(SourceError, match=r"'3\.png' is 8×8, 4 of 5 .* are 20×12"):
        ImageFolderSource(tmp_path)


def test_turned_pictures_count_as_shown(tmp_path: Path) -> None:
    """Protects portrait photographs: sizes are compared after the EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (12, 20), (9, 9, 9)).save(tmp_path / "a.jpg", exif=exif)
    save(tmp_path / "b.png", 9)
    with ImageFolderSource(tmp_path) as source:
        assert [frame.pixels.shape for frame in source.frames()] == [(12, 20, 3)] * 2


def test_folders_that_are_no_video(tmp_path: Path) -> None:
    """Protects against silence: empty, missing and damaged are errors in one line."""
    with pytest.raises(SourceError, match="no picture in"):
        ImageFolderSource(tmp_path)
    with pytest.raises(SourceError, match="can't list"):
        ImageFolderSource(tmp_path / "missing")
    (tmp_path / "0.png").write_bytes(b"this is no PNG")
    with pytest.raises(SourceError, match=r"0\.png.*not a picture"):
        ImageFolderSource(tmp_path)


def test_damage_further_in_comes_after_the_whole_frames(tmp_path: Path) -> None:
    """Protects partial results: all frames before the damaged one arrive."""
    noise = np.random.default_rng(1).integers(0, 256, (40, 40, 3), np.uint8)
    for index in range(3):
        Image.fromarray(noise).save(tmp_path / f"{index}.png")
    data = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(data[: len(data) // 2])
    seen = []
    with ImageFolderSource(tmp_path) as source, pytest.raises(SourceError, match=r"2\.png.*cut short"):
        seen.extend(source.frames())
    with ImageFolderSource(tmp_path) as source:
        frames = source.frames()
        assert (next(frames).pixels == noise).all()
        assert (next(frames).pixels == noise).all()


def test_round_trip(tmp_path: Path) -> None:
    """Protects the pixels: what is written comes back unchanged, in order, and nothing else is left behind."""
    frames = [np.random.default_rng(i).integers(0, 256, (13, 21, 3), np.uint8) for i in range(3)]
    sink = ImageFolderSink(tmp_path / "out", SinkOptions())
    for index, pixels in enumerate(frames):
        sink.write(Frame(pixels, pts=index))
    assert not (tmp_path / "out").exists(), "the final name is given at the end"
    result = sink.finish()
    assert (result.path, result.frames) == (tmp_path / "out", 3)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [f"frame-00000{i}.png" for i in (1, 2, 3)]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    with ImageFolderSource(tmp_path / "out") as source:
        for frame, pixels in zip(source.frames(), frames, strict=True):
            assert (frame.pixels == pixels).all()


def test_overwrite_replaces_only_on_success(tmp_path: Path) -> None:
    """Protects an earlier result: refused without the flag, kept until the new one is whole, then replaced whole."""
    out = tmp_path / "out"
    first = ImageFolderSink(out, SinkOptions())
    fill(first, 4)
    first.finish()
    with pytest.raises(SinkError, match="--overwrite"):
        ImageFolderSink(out, SinkOptions())
    second = ImageFolderSink(out, SinkOptions(overwrite=True))
    fill(second, 2)
    assert levels(out) == [0, 1, 2, 3]
    second.finish()
    assert levels(out) == [0, 1]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_folder_with_other_things_is_never_replaced(tmp_path: Path) -> None:
    """Protects the user's own pictures from --overwrite."""
    save(tmp_path / "holiday.png", 1)
    with pytest.raises(SinkError, match=r"holds 'holiday\.png'"):
        ImageFolderSink(tmp_path, SinkOptions(overwrite=True))
    assert (tmp_path / "holiday.png").exists()


def test_empty_folder_is_taken(tmp_path: Path) -> None:
    """Protects the usual `mkdir out` before painting."""
    (tmp_path / "out").mkdir()
    sink = ImageFolderSink(tmp_path / "out", SinkOptions())
    fill(sink, 1)
    sink.finish()
    assert levels(tmp_path / "out") == [0]


def test_abandon_keeps_what_is_there(tmp_path: Path) -> None:
    """Protects a run that was cut short: its frames under another name, the final one untouched."""
    out = tmp_path / "out"
    for count in (3, 2):
        sink = ImageFolderSink(out, SinkOptions())
        fill(sink, count)
        result = sink.abandon()
        assert (result.path, result.frames) == (tmp_path / "out.partial", count)
        assert levels(tmp_path / "out.partial") == list(range(count))
        assert [p.name for p in tmp_path.iterdir()] == ["out.partial"]


def test_abandon_without_frames_leaves_nothing(tmp_path: Path) -> None:
    """Protects the destination from empty folders."""
    result = ImageFolderSink(tmp_path / "out", SinkOptions()).abandon()
    assert (result.path, result.frames) == (None, 0)
    assert list(tmp_path.iterdir()) == []


def test_destinations_that_are_refused(tmp_path: Path) -> None:
    """Protects against painting for hours and then failing."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="is a file"):
        ImageFolderSink(tmp_path / "file", SinkOptions())
    with pytest.raises(SinkError, match="can't write into"):
        ImageFolderSink(tmp_path / "missing" / "out", SinkOptions())
    (tmp_path / "out.partial").mkdir()
    save(tmp_path / "out.partial" / "mine.png", 1)
    with pytest.raises(SinkError, match=r"holds 'mine\.png'"):
        ImageFolderSink(tmp_path / "out", SinkOptions())
