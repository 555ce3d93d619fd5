"""Colors, turns and fields: what is painted is what a player shows, and what is written says how to show it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import clips
import numpy as np
import pytest

from allaprima.errors import SourceError
from allaprima.frame import Color, Frame, SourceInfo
from allaprima.sink import SinkOptions
from allaprima.sinks.video_file import VideoFileSink
from allaprima.sources.video_file import VideoFileSource
from allaprima.video.color import matrix_for_size

PALETTE = [
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (255, 255, 0),
    (0, 255, 255),
    (255, 0, 255),
    (128, 64, 200),
    (20, 90, 60),
]
WEIGHTS = {"bt709": (0.2126, 0.7152, 0.0722), "bt601": (0.299, 0.587, 0.114)}


def bars(index: int = 0, width: int = 256, height: int = 64) -> np.ndarray:
    """Saturated colors above a gray ramp: uint8, H×W×3."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[: height // 2] = np.repeat(np.array(PALETTE, np.uint8), width // 8, axis=0)
    picture[height // 2 :] = np.linspace(0, 255, width).round().astype(np.uint8)[:, None]
    return picture


def inside(picture: np.ndarray) -> np.ndarray:
    """The bars without their edges, which shared chroma blurs."""
    return picture[4:28].reshape(24, 8, 32, 3)[:, :, 6:-6].astype(int)


@pytest.mark.parametrize("matrix", ["bt709", "bt601"])
@pytest.mark.parametrize("full", [False, True])
def test_written_colors_are_right_and_tagged(tmp_path: Path, matrix: str, full: bool) -> None:
    """Luma follows the formula of the stated matrix and range, the tags say so, and it reads back as it was."""
    out = tmp_path / "out.mp4"
    info = SourceInfo(256, 64, Fraction(25), Fraction(1, 25))
    with VideoFileSource(str(clips.make(tmp_path / "in.mp4"))) as source:
        sink = VideoFileSink(out, source, info, SinkOptions(crf=0))
        for i in range(3):
            sink.write(Frame(bars(), i, 1, Fraction(1, 25), Color(matrix, full)))
        sink.finish()
    with av.open(str(out)) as container:
        context = container.streams.video[0].codec_context
        assert context.colorspace == (1 if matrix == "bt709" else 6)
        assert context.color_range == (2 if full else 1)
        assert context.color_primaries in (1, 6) and context.color_trc in (1, 6)
        luma = next(container.decode(video=0)).to_ndarray()[16, 16:256:32].astype(float)
    expected = np.array(PALETTE) @ np.array(WEIGHTS[matrix])
    expected = expected if full else 16 + expected * 219 / 255
    assert np.abs(luma - expected).max() <= 1
    with VideoFileSource(str(out)) as back:
        frame = next(back.frames())
    assert frame.color == Color(matrix, full)
    assert np.abs(inside(frame.pixels) - inside(bars())).max() <= 3
    assert np.abs(frame.pixels[36:60].astype(int) - bars()[36:60]).max() <= 3


def test_untagged_video_is_taken_by_its_size(tmp_path: Path) -> None:
    """SD without tags is BT.601 and HD is BT.709."""
    assert matrix_for_size(720, 576) == "bt601" and matrix_for_size(1280, 720) == "bt709"
    path = clips.make(tmp_path / "in.mp4", size=(256, 64), frames=2, picture=bars, options={"crf": "0"})
    with VideoFileSource(str(path)) as source:
        frame = next(source.frames())
    assert frame.color == Color("bt601")
    assert np.abs(inside(frame.pixels) - inside(bars())).max() <= 3


def test_ten_bits_are_dithered(tmp_path: Path) -> None:
    """A slow 10-bit ramp comes out right on average, with the note; and so do saturated colors."""
    path = clips.make(
        tmp_path / "in.mkv", size=(256, 64), frames=2, picture=bars, codec="ffv1", pixel_format="yuv420p10le"
    )
    with VideoFileSource(str(path)) as source:
        assert any("10-bit" in note for note in source.info.notes)
        frame = next(source.frames())
    assert np.abs(inside(frame.pixels) - inside(bars())).max() <= 4
    assert abs(frame.pixels[36:60].astype(float).mean() - bars()[36:60].mean()) < 0.6


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused(tmp_path: Path, transfer: int, name: str) -> None:
    """HDR isn't painted as if it were standard range; the message says what to do."""
    colors = {"colorspace": 9, "color_primaries": 9, "color_trc": transfer}
    path = clips.make(tmp_path / "in.mkv", frames=3, codec="libx265", pixel_format="yuv420p10le", colors=colors)
    with pytest.raises(SourceError, match=name):
        VideoFileSource(str(path))


def corner(index: int, width: int, height: int) -> np.ndarray:
    """White in the upper left quarter, black elsewhere."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = 255
    return picture


@pytest.mark.parametrize(
    ("degrees", "size", "where"),
    [(0, (64, 48), (0, 0)), (90, (48, 64), (1, 0)), (180, (64, 48), (1, 1)), (-90, (48, 64), (0, 1))],
)
def test_rotation_is_applied_and_its_tag_dropped(
    tmp_path: Path, degrees: int, size: tuple[int, int], where: tuple[int, int]
) -> None:
    """The white quarter is where the display matrix (counterclockwise) puts it, here and in the result."""
    path = clips.make(tmp_path / "in.mp4", rotation=degrees, picture=corner, aspect=Fraction(4, 3))
    out = tmp_path / "out.mp4"
    with VideoFileSource(str(path)) as source:
        assert (source.info.width, source.info.height) == size
        assert source.info.sample_aspect == (Fraction(3, 4) if abs(degrees) == 90 else Fraction(4, 3))
        sink = VideoFileSink(out, source, source.info, SinkOptions())
        frames = list(source.frames())
        for frame in frames:
            sink.write(frame)
        sink.finish()
    height, width = frames[0].pixels.shape[:2]
    quarter = frames[0].pixels[where[0] * height // 2 :, where[1] * width // 2 :][
        4 : height // 2 - 4, 4 : width // 2 - 4
    ]
    assert quarter.mean() > 250 and abs(frames[0].pixels.mean() - 64) < 8
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        assert next(container.decode(video=0)).rotation == 0
        assert stream.sample_aspect_ratio == source.info.sample_aspect


def test_interlaced_video_is_deinterlaced_frame_for_frame(tmp_path: Path) -> None:
    """Combs between fields go away, and there are as many frames, at the same times."""

    def combed(index: int, width: int, height: int) -> np.ndarray:
        picture = np.zeros((height, width, 3), np.uint8)
        picture[0::2, 2 * index : 2 * index + 16] = 255
        picture[1::2, 2 * index + 8 : 2 * index + 24] = 255
        return picture

    path = clips.make(tmp_path / "in.mkv", interlaced=True, picture=combed, size=(96, 64))
    with VideoFileSource(str(path)) as source:
        assert any("deinterlaced" in note for note in source.info.notes)
        frames = list(source.frames())
    assert [f.pts * f.time_base for f in frames] == clips.times_of(path)
    middle = frames[12].pixels[8:-8, :, 1].astype(int)
    raw = combed(12, 96, 64)[8:-8, :, 1].astype(int)
    assert np.abs(np.diff(middle, axis=0)).mean() < 0.6 * np.abs(np.diff(raw, axis=0)).mean()


def test_ffv1_keeps_every_pixel(tmp_path: Path) -> None:
    """The lossless codec is lossless: RGB in, the same RGB out."""
    out = tmp_path / "out.mkv"
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (33, 47, 3), np.uint8) for _ in range(4)]
    with VideoFileSource(str(clips.make(tmp_path / "in.mp4"))) as source:
        info = SourceInfo(47, 33, Fraction(25), Fraction(1, 25))
        sink = VideoFileSink(out, source, info, SinkOptions(codec="ffv1"))
        for i, picture in enumerate(pictures):
            sink.write(Frame(picture, i, 1, Fraction(1, 25)))
        sink.finish()
    with VideoFileSource(str(out)) as back:
        for picture, frame in zip(pictures, back.frames(), strict=True):
            assert np.array_equal(picture, frame.pixels)
