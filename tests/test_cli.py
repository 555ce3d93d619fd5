"""The command line: results where they belong, errors as one line with the documented exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from nets import photograph

from allaprima.cli import run
from allaprima.cli.demo import InTurn, choose
from allaprima.cli.image import destinations
from allaprima.cli.options import parse_size, parse_time
from allaprima.errors import UsageError
from allaprima.frame import Frame, SourceInfo
from allaprima.style import bundled_styles

STYLE = "starry-night"
PLAIN = ["--engine", "onnxruntime", "--precision", "f32", "--device", "cpu"]


def write_clip(path: Path, frames: int = 12, size: tuple[int, int] = (64, 48), rate: int = 25) -> Path:
    """A little H.264 clip with something moving in it."""
    width, height = size
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            pixels = np.full((height, width, 3), 90, np.uint8)
            cv2.circle(pixels, (number * 3 % width, height // 2), 9, (230, 120, 40), -1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def count_frames(path: Path) -> int:
    """Frames that decode."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """What stands on stderr, which must be a single line of ours."""
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("allaprima: ")
    return lines[0]


def test_video_paints_a_file_and_reports_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The main job: frames in = frames out, painted, with counts on stdout and nothing beside."""
    source, out = write_clip(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    assert run(["video", str(source), str(out), "--style", STYLE, "--json", *PLAIN]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["frames"] == count_frames(out) == 12
    assert result["engine"] == "onnxruntime f32 on cpu"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_video_takes_scenes_sizes_times_and_dials(tmp_path: Path) -> None:
    """One grammar for sources, and every option reaches its stage."""
    out = tmp_path / "out.mkv"
    options = ["--end", "0.5", "--size", "96x64", "--strength", "0.5", "--keep-colors", *PLAIN]
    assert run(["video", "scene:pan", str(out), "--style", STYLE, *options]) == 0
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (96, 64)
    assert count_frames(out) == 12


@pytest.mark.parametrize("every", ["3", "auto"])
def test_video_paints_some_frames_and_carries_the_others(
    every: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Frames in = frames out, and the result says how many of them the style painted."""
    out = tmp_path / "out.mp4"
    arguments = ["video", "scene:pan", str(out), "--end", "0.5", "--size", "192x108", "--style", STYLE]
    assert run([*arguments, "--paint-every", every, "--json", *PLAIN]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["frames"] == count_frames(out) == 12
    assert 3 <= result["painted"] <= 8
    assert run([*arguments, "--paint-every", every, "--overwrite", *PLAIN]) == 0
    assert f"12 frames, {result['painted']} of them painted in" in capsys.readouterr().err


def test_to_paint_every_frame_is_the_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--paint-every 1 changes no pixel."""
    source = write_clip(tmp_path / "in.mp4")
    for name, options in (("a", []), ("b", ["--paint-every", "1"])):
        assert run(["video", str(source), str(tmp_path / name), "--style", STYLE, "--json", *options, *PLAIN]) == 0
        result = json.loads(capsys.readouterr().out)
        assert result["painted"] == result["frames"] == 12
    pictures = [[path.read_bytes() for path in sorted((tmp_path / name).iterdir())] for name in ("a", "b")]
    assert len(pictures[0]) == 12 and pictures[0] == pictures[1]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["video", "{missing}", "{out}", "--style", STYLE], 3, "missing.mp4"),
        (["video", "{text}", "{out}", "--style", STYLE], 3, "notes.mp4"),
        (["video", "{clip}", "{out}", "--style", "stary-night"], 5, "did you mean 'starry-night'?"),
        (["video", "{clip}", "{out}", "--style", "{text}"], 5, "not an ONNX file"),
        (["video", "{clip}", "{clip}", "--style", STYLE, "--overwrite"], 4, "itself"),
        (["video", "{clip}", "{nowhere}", "--style", STYLE], 4, "nowhere"),
        (["video", "{clip}", "{out}", "--style", STYLE, "--size", "0x10"], 2, "--size"),
        (["video", "{clip}", "{out}", "--style", STYLE, "--start", "yesterday"], 2, "MM:SS"),
        (["video", "{clip}", "{out}", "--style", STYLE, "--strength", "2"], 2, "strength"),
        (["video", "{clip}", "{out}", "--style", STYLE, "--paint-every", "0"], 2, "from 1 to 8, or auto, not '0'"),
        (["video", "{clip}", "{out}", "--style", STYLE, "--paint-every", "9"], 2, "from 1 to 8, or auto, not '9'"),
        (["video", "{clip}", "{out}", "--style", STYLE, "--paint-every", "often"], 2, "or auto, not 'often'"),
        (["video", "{clip}", "{out}", "--style", STYLE, "--precision", "f8"], 2, "f32"),
        (["video", "{clip}", "{out}", "--style", STYLE, "--engine", "onnxruntime", "--precision", "bf16"], 6, "bf16"),
        (
            ["video", "{clip}", "{out}", "--style", STYLE, "--device", "cuda", "--engine", "onnxruntime"],
            6,
            "onnxruntime",
        ),
        (["video", "{clip}", "{out}"], 2, "--style"),
        (["video", "{clip}", "{out}", "--style", STYLE, "--codec", "ffv1"], 4, "ffv1"),
        (["video", "{clip}", "{out}", "--style", STYLE, "--range", "0-2"], 2, "--range"),
        (["video", "{clip}", "{out}", "--style", STYLE, "--range", "0-1"], 5, "--range"),
        (["image", "{missing}", "--out", "{out}.png", "--style", STYLE], 3, "missing.mp4"),
        (["styles", "show", "nobody"], 5, "nobody"),
        (["paint"], 2, "paint"),
    ],
)
def test_bad_input_is_one_line_and_a_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, says: str
) -> None:
    """No traceback, no half-written file, nothing overwritten."""
    clip = write_clip(tmp_path / "in.mp4", 3)
    text = tmp_path / "notes.mp4"
    text.write_text("not a video\n" * 10)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    names = {"clip": clip, "text": text, "missing": tmp_path / "missing.mp4", "out": tmp_path / "out.mp4"}
    names["nowhere"] = tmp_path / "nowhere" / "out.mp4"
    assert run([argument.format(**names) for argument in arguments]) == code
    assert says in one_line(capsys)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_existing_result_is_kept_unless_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--overwrite is the only way to lose a file."""
    source, out = write_clip(tmp_path / "in.mp4", 3), tmp_path / "out.mp4"
    out.write_bytes(b"precious")
    assert run(["video", str(source), str(out), "--style", STYLE, *PLAIN]) == 4
    assert "--overwrite" in one_line(capsys)
    assert out.read_bytes() == b"precious"
    assert run(["video", str(source), str(out), "--style", STYLE, "--overwrite", *PLAIN]) == 0
    assert count_frames(out) == 3


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_keep_a_playable_part(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """Ctrl-C and SIGTERM end the run with the part kept and named, and OUT untouched."""
    out = tmp_path / "out.mp4"
    command = [sys.executable, "-m", "allaprima", "video", "scene", str(out), "--style", STYLE, "--size", "1280x720"]
    process = subprocess.Popen([*command, *PLAIN], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not any(path.stat().st_size for path in tmp_path.iterdir()):
        time.sleep(0.05)
    time.sleep(1.0)
    process.send_signal(number)
    error = process.communicate(timeout=30)[1]
    assert process.returncode == code, error
    part = tmp_path / "out.partial.mp4"
    assert [path.name for path in tmp_path.iterdir()] == [part.name]
    frames = count_frames(part)
    assert f"{frames} frames are kept in {part}" in error.replace("\n", " ")


def test_image_keeps_alpha_and_paints_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pictures and folders of pictures; a broken one is named and the others go on."""
    folder = tmp_path / "in"
    folder.mkdir()
    rgba = np.zeros((40, 50, 4), np.uint8)
    rgba[..., 3] = 77
    cv2.imwrite(str(folder / "a.png"), rgba)
    cv2.imwrite(str(folder / "b.jpg"), np.full((30, 30, 3), 99, np.uint8))
    (folder / "broken.png").write_bytes(b"\x89PNG nothing")
    assert run(["image", str(folder), "--out", str(tmp_path / "out"), "--style", STYLE, "--json", *PLAIN]) == 3
    results = json.loads(capsys.readouterr().out)
    assert [("error" in result) for result in results] == [False, False, True]
    painted = cv2.imread(str(tmp_path / "out" / "a.png"), cv2.IMREAD_UNCHANGED)
    assert painted.shape == (40, 50, 4) and (painted[..., 3] == 77).all()
    assert cv2.imread(str(tmp_path / "out" / "b.jpg")).shape == (30, 30, 3)


def test_two_pictures_of_one_name_are_refused(tmp_path: Path) -> None:
    """Neither would survive in one folder."""
    with pytest.raises(UsageError, match="different folders"):
        destinations([tmp_path / "a" / "x.png", tmp_path / "b" / "x.png"], tmp_path / "out")


def test_styles_lists_every_bundled_style_with_its_card(capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts read name, path and card; every card says under what terms the style stands."""
    assert run(["styles", "--json"]) == 0
    styles = json.loads(capsys.readouterr().out)
    assert [style["name"] for style in styles] == [path.stem for path in bundled_styles()]
    for style in styles:
        assert set(style) == {"name", "path", "card"}
        assert all(style["card"]["licenses"].values())
        assert Path(style["path"]).stat().st_size <= 1.1e6
    assert run(["styles"]) == 0
    assert run(["styles", "show", STYLE]) == 0
    assert STYLE in capsys.readouterr().out


def test_doctor_says_what_ran(capsys: pytest.CaptureFixture[str]) -> None:
    """Each precision is listed as run or not, with the reason."""
    assert run(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {"engine": "onnxruntime", "precision": "f32", "device": "cpu"} in report["ran"]
    refused = [entry for entry in report["failed"] if entry["engine"] == "onnxruntime" and entry["precision"] == "bf16"]
    assert "choose" in refused[0]["reason"]
    assert run(["doctor"]) == 0


def test_demo_shows_several_styles_and_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first command of the README: each style has its part of the clip, its painting on the still, its figures."""
    assert run(["demo", "--out", str(tmp_path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["frames"] == count_frames(tmp_path / "allaprima-demo.mp4") == 96
    names = [style["name"] for style in result["styles"]]
    assert 2 <= len(names) <= 4 and set(names) <= {path.stem for path in bundled_styles()}
    assert all(0 < style["warp_untouched"] < style["warp"] for style in result["styles"])
    still = cv2.imread(str(tmp_path / "allaprima-demo.png"))
    assert still.shape[1] > min(3, 1 + len(names)) * 640
    with av.open(str(tmp_path / "allaprima-demo.mp4")) as container:
        shown = [frame.to_ndarray(format="rgb24").mean(axis=(0, 1)) for frame in container.decode(video=0)]
    part = 96 // len(names)
    within = np.abs(np.diff(shown, axis=0)).max(axis=1)
    assert within[part - 1] > 3 * np.median(within)


def test_demo_refuses_what_it_has_no_room_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """More styles than seconds, or no folder, is one line, before anything is painted."""
    assert run(["demo", *["--style", STYLE] * 5, "--out", str(tmp_path)]) == 2
    assert "name fewer" in one_line(capsys)
    assert run(["demo", "--out", str(tmp_path / "nowhere")]) == 4
    assert "nowhere" in one_line(capsys)


def test_demo_gives_each_style_an_equal_part() -> None:
    """--style shows one alone; of several, each paints its own stretch of frames, and all of them the still."""
    assert [style.name for style in choose([STYLE])] == [STYLE]
    several = [style.name for style in choose(None)]
    assert len(several) == min(4, len(bundled_styles())) and len(set(several)) == len(several)
    stylizer = InTurn(choose(["great-wave", STYLE]), SourceInfo(48, 32, Fraction(25), Fraction(1, 25), frames=5))
    assert [stylizer.part(index) for index in range(7)] == [0, 0, 0, 1, 1, 1, 1]
    assert "cpu" in stylizer.prepare()
    frames = [stylizer.stylize(Frame(photograph(32, 48), index)).pixels for index in range(5)]
    paintings = dict(zip(("great-wave", STYLE), (frames[0], frames[3]), strict=True))
    for style, painting in stylizer.all_of(Frame(photograph(32, 48))):
        np.testing.assert_array_equal(painting, paintings[style.name])
    assert not np.array_equal(frames[0], frames[3])


def test_version_and_bare_command(capsys: pytest.CaptureFixture[str]) -> None:
    """A person who types the name alone sees what it can do."""
    assert run(["--version"]) == 0
    assert run([]) == 0
    printed = capsys.readouterr().out
    assert "allaprima 0." in printed and "video" in printed


def test_sizes_and_times_as_people_write_them() -> None:
    """WxH and clock times."""
    assert parse_size("1280x720") == (1280, 720)
    assert (parse_time("90"), parse_time("1:30.5"), parse_time("1:00:00")) == (90.0, 90.5, 3600.0)
    for wrong in ("720p", "12x", "0x9"):
        with pytest.raises(UsageError):
            parse_size(wrong)


@pytest.mark.data
def test_a_real_clip_keeps_its_frames(tmp_path: Path) -> None:
    """A recorded game, as its player would paint it."""
    folder = os.environ.get("ALLAPRIMA_DATA")
    clip = Path(folder or "") / "clips" / "davis-tennis.mp4"
    if not folder or not clip.exists():
        pytest.skip("ALLAPRIMA_DATA names no folder with clips/davis-tennis.mp4")
    out = tmp_path / "out.mp4"
    assert run(["video", str(clip), str(out), "--style", STYLE, *PLAIN]) == 0
    assert count_frames(out) == count_frames(clip) == 70
