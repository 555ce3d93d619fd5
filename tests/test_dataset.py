"""Data sets from clips and folders: what is taken, what is left out, and that only whole ones get their name."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import clips
import cv2
import numpy as np
import pytest
import typer
from PIL import Image

from allaprima.cli.dataset import app
from allaprima.dataset.clips import read_shots
from allaprima.dataset.pairs import make_pairs
from allaprima.dataset.pictures import make_from_clips, make_from_folders
from allaprima.dataset.report import Report, Watch
from allaprima.dataset.sequences import find_sequences
from allaprima.errors import AllaprimaError, PartialRunError, SinkError, SourceError
from allaprima.frame import Frame, SourceInfo
from allaprima.picture import read_picture
from allaprima.source import Source, open_source

WIDTH, HEIGHT = 96, 64
COLORS = ((60, 90, 170), (170, 150, 60), (200, 200, 200), (160, 50, 60))
STEP = 4


def scenery(seed: int) -> np.ndarray:
    """Smooth noise around a color of its own, 300 pixels wide."""
    noise = np.random.default_rng(seed).standard_normal((HEIGHT, 300, 1)).astype(np.float32)
    layers = [cv2.GaussianBlur(noise, (0, 0), sigma) for sigma in (3, 8)]
    total = sum(layer / layer.std() for layer in layers)
    return np.clip(np.array(COLORS[seed % 4]) + 22 * total[..., None], 0, 255).astype(np.uint8)


def film(*lengths: int, step: int = STEP) -> Callable[[int, int, int], np.ndarray]:
    """Shots of so many frames each, every one a pan by ``step`` pixels a frame over a scenery of its own."""
    shots = [(seed, frame) for seed, length in enumerate(lengths) for frame in range(length)]
    scenes = [scenery(seed) for seed in range(len(lengths))]

    def picture(index: int, width: int, height: int) -> np.ndarray:
        seed, frame = shots[index]
        return np.ascontiguousarray(scenes[seed][:height, step * frame : step * frame + width])

    return picture


def make_film(path: Path, *lengths: int, step: int = STEP, **changes: Any) -> Path:
    """A clip of such shots, at 25 frames a second."""
    frames = sum(lengths)
    return clips.make(path, frames=frames, size=(WIDTH, HEIGHT), picture=film(*lengths, step=step), **changes)


def manifest(out: Path) -> list[dict[str, str]]:
    """The rows of a data set's manifest, each checked against its file."""
    with (out / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert hashlib.sha256((out / row["file"]).read_bytes()).hexdigest() == row["sha256"]
        assert row["file"].startswith(row["split"] + "/")
    there = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert there == {row["file"] for row in rows} | {"manifest.csv", "contact-sheet.jpg"}
    return rows


def test_shots_are_counted_at_cuts(tmp_path: Path) -> None:
    """Protects the split: three shots of 5, 4 and 6 frames, and no neighbor across a cut."""
    with open_source(str(make_film(tmp_path / "a.mp4", 5, 4, 6))) as source:
        moments = list(read_shots(source))
    assert [moment.shot for moment in moments] == [1] * 5 + [2] * 4 + [3] * 6
    assert [moment.index for moment in moments if moment.before is None] == [0, 5, 9]


def test_frames_of_a_clip(tmp_path: Path) -> None:
    """Protects the whole: every second frame, in whole shots, mirrored beside it, cropped, with its manifest."""
    clip = make_film(tmp_path / "a.mp4", 6, 6, 6)
    out = tmp_path / "set"
    report = make_from_clips([str(clip)], out, every=2, size=(64, 64), mirror=True, license_text="CC0", watch=Watch())
    rows = manifest(out)
    # Of a/1, a/2 and a/3 the hash of a/2 alone is below a tenth.
    assert report.files == {"train": 12, "test": 6} and report.units == {"train": 2, "test": 1}
    assert (report.read, report.duplicates, report.skipped) == (18, 0, [])
    taken = [(row["file"], row["frame"], row["shot"], row["mirrored"]) for row in rows]
    assert taken[:2] == [
        ("train/a-000000.png", "0", "1", "0"),
        ("train/a-000000-mirrored.png", "0", "1", "1"),
    ]
    assert [row["file"] for row in rows if row["split"] == "test" and row["mirrored"] == "0"] == [
        f"test/a-{index:06d}.png" for index in (6, 8, 10)
    ]
    assert rows[2]["seconds"] == "0.080" and {row["license"] for row in rows} == {"CC0"}
    assert {row["source"] for row in rows} == {"a.mp4"}
    picture = read_picture(out / "train/a-000004.png").pixels
    assert picture.shape == (64, 64, 3)
    with open_source(str(clip)) as source:
        frame = [frame.pixels for frame in source.frames()][4]
    assert np.array_equal(picture, frame[:, 16:80])
    assert np.array_equal(read_picture(out / "train/a-000004-mirrored.png").pixels, picture[:, ::-1])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "set"]


def test_the_same_again_is_left_out(tmp_path: Path) -> None:
    """Protects from waiting games, and from a clip given twice: 8 frames of one picture, then 4 in motion."""
    still, moving = film(1, step=0), film(4)
    clip = clips.make(
        tmp_path / "a.mp4",
        frames=12,
        size=(WIDTH, HEIGHT),
        picture=lambda index, width, height: (still if index < 8 else moving)(max(index - 8, 0), width, height),
    )
    (tmp_path / "b").mkdir()
    again = tmp_path / "b" / "a.mp4"
    again.write_bytes(clip.read_bytes())
    report = make_from_clips([str(clip), str(again)], tmp_path / "set")
    assert [row["frame"] for row in manifest(tmp_path / "set")] == ["0", "9", "10", "11"]
    assert (report.read, report.duplicates) == (24, 20)
    assert report.files == {"train": 4, "test": 0}
    assert any("one shot" in note for note in report.notes), "an empty test side is said"


def test_damaged_clips_cost_their_frames_alone(tmp_path: Path) -> None:
    """Protects the run: no video at all is skipped, a truncated one is used up to there, small ones say so."""
    whole = make_film(tmp_path / "a.mkv", 40)
    data = whole.read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) // 2])
    (tmp_path / "bad.mp4").write_bytes(b"this is no video" * 9)
    names = [str(tmp_path / name) for name in ("bad.mp4", "cut.mkv")]
    report = make_from_clips(names, tmp_path / "set", size=(192, 128))
    assert [failure.name for failure in report.skipped] == ["bad.mp4"]
    assert [failure.name for failure in report.cut_short] == ["cut.mkv"]
    assert 5 < report.read < 40 and report.files["train"] == report.read
    assert any(note.startswith("cut.mkv: frames of 96×64 were enlarged to 192×128") for note in report.notes)
    assert all((tmp_path / "set" / row["file"]).exists() for row in manifest(tmp_path / "set"))


def test_pictures_of_folders(tmp_path: Path) -> None:
    """Protects: damaged, small and doubled pictures are counted apart, two of one name are two, and splits hold."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    for index in range(6):
        Image.fromarray(scenery(index)[:, 30 * index : 30 * index + 96]).save(tmp_path / f"one/p{index}.png")
    Image.fromarray(scenery(7)[:, :96]).save(tmp_path / "two/p0.jpg", quality=95)
    Image.open(tmp_path / "one/p3.png").save(tmp_path / "two/again.jpg", quality=60)
    Image.fromarray(scenery(8)[:, :50]).save(tmp_path / "two/small.png")
    (tmp_path / "two/bad.png").write_bytes((tmp_path / "one/p1.png").read_bytes()[:900])
    out = tmp_path / "set"
    report = make_from_folders([tmp_path / "one", tmp_path / "two"], out, size=(64, 48), test_share=0.2)
    rows = manifest(out)
    assert sorted(row["file"].partition("/")[2] for row in rows) == ["p0-2.png", *(f"p{n}.png" for n in range(6))]
    assert (report.read, report.duplicates, report.too_small) == (10, 1, 1)
    assert [failure.name for failure in report.skipped] == ["two/bad.png"]
    assert {row["source"] for row in rows if "p0" in row["file"]} == {"one/p0.png", "two/p0.jpg"}
    assert {row["frame"] + row["seconds"] + row["shot"] for row in rows} == {""}
    # SHA-256 begins with 16 for p0 and with 1e for p0-2; the least of the others, 39 for p2, is more than a fifth.
    assert {row["file"] for row in rows if row["split"] == "test"} == {"test/p0.png", "test/p0-2.png"}
    assert {read_picture(out / row["file"]).pixels.shape for row in rows} == {(48, 64, 3)}


def test_pairs_have_true_flow(tmp_path: Path) -> None:
    """Protects: a pan by 4 pixels is found, no pair spans the cut, neighbors share frames, files agree."""
    out = tmp_path / "set"
    report = make_pairs([str(make_film(tmp_path / "a.mp4", 5, 4))], out, test_share=0.0)
    assert report.files == {"train": 7, "test": 0} and report.units == {"train": 2, "test": 0}
    rows = manifest(out)
    assert len(rows) == 9 + 2 * 7
    first = out / "train/optical_flow/a-000000/into_past/left/OpticalFlowIntoPast_0002_L.flo"
    flow = cv2.readOpticalFlow(str(first))
    hidden = read_picture(out / "train/occlusions/a-000000/into_past/left/0002.png").pixels[..., 0] > 0
    assert flow.shape == (HEIGHT, WIDTH, 2)
    assert np.array_equal(hidden, np.abs(flow).max(axis=2) > 1e9)
    # The view pans right, so what it shows now was 4 pixels further right before; the last columns came in anew.
    assert np.abs(np.median(flow[~hidden], axis=0) - (STEP, 0)).max() < 0.3
    assert hidden[:, -STEP + 1 :].all() and hidden.mean() < 0.3

    sequences = find_sequences(out)
    assert [(sequence.name, sequence.frames, sequence.pairs) for sequence in sequences] == [
        ("train/frames_finalpass/a-000000", 5, 4),
        ("train/frames_finalpass/a-000005", 4, 3),
    ]
    steps = list(sequences[0].steps())
    truth = steps[2].truth
    assert truth is not None and truth.backward and np.array_equal(truth.mask, ~hidden)
    assert np.array_equal(truth.flow[~hidden], flow[~hidden])
    with open_source(str(tmp_path / "a.mp4")) as source:
        assert np.array_equal(steps[2].frame.pixels, [frame.pixels for frame in source.frames()][2])


class KnownPan(Source):
    """Six frames that know their motion: a pan, with a hidden block in the middle."""

    info = SourceInfo(WIDTH, HEIGHT, Fraction(24), Fraction(1, 24), 6)

    def frames(self) -> Iterator[Frame]:
        picture = film(6)
        motion = np.full((HEIGHT, WIDTH, 2), (-STEP, 0.25), np.float32)
        visible = np.ones((HEIGHT, WIDTH), np.bool_)
        visible[20:30, 40:50] = False
        for index in range(6):
            yield Frame(picture(index, WIDTH, HEIGHT), index, 1, self.info.time_base, motion=motion, mask=visible)


def test_known_motion_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects exact motion: it's written as it is, backward; pairs that are apart are sequences of two."""
    monkeypatch.setattr("allaprima.dataset.clips.open_source", lambda name: KnownPan())
    out = tmp_path / "set"
    report = make_pairs(["scene:pan"], out, every=3)
    assert report.files == {"train": 2, "test": 0}
    by_name = {sequence.name.rpartition("/")[2]: sequence for sequence in find_sequences(out)}
    assert {name: (sequence.frames, sequence.pairs) for name, sequence in by_name.items()} == {
        "scene-pan-000000": (2, 1),
        "scene-pan-000003": (2, 1),
    }
    last = list(by_name["scene-pan-000003"].steps())[1]
    frame = list(KnownPan().frames())[4]
    assert last.truth is not None and np.array_equal(last.frame.pixels, frame.pixels)
    expected = np.ones((HEIGHT, WIDTH), np.bool_)
    expected[20:30, 40:50] = False
    expected[:, -STEP:] = False
    expected[0] = False  # came from a quarter of a pixel above the picture
    assert np.array_equal(last.truth.mask, expected)
    assert (last.truth.flow[expected] == (STEP, -0.25)).all()


def snapshot(folder: Path) -> dict[str, bytes]:
    """All files under a folder."""
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_run_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    """Protects the name: after a stop, what was there is there, and nothing else."""
    clip = make_film(tmp_path / "a.mp4", 12)
    make_from_clips([str(clip)], tmp_path / "set")
    before = snapshot(tmp_path)
    stop = threading.Event()

    def count(read: int, name: str) -> None:
        assert list(tmp_path.glob(".set.*.part")), "written aside"
        if read == 5:
            stop.set()

    for make in (make_from_clips, make_pairs):
        stop.clear()
        with pytest.raises(PartialRunError, match="nothing was kept") as caught:
            make([str(clip)], tmp_path / "set", overwrite=True, watch=Watch(count, stop.is_set))
        assert caught.value.exit_code == 130
        assert snapshot(tmp_path) == before and not list(tmp_path.glob(".set*"))


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects: no half data set, and what to do is said."""
    clip = make_film(tmp_path / "a.mp4", 6)
    before = snapshot(tmp_path)

    def full(self: Path, *rest: Any, **options: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(SinkError, match=r"no space left for .*free some"):
            make_from_clips([str(clip)], tmp_path / "set")
    assert snapshot(tmp_path) == before and not list(tmp_path.glob(".set*"))


def test_only_data_sets_are_replaced(tmp_path: Path) -> None:
    """Protects what people put there: refused without --overwrite, and with it where anything else is in it."""
    clip = make_film(tmp_path / "a.mp4", 6)
    out = tmp_path / "set"
    out.mkdir()
    make_from_clips([str(clip)], out, every=1)
    with pytest.raises(SinkError, match="--overwrite"):
        make_from_clips([str(clip)], out)
    make_from_clips([str(clip)], out, every=3, overwrite=True)
    assert len(manifest(out)) == 2
    (out / "train/mine.png").write_bytes(b"precious")
    before = snapshot(tmp_path)
    with pytest.raises(SinkError, match=r"holds 'train/mine\.png'"):
        make_from_clips([str(clip)], out, overwrite=True)
    with pytest.raises(SinkError, match="is a file"):
        make_from_clips([str(clip)], clip, overwrite=True)
    with pytest.raises(SinkError, match="make it first"):
        make_from_clips([str(clip)], tmp_path / "no/where")
    assert snapshot(tmp_path) == before


def test_a_name_taken_meanwhile_is_left_alone(tmp_path: Path) -> None:
    """Protects what another program writes there while the clip is read."""
    clip = make_film(tmp_path / "a.mp4", 6)
    out = tmp_path / "set"

    def take(read: int, name: str) -> None:
        out.mkdir(exist_ok=True)
        (out / "contact-sheet.jpg").write_bytes(b"precious")

    for overwrite in (False, True):
        with pytest.raises(SinkError, match=r"isn't empty|holds 'contact-sheet\.jpg'"):
            make_from_clips([str(clip)], out, overwrite=overwrite, watch=Watch(take))
    assert [path.name for path in out.iterdir()] == ["contact-sheet.jpg"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "set"]


def run(*arguments: str | Path) -> None:
    """The verb alone, errors as they are raised."""
    group = typer.Typer(pretty_exceptions_enable=False)
    group.add_typer(app, name="dataset")
    group(["dataset", *map(str, arguments)], standalone_mode=False)


def test_verbs_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Protects: JSON on stdout alone, a line for people, and options that reach their place."""
    clip = make_film(tmp_path / "a.mp4", 6, 6)
    run(
        "from-video",
        clip,
        "--every",
        "3",
        "--size",
        "48x32",
        "--mirror",
        "--license",
        "mine",
        "-o",
        tmp_path / "v",
        "--json",
    )
    said = capsys.readouterr()
    result = json.loads(said.out)
    assert result["files"] == {"train": 4, "test": 4} and result["read"] == 12 and said.err == ""
    assert result["output"] == str(tmp_path / "v")
    assert {row["license"] for row in manifest(tmp_path / "v")} == {"mine"}
    run("from-images", tmp_path / "v/train", "-o", tmp_path / "i", "--test-share", "0")
    said = capsys.readouterr()
    assert said.out == "" and "4 pictures for training, 0 for test, out of 4 read" in said.err
    run("pairs", clip, "--every", "5", "-o", tmp_path / "p")
    assert "1 pairs for training, 1 for test, out of 12 read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["from-video", "{clip}", "-o", "{out}", "--size", "640"], 2, "WIDTHxHEIGHT"),
        (["from-video", "{clip}.mp4", "-o", "{out}"], 3, "no file"),
        (["from-video", "{bad}", "-o", "{out}"], 3, "no usable frames"),
        (["from-video", "{still}", "-o", "{out}", "--every", "1"], 3, "all 6 frames show the same"),
        (["from-video", "{clip}", "-o", "{full}"], 4, "--overwrite"),
        (["from-images", "{empty}", "-o", "{out}"], 3, "no picture in"),
        (["from-images", "{full}", "-o", "{out}", "--size", "640x480"], 3, "1 are smaller than the size asked for"),
        (["pairs", "{clip}", "-o", "{out}", "--size", "12x12"], 2, "16×16"),
        (["pairs", "{one}", "-o", "{out}"], 3, "no usable pairs"),
    ],
)
def test_bad_input_is_one_line_and_a_code(tmp_path: Path, arguments: list[str], code: int, says: str) -> None:
    """Protects: nothing written, nothing lost, and what to do is said."""
    names = {
        "clip": make_film(tmp_path / "a.mp4", 3),
        "still": make_film(tmp_path / "still.mp4", 6, step=0),
        "one": make_film(tmp_path / "one.mp4", 1),
        "bad": tmp_path / "bad.mp4",
        "out": tmp_path / "out",
        "full": tmp_path / "full",
        "empty": tmp_path / "empty",
    }
    names["bad"].write_bytes(b"this is no video" * 9)
    for folder in ("full", "empty"):
        names[folder].mkdir()
    Image.fromarray(scenery(0)).save(names["full"] / "p.png")
    before = snapshot(tmp_path)
    with pytest.raises(AllaprimaError) as caught:
        run(*(argument.format(**names) for argument in arguments))
    assert caught.value.exit_code == code
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert snapshot(tmp_path) == before and not list(tmp_path.glob(".*"))


def test_sigterm_ends_with_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects scripts: SIGTERM while reading is exit code 143, and nothing is left."""
    clip = make_film(tmp_path / "a.mp4", 12)
    tick = Watch.tick

    def terminate(self: Watch, count: int, name: str) -> None:
        if count == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        tick(self, count, name)

    monkeypatch.setattr(Watch, "tick", terminate)
    with pytest.raises(PartialRunError) as caught:
        run("from-video", clip, "-o", tmp_path / "set")
    assert caught.value.exit_code == 143
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_nothing_usable_says_why() -> None:
    """Protects the one line: the first reason, and how many more there are."""
    report = Report(Path("out"), too_small=2)
    assert str(report.nothing("pictures")) == "no usable pictures: 2 are smaller than the size asked for"
    assert isinstance(Report(Path("out")).nothing("frames"), SourceError)
