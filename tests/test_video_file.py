"""Video files in and out: every frame, its time and the streams beside it are kept; bad input is refused."""

from __future__ import annotations

import io
import os
import sys
import threading
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import clips
import pytest

from allaprima.errors import SinkError, SourceError, UsageError
from allaprima.frame import Frame, SourceInfo
from allaprima.sink import SinkOptions
from allaprima.sinks.video_file import VideoFileSink
from allaprima.sources.video_file import VideoFileSource
from allaprima.video.containers import LAYOUTS
from allaprima.video.side import SideChannel

CONTAINERS: dict[str, dict[str, Any]] = {
    "mp4": {"sound": "aac"},
    "mov": {"sound": "pcm_s16le"},
    "mkv": {"sound": "libopus", "time_base": Fraction(1, 1000)},
    "webm": {"sound": "libopus", "codec": "libvpx-vp9", "time_base": Fraction(1, 1000)},
    "ts": {"sound": "aac", "time_base": Fraction(1, 90000)},
    "nut": {"sound": "aac"},
    "avi": {"sound": "libmp3lame", "options": {"bf": "0"}},
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_every_container_keeps_frames_times_and_sound(tmp_path: Path, kind: str) -> None:
    """Within a container all frames come out in order, at the same times, with the sound's packets byte for byte."""
    path = clips.make(tmp_path / f"in.{kind}", **CONTAINERS[kind])
    out = tmp_path / f"out.{kind}"
    result, numbers = clips.copy(path, out)
    assert numbers == list(range(24))
    assert result.frames == 24 and len(clips.packets_of(out, "video")) == 24
    assert clips.packets_of(out, "audio") == clips.packets_of(path, "audio")
    with VideoFileSource(str(path)) as first, VideoFileSource(str(out)) as second:
        before = [f.pts * f.time_base for f in first.frames()]
        after = [(f.pts * f.time_base, clips.number_of(f.pixels)) for f in second.frames()]
    assert [n for _, n in after] == list(range(24))
    if kind != "avi":
        assert [t for t, _ in after] == before


def test_variable_rate_start_offset_and_last_duration(tmp_path: Path) -> None:
    """Uneven times, a start that isn't zero, B-frames, and how long the last picture shows all survive MP4."""
    times = [500 + i * 40 + (i % 3) * 7 for i in range(24)]
    path = clips.make(tmp_path / "in.mp4", times=times, time_base=Fraction(1, 1000), last_duration=333, sound="aac")
    _, numbers = clips.copy(path, tmp_path / "out.mp4")
    assert numbers == list(range(24))
    for file in (path, tmp_path / "out.mp4"):
        assert clips.times_of(file) == [Fraction(t, 1000) for t in times]
        with VideoFileSource(str(file)) as source:
            last = list(source.frames())[-1]
        assert last.duration * last.time_base == Fraction(333, 1000)


def test_film_rate_is_exact_in_mp4_and_rounded_to_a_millisecond_in_matroska(tmp_path: Path) -> None:
    """23.976 frames a second stay exact where the container can, and the rounding is said where it can't."""
    path = clips.make(tmp_path / "in.mp4", rate=Fraction(24000, 1001))
    result, _ = clips.copy(path, tmp_path / "out.mp4")
    assert not result.notes and clips.times_of(tmp_path / "out.mp4") == [Fraction(1001 * i, 24000) for i in range(24)]
    result, _ = clips.copy(path, tmp_path / "out.mkv")
    assert any("1 ms" in note for note in result.notes)
    exact = clips.times_of(path)
    assert all(
        abs(a - b) <= Fraction(1, 2000) for a, b in zip(exact, clips.times_of(tmp_path / "out.mkv"), strict=True)
    )


def test_sound_that_starts_later_keeps_its_offset(tmp_path: Path) -> None:
    """Sound half a second behind the picture stays there."""
    path = clips.make(tmp_path / "in.mp4", sound="aac", sound_start=Fraction(1, 2))
    clips.copy(path, tmp_path / "out.mp4")
    assert clips.times_of(tmp_path / "out.mp4", "audio") == clips.times_of(path, "audio")


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_description_travels(tmp_path: Path, kind: str) -> None:
    """Subtitles, chapters, tags, languages, dispositions and cover art arrive; cover art isn't painted."""
    text = "mov_text" if kind == "mp4" else "subrip"
    path = clips.make(
        tmp_path / f"in.{kind}",
        sound="aac",
        subtitles=text,
        chapters=True,
        cover=kind == "mp4",
        metadata={"title": "A title", "mine": "kept"},
        container_options={"movflags": "use_metadata_tags"} if kind == "mp4" else {},
    )
    result, numbers = clips.copy(path, tmp_path / f"out.{kind}")
    assert numbers == list(range(24)) and not result.notes
    assert clips.packets_of(path, "subtitle") == clips.packets_of(tmp_path / f"out.{kind}", "subtitle")
    with av.open(str(path)) as a, av.open(str(tmp_path / f"out.{kind}")) as b:
        assert b.metadata.get("title") == "A title"
        assert {k.lower(): v for k, v in b.metadata.items()}.get("mine") == "kept"
        spans = [
            [(c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"]) for c in f.chapters()]
            for f in (a, b)
        ]
        assert spans[0] == spans[1] and len(spans[0]) == 2
        for one, two in zip(a.streams, b.streams, strict=True):
            assert (one.type, one.language, one.disposition) == (two.type, two.language, two.disposition)


@pytest.mark.parametrize(
    ("kind", "out", "sound", "text"),
    [
        ("ts", "mp4", "aac", None),
        ("ts", "mkv", "aac", None),
        ("mp4", "ts", "aac", None),
        ("mp4", "mkv", "aac", "mov_text"),
        ("mkv", "mp4", "aac", "subrip"),
        ("mkv", "webm", "libopus", "subrip"),
        ("mkv", "mp4", "aac", "ass"),
    ],
)
def test_across_containers(tmp_path: Path, kind: str, out: str, sound: str, text: str | None) -> None:
    """Another container holds the same coded sound (ADTS headers aside) and text subtitles, which the notes mention."""
    path = clips.make(tmp_path / f"in.{kind}", sound=sound, subtitles=text)
    result, numbers = clips.copy(path, tmp_path / f"out.{out}")
    assert numbers == list(range(24))
    before, after = (
        [data[7:] if data[:2] in (b"\xff\xf1", b"\xff\xf9") else data for data in clips.packets_of(file, "audio")]
        for file in (path, tmp_path / f"out.{out}")
    )
    assert before == after
    if text:
        assert any("converted" in note for note in result.notes)
        words = b"".join(clips.packets_of(tmp_path / f"out.{out}", "subtitle"))
        assert b"hello" in words and b"world" in words
        shown = clips.times_of(tmp_path / f"out.{out}", "subtitle")
        assert any(abs(t - Fraction(1, 10)) < Fraction(1, 20) for t in shown)


def test_what_a_container_cannot_hold_is_refused_or_dropped(tmp_path: Path) -> None:
    """AAC in WebM is an error before painting that names containers, or is left out on request."""
    path = clips.make(tmp_path / "in.mp4", sound="aac")
    out = tmp_path / "out.webm"
    with VideoFileSource(str(path)) as source:
        with pytest.raises(SinkError) as error:
            VideoFileSink(out, source, source.info, SinkOptions(codec="vp9"))
        assert ".mkv" in clips.error_line(error) and "--drop-unsupported" in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == ["in.mp4"]
    result, _ = clips.copy(path, out, SinkOptions(codec="vp9", drop_unsupported=True))
    assert any("left out" in note for note in result.notes) and not clips.packets_of(out, "audio")


def test_badly_interleaved_sound_survives(tmp_path: Path) -> None:
    """All sound before the first picture is kept, and so is sound that lasts longer than the picture."""
    path = clips.make(tmp_path / "in.mkv", sound="libopus", sound_first=True)
    clips.copy(path, tmp_path / "out.mkv")
    assert clips.packets_of(path, "audio") == clips.packets_of(tmp_path / "out.mkv", "audio")
    late = clips.make(tmp_path / "late.mkv", sound="libopus", sound_start=Fraction(3))
    clips.copy(late, tmp_path / "out.mkv")
    assert clips.packets_of(late, "audio") == clips.packets_of(tmp_path / "out.mkv", "audio")


def test_side_channel_spills_to_disk_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past its share of memory the queue uses a file, and packets come out as they went in."""
    monkeypatch.setattr("allaprima.video.side._MEMORY", 1000)
    channel = SideChannel(())
    channel.attach({0})
    for i in range(50):
        packet: Any = av.Packet(bytes([i]) * 100)
        packet.pts, packet.dts, packet.time_base, packet.duration = i, i, Fraction(1, 50), 1
        channel.put(packet)
        if i % 3 == 0:
            assert (taken := channel.take()) is not None and taken[1].pts == i // 3
    rest = []
    while (entry := channel.take()) is not None:
        rest.append((entry[1].pts, bytes(entry[1])))
    assert rest == [(i, bytes([i]) * 100) for i in range(17, 50)]


@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts", "nut", "avi"])
def test_start_and_end_choose_exact_frames(tmp_path: Path, kind: str) -> None:
    """From a frame's time to another's, wherever the keyframes are; the result starts at zero."""
    path = clips.make(tmp_path / f"in.{kind}", **{**CONTAINERS[kind], "frames": 28})
    for start, end, wanted in (
        (0.2, None, range(5, 28)),
        (0.6, 0.8, range(15, 20)),
        (0.0, 0.4, range(10)),
        (1.08, None, [27]),
    ):
        with VideoFileSource(str(path), start=start, end=end) as source:
            frames = list(source.frames())
        assert [clips.number_of(f.pixels) for f in frames] == list(wanted)
        assert frames[0].pts == 0


def test_cut_sound_stays_in_sync(tmp_path: Path) -> None:
    """Sound is cut at packets: those from the first frame kept to the end, moved by as much as the picture."""
    path = clips.make(tmp_path / "in.mp4", sound="aac", subtitles="mov_text", chapters=True)
    clips.copy(path, tmp_path / "out.mp4", start=0.32, end=0.6)
    kept = [t for t in clips.times_of(path, "audio") if Fraction(32, 100) <= t < Fraction(60, 100)]
    moved = clips.times_of(tmp_path / "out.mp4", "audio")
    assert len(moved) == len(kept)
    assert all(abs(a - Fraction(32, 100) - b) < Fraction(1, 40000) for a, b in zip(kept, moved, strict=True))
    sound = clips.packets_of(path, "audio")
    assert b"".join(clips.packets_of(tmp_path / "out.mp4", "audio")) in b"".join(sound)


def test_start_and_end_that_make_no_sense(tmp_path: Path) -> None:
    """An end before the start is a usage error; a start past the end of the file is said so."""
    path = clips.make(tmp_path / "in.mp4")
    with pytest.raises(UsageError):
        VideoFileSource(str(path), start=1, end=1)
    with pytest.raises(SourceError, match=r"lasts 0\.96 s"):
        list(VideoFileSource(str(path), start=30).frames())
    with pytest.raises(SourceError, match="nothing shows"):
        list(VideoFileSource(str(path), start=0.99).frames())


@pytest.mark.parametrize("kind", ["mkv", "ts", "nut"])
def test_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A container on a pipe is read without seeking, sound and all."""
    path = clips.make(tmp_path / f"in.{kind}", **CONTAINERS[kind])
    read, write = os.pipe()

    def feed() -> None:
        with os.fdopen(write, "wb") as pipe:
            pipe.write(path.read_bytes())

    feeder = threading.Thread(target=feed)
    feeder.start()
    with os.fdopen(read, "rb") as pipe:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=pipe))
        _, numbers = clips.copy("-", tmp_path / f"out.{kind}")
        feeder.join()
    assert numbers == list(range(24))
    assert clips.packets_of(tmp_path / f"out.{kind}", "audio") == clips.packets_of(path, "audio")


def test_mp4_with_its_index_at_the_end_cannot_come_through_a_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says what to do instead."""
    data = io.BytesIO(clips.make(tmp_path / "in.mp4").read_bytes()[:400])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=data))
    with pytest.raises(SourceError, match="standard input") as error:
        VideoFileSource("-")
    clips.error_line(error)


@pytest.mark.parametrize(("suffix", "codec"), [(s, c) for s, layout in LAYOUTS.items() for c in layout.videos])
def test_every_codec_in_every_container_that_claims_it(tmp_path: Path, suffix: str, codec: str) -> None:
    """The tables of containers tell the truth: what they allow can be written and read back, odd sizes included."""
    out = tmp_path / f"out{suffix}"
    info = SourceInfo(65, 49, Fraction(25), Fraction(1, 25))
    with VideoFileSource(str(clips.make(tmp_path / "in.mp4"))) as source:
        sink = VideoFileSink(out, source, info, SinkOptions(codec=codec))
        for i in range(6):
            sink.write(Frame(clips.numbered(i, 65, 49), i, 1, Fraction(1, 25)))
        result = sink.finish()
    assert any("added" in note for note in result.notes) == (codec != "ffv1")
    with VideoFileSource(str(out)) as back:
        assert [clips.number_of(f.pixels) for f in back.frames()] == list(range(6))


def test_one_pixel(tmp_path: Path) -> None:
    """The smallest video works."""
    path = clips.make(tmp_path / "in.mkv", size=(1, 1), codec="ffv1", pixel_format="bgr0")
    result, numbers = clips.copy(path, tmp_path / "out.mp4")
    assert numbers == list(range(24)) and result.frames == 24
    with VideoFileSource(str(path)) as source, pytest.raises(SinkError, match="16x16"):
        VideoFileSink(tmp_path / "small.mp4", source, source.info, SinkOptions(codec="hevc"))
