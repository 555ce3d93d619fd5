"""Video that is damaged, or isn't video, and places that can't be written: one clear line, and nothing half-written."""

from __future__ import annotations

import os
import resource
import signal
from fractions import Fraction
from pathlib import Path

import av
import clips
import cv2
import numpy as np
import pytest

from allaprima.errors import SinkError, SourceError
from allaprima.sink import SinkOptions, SinkResult
from allaprima.sinks.video_file import VideoFileSink
from allaprima.sources.video_file import VideoFileSource


@pytest.mark.parametrize("kind", ["fast.mp4", "mkv", "ts", "avi", "nut"])
def test_truncated_in_the_middle(tmp_path: Path, kind: str) -> None:
    """Whole frames before the cut are given, then an error says so; what was written is kept apart and playable."""
    options = {"movflags": "faststart"} if kind == "fast.mp4" else {}
    whole = clips.make(
        tmp_path / f"in.{kind}",
        frames=60,
        size=(96, 64),
        picture=clips.noise,
        sound="libmp3lame",
        container_options=options,
    )
    data = whole.read_bytes()
    cut = tmp_path / f"cut.{kind}"
    cut.write_bytes(data[: len(data) // 2 // 188 * 188 + 100])
    out = tmp_path / "out.mp4"
    with VideoFileSource(str(cut)) as source:
        sink = VideoFileSink(out, source, source.info, clips.OVER)
        with pytest.raises(SourceError, match="ends early") as error:
            for frame in source.frames():
                sink.write(frame)
        result = sink.abandon()
    clips.error_line(error)
    assert 20 <= result.frames < 60 and not out.exists()
    assert result.path == tmp_path / "out.partial.mp4"
    assert len(clips.packets_of(result.path, "video")) == result.frames
    assert not list(tmp_path.glob(".out*"))


def test_damage_in_the_middle_does_not_stop(tmp_path: Path) -> None:
    """Frames after a damaged one are painted, and the result counts the damage."""
    path = clips.make(tmp_path / "in.mp4", frames=60, size=(96, 64), picture=clips.noise)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 9000] = np.random.default_rng(0).bytes(9000)
    path.write_bytes(data)
    result, numbers = clips.copy(path, tmp_path / "out.mp4")
    assert len(numbers) >= 58
    assert any("damaged" in note for note in result.notes)


def _sound_only(path: Path) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", 48000)
        stream.codec_context.layout = "mono"
        out.start_encoding()
        for packet in clips._sound_packets(stream, Fraction(1, 2), Fraction(0)):
            out.mux(packet)


def _no_frame(path: Path) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", 25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        out.start_encoding()


KEY = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "1f" * 16, "encryption_kid": "2e" * 16}


def _encrypted_raw(path: Path) -> None:
    """Raw pictures decode without an error whatever the key's bytes are, so that noise would be painted."""
    clips.make(path, codec="rawvideo", pixel_format="rgb24", container_options=KEY)


BAD = {
    "missing.mp4": (None, "doesn't exist"),
    "empty.mp4": (lambda p: p.write_bytes(b""), "empty"),
    "text.mp4": (lambda p: p.write_text("not a video " * 500), "isn't a video"),
    "notes.txt": (lambda p: p.write_text("not a video " * 500), "isn't a video"),
    "list.m3u8": (lambda p: p.write_text("#EXTM3U\n#EXTINF:5,\nhttp://example.com/a.ts\n"), "isn't a video"),
    "picture.png": (lambda p: cv2.imwrite(str(p), clips.numbered(1)), "picture"),
    "picture.jpg": (lambda p: cv2.imwrite(str(p), clips.numbered(1)), "picture"),
    "folder": (lambda p: p.mkdir(), "folder"),
    "sound.mp4": (_sound_only, "no video"),
    "none.mp4": (_no_frame, "no "),
    "encrypted.mp4": (lambda p: clips.make(p, container_options=KEY), "encrypted"),
    "encrypted.mov": (_encrypted_raw, "encrypted"),
    "header.mkv": (lambda p: p.write_bytes(clips.make(p).read_bytes()[:60]), "damaged"),
    "index.mp4": (lambda p: p.write_bytes(clips.make(p).read_bytes()[:-300]), "index"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(tmp_path: Path, name: str) -> None:
    """Each thing that isn't a readable video is refused in one line that says what it is."""
    make, words = BAD[name]
    if make is not None:
        make(tmp_path / name)
    with pytest.raises(SourceError) as error:
        VideoFileSource(str(tmp_path / name))
    assert words in clips.error_line(error)


def test_bad_places(tmp_path: Path) -> None:
    """An existing file, the input itself, a missing folder, an unknown suffix: refused, and nothing is left behind."""
    path = clips.make(tmp_path / "in.mp4")
    (tmp_path / "there.mp4").write_bytes(b"mine")
    (tmp_path / "link.mp4").symlink_to(path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with VideoFileSource(str(path)) as source:
        for name, options, words in (
            ("there.mp4", SinkOptions(), "--overwrite"),
            ("in.mp4", clips.OVER, "input itself"),
            ("link.mp4", clips.OVER, "input itself"),
            ("no/out.mp4", clips.OVER, "doesn't exist"),
            ("out.xyz", clips.OVER, ".mkv"),
            ("out.mp4", SinkOptions(codec="ffv1"), "can't hold ffv1"),
            ("out.mp4", SinkOptions(codec="theora"), "unknown codec"),
            ("out.mp4", SinkOptions(preset="quick"), "ultrafast"),
            ("out.mp4", SinkOptions(crf=99), "0 to 51"),
            ("out.mov", SinkOptions(codec="prores", crf=9), "no crf"),
        ):
            with pytest.raises(SinkError) as error:
                VideoFileSink(tmp_path / name, source, source.info, options)
            assert words in clips.error_line(error)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="this machine's root may write anywhere")
def test_folder_without_permission(tmp_path: Path) -> None:
    """A folder that can't be written to is known before painting."""
    path = clips.make(tmp_path / "in.mp4")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with VideoFileSource(str(path)) as source, pytest.raises(SinkError, match="permission"):
        VideoFileSink(closed / "out.mp4", source, source.info, clips.OVER)


def test_full_disk(tmp_path: Path) -> None:
    """When space runs out there is one clear line, the old file stays, and no part is left."""
    path = clips.make(tmp_path / "in.mp4", frames=40, size=(160, 120), picture=clips.noise)
    out = tmp_path / "out.mp4"
    out.write_bytes(b"old")
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, old[1]))
        with pytest.raises(SinkError, match="no space") as error:
            clips.copy(path, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    clips.error_line(error)
    assert out.read_bytes() == b"old" and sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_abandon_without_a_frame_keeps_nothing(tmp_path: Path) -> None:
    """Stopped before the first frame, nothing is left."""
    path = clips.make(tmp_path / "in.mp4")
    with VideoFileSource(str(path)) as source:
        sink = VideoFileSink(tmp_path / "out.mp4", source, source.info, clips.OVER)
        assert sink.abandon() == SinkResult(None, 0, ())
    assert [p.name for p in tmp_path.iterdir()] == ["in.mp4"]
