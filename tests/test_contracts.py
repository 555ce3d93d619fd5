"""What every source and every sink promises; a new one is done when it is in these lists."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import NumberedSource
from test_cli import write_clip

from allaprima.errors import SinkError, SourceError
from allaprima.frame import Frame
from allaprima.sink import Sink, SinkOptions, open_sink
from allaprima.source import open_source

FRAMES = 12


def folder_of_pictures(folder: Path) -> str:
    """Twelve numbered pictures."""
    pictures = folder / "pictures"
    pictures.mkdir()
    for number in range(FRAMES):
        cv2.imwrite(str(pictures / f"{number}.png"), np.full((48, 64, 3), number * 9, np.uint8))
    return str(pictures)


SOURCES: dict[str, Callable[[Path], str]] = {
    "video file": lambda folder: str(write_clip(folder / "in.mp4", FRAMES)),
    "folder of pictures": folder_of_pictures,
    "scene": lambda folder: "scene:objects",
}
SINKS = {"mp4": "out.mp4", "mkv": "out.mkv", "folder of pictures": "out"}


@pytest.mark.parametrize("kind", SOURCES)
def test_frames_are_whole_in_order_and_as_announced(kind: str, tmp_path: Path) -> None:
    """Pixels, size and times that everything downstream relies on."""
    with open_source(SOURCES[kind](tmp_path)) as source:
        frames = list(source.frames())
        info = source.info
    assert info.frames is not None and abs(len(frames) - info.frames) <= 1
    for frame in frames:
        assert frame.pixels.dtype == np.uint8
        assert frame.pixels.shape == (info.height, info.width, 3)
        assert frame.duration > 0 and frame.time_base > 0
    times = [frame.pts * frame.time_base for frame in frames]
    assert times == sorted(set(times))
    assert (times[1] - times[0]) == 1 / info.frame_rate


@pytest.mark.parametrize("kind", SOURCES)
def test_a_cut_holds_the_frames_inside_it_from_time_zero(kind: str, tmp_path: Path) -> None:
    """--start and --end mean the same for every source."""
    name = SOURCES[kind](tmp_path)
    with open_source(name) as source:
        step = float(1 / source.info.frame_rate)
        whole = [frame.pixels for frame in source.frames()]
    with open_source(name, start=3 * step, end=7 * step) as source:
        part = list(source.frames())
    assert len(part) == 4
    assert part[0].pts == 0
    for offset, frame in enumerate(part):
        assert np.abs(frame.pixels.astype(int) - whole[3 + offset]).max() <= 1


@pytest.mark.parametrize("kind", SOURCES)
def test_a_cut_beyond_the_end_is_refused(kind: str, tmp_path: Path) -> None:
    """Rather than an empty result."""
    with pytest.raises(SourceError):
        list(open_source(SOURCES[kind](tmp_path), start=999).frames())


@pytest.mark.parametrize("kind", SOURCES)
def test_closing_twice_and_early_is_fine(kind: str, tmp_path: Path) -> None:
    """A run may end anywhere."""
    source = open_source(SOURCES[kind](tmp_path))
    next(source.frames())
    source.close()
    source.close()


@pytest.mark.parametrize("name", ["nothing-here.mp4", "scene:habor", "empty"])
def test_what_is_not_there_is_a_source_error(name: str, tmp_path: Path) -> None:
    """One error type for whatever can't be read."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError):
        open_source(name if name.startswith("scene") else str(tmp_path / name))


def gray(number: int) -> Frame:
    """One frame."""
    return Frame(np.full((24, 32, 3), 20 * number % 256, np.uint8), number, 1, Fraction(1, 25))


def opened(path: Path, *, overwrite: bool = False) -> Sink:
    """A sink for gray frames."""
    source = NumberedSource(FRAMES)
    return open_sink(path, source, source.info, SinkOptions(overwrite=overwrite))


@pytest.mark.parametrize("kind", SINKS)
def test_a_finished_sink_holds_every_frame_under_its_final_name(kind: str, tmp_path: Path) -> None:
    """And nothing else is left beside it."""
    path = tmp_path / SINKS[kind]
    sink = opened(path)
    for number in range(FRAMES):
        sink.write(gray(number))
        assert not path.exists()
    result = sink.finish()
    assert (result.path, result.frames) == (path, FRAMES)
    assert list(tmp_path.iterdir()) == [path]
    with open_source(str(path)) as source:
        assert len(list(source.frames())) == FRAMES


@pytest.mark.parametrize("kind", SINKS)
def test_an_abandoned_sink_keeps_a_readable_part(kind: str, tmp_path: Path) -> None:
    """Under a name that says so; the final name is untouched."""
    path = tmp_path / SINKS[kind]
    sink = opened(path)
    for number in range(5):
        sink.write(gray(number))
    result = sink.abandon()
    assert result.path is not None and ".partial" in result.path.name and result.frames == 5
    assert list(tmp_path.iterdir()) == [result.path]
    with open_source(str(result.path)) as source:
        assert len(list(source.frames())) == 5


@pytest.mark.parametrize("kind", SINKS)
def test_a_sink_abandoned_without_a_frame_leaves_nothing(kind: str, tmp_path: Path) -> None:
    """An empty part would only be in the way."""
    assert opened(tmp_path / SINKS[kind]).abandon().path is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", SINKS)
def test_what_is_there_is_replaced_only_when_told_and_only_when_whole(kind: str, tmp_path: Path) -> None:
    """Until the new result is whole, the old one stays."""
    path = tmp_path / SINKS[kind]
    first = opened(path)
    first.write(gray(1))
    first.finish()
    with pytest.raises(SinkError):
        opened(path)
    second = opened(path, overwrite=True)
    second.write(gray(2))
    second.write(gray(3))
    with open_source(str(path)) as source:
        assert len(list(source.frames())) == 1
    second.finish()
    with open_source(str(path)) as source:
        assert len(list(source.frames())) == 2


@pytest.mark.parametrize("kind", SINKS)
def test_a_destination_that_is_not_there_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    """Before anything is painted."""
    with pytest.raises(SinkError):
        opened(tmp_path / "nowhere" / SINKS[kind])
