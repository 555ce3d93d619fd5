"""Styles and clips of awkward sizes, by the commands themselves: they work, or one line says what would."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import nets
import numpy as np
import pytest
from clips import make, textured

from allaprima.api import stylize_video
from allaprima.cli import run
from allaprima.errors import UsageError
from allaprima.frame import Frame
from allaprima.measure.quality import evaluation, material
from allaprima.painter import Painter
from allaprima.picture import read_picture, write_picture
from allaprima.style import Card, Declaration, Style, write_style
from allaprima.stylizer import Stylizer

SIZE = (160, 96)
"""(width, height) of everything that is painted."""
PLAIN = ["--engine", "onnxruntime", "--precision", "f32", "--threads", "1"]
smooth = partial(textured, soft=6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A clip, one of one frame, a picture, and styles: of a fixed size, of half of one, for four pictures at once."""
    make(tmp_path / "clip.mp4", frames=6, size=SIZE, picture=smooth)
    make(tmp_path / "one.mp4", frames=1, size=SIZE, picture=smooth)
    (tmp_path / "pictures").mkdir()
    write_picture(tmp_path / "pictures" / "picture.png", smooth(0, *SIZE), like=None, overwrite=False)
    for name, shape in (("fixed", (1, 3, 64, 96)), ("tall", (1, 3, 64, "W")), ("four", (4, 3, "H", "W"))):
        nets.write_foreign(tmp_path / f"{name}.onnx", nets.negative(shape=shape))
    write_style(tmp_path / "free.onnx", nets.negative(), Card("Free"))
    return tmp_path


def filled(folder: Path, words: str) -> list[str]:
    """A command's words; a name in braces is a file of the folder."""
    names = {"clip": "clip.mp4", "one": "one.mp4", "picture": "pictures/picture.png", "out": "out"}
    names |= {name: f"{name}.onnx" for name in ("fixed", "tall", "four", "free")}
    return words.format(**{name: folder / file for name, file in names.items()}).split()


@pytest.mark.parametrize(
    "words",
    [
        "video {clip} {out} --style {fixed} --range 0-1",
        "video {clip} {out} --style {fixed} --range 0-1 --paint-every 3",
        "video {clip} {out} --style {fixed} --range 0-1 --coherence 0",
        "image {picture} --out {out}.png --style {fixed} --range 0-1",
        "compare {picture} {fixed} --out {out}.png --range 0-1 --no-original --no-labels",
    ],
)
def test_a_style_of_a_fixed_size_paints_every_size(folder: Path, words: str) -> None:
    """What doesn't have its size is scaled there and back, and comes out at its own size, painted."""
    assert run([*filled(folder, words), *PLAIN]) == 0
    made = sorted((folder / "out").glob("*")) or [folder / "out.png"]
    assert len(made) == (6 if words.startswith("video") else 1)
    painting = read_picture(made[0]).pixels
    if words.startswith("compare"):
        painting = painting[4 : 4 + SIZE[1], 4 : 4 + SIZE[0]]
    assert painting.shape == (SIZE[1], SIZE[0], 3)
    assert np.abs(painting.astype(int) - (255 - smooth(0, *SIZE).astype(int)))[8:-8, 8:-8].mean() < 6


@pytest.mark.parametrize("name", ["tall", "four"])
@pytest.mark.parametrize(
    "words",
    [
        "video {clip} {out}.mp4 --style {net} --range 0-1",
        "image {picture} --out {out}.png --style {net} --range 0-1",
        "compare {clip} {net} --out {out}.mp4 --range 0-1",
        "bench --styles {net} --range 0-1 --sizes 160x96 --rounds 2",
        "evaluate {net} --range 0-1",
    ],
)
def test_a_style_that_no_frame_fits_is_refused(
    folder: Path, words: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of one side fixed and one free, or of several pictures at once: before anything is loaded, with the remedy."""
    assert run(filled(folder, words.replace("{net}", f"{{{name}}}"))) == 5
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert {"tall": "height of 64 only", "four": "4 pictures at once"}[name] in error and "export it for one" in error
    assert not list(folder.glob("out*"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("video {clip} {out}.mp4 --style {free} --work-size 97", "its short side can be 96 at most"),
        ("video {clip} {out}.mp4 --style {free} --work-size 97 --paint-every 2", "its short side can be 96 at most"),
        ("video {clip} {out}.mp4 --style {free} --work-size 96 --size 80x48", "its short side can be 48 at most"),
        ("video {clip} {out}.mp4 --style {free} --work-size 0", "16 at least, not 0"),
        ("video {one} {out}.mp4 --style {free} --work-size 97", "its short side can be 96 at most"),
        ("compare {clip} {free} --out {out}.mp4 --work-size 97", "its short side can be 96 at most"),
        ("compare {picture} {free} --out {out}.png --work-size 97", "its short side can be 96 at most"),
        ("video {clip} {out}.mp4 --style {fixed} --range 0-1 --work-size 48", "always works at 96x64"),
        ("compare {clip} {fixed} --out {out}.mp4 --range 0-1 --work-size 48", "always works at 96x64"),
    ],
)
def test_a_work_size_that_does_not_fit(folder: Path, words: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Larger than the frame, too small for any style, or for a style that has a size of its own: nothing is written."""
    assert run([*filled(folder, words), *PLAIN]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1
    assert not list(folder.glob("out*"))


@pytest.mark.parametrize(
    "options", ["", "--paint-every 4", "--paint-every auto", "--work-size 48", "--paint-every 2 --work-size 48"]
)
def test_a_clip_of_one_frame_is_painted(folder: Path, options: str, capsys: pytest.CaptureFixture[str]) -> None:
    """There is nothing to follow, to blend with or to carry, and nothing of that is needed."""
    assert run([*filled(folder, f"video {{one}} {{out}}.mkv --style {{free}} --json {options}"), *PLAIN]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["frames"], result["painted"], result["whole"]) == (1, 1, True)


@pytest.mark.parametrize("name", ["out.mp4", "out.gif", "out.png"])
def test_a_clip_of_one_frame_is_compared(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A clip of it, and a sheet that shows it once, whatever number of moments a sheet has."""
    words = f"compare {{one}} {{free}} --out {folder / name} --difference --work-size 48 --json"
    assert run([*filled(folder, words), *PLAIN]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 1


def test_a_clip_of_one_frame_cannot_be_calibrated_with(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One frame says nothing of the range of values."""
    assert run(filled(folder, "shrink quantize great-wave --content {one} --out {out}.int8.onnx")) == 3
    error = capsys.readouterr().err
    assert "at least 2" in error and error.count("\n") == 1


def test_a_fixed_size_cannot_be_quantized(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line says what a style must be like for that; a foreign one isn't told of options that this verb hasn't."""
    write_style(folder / "own.onnx", nets.negative(shape=(1, 3, 64, 96)), Card("Fixed"))
    assert run(["shrink", "quantize", str(folder / "own.onnx"), "--content", str(folder / "pictures")]) == 5
    assert "one picture of any size" in capsys.readouterr().err
    assert run(["shrink", "quantize", str(folder / "fixed.onnx"), "--content", str(folder / "pictures")]) == 5
    assert "has no allaprima card" in capsys.readouterr().err


def test_an_evaluation_of_awkward_ones(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fixed size is measured as any other; a work size that can't be and a clip of one frame cost a line each."""
    monkeypatch.setattr(material, "PICTURE_SIZE", SIZE)
    monkeypatch.setattr(material, "CLIP_SIZE", SIZE)
    monkeypatch.setattr(material, "scene_suite", list)
    monkeypatch.setattr(evaluation, "_CLIP_INFO", evaluation._CLIP_INFO.resized(*SIZE))
    monkeypatch.setattr(evaluation, "_TIMING_ROUNDS", 1)
    monkeypatch.setitem(sys.modules, "torch", None)
    words = "evaluate {fixed} {free} --range 0-1 --work-size 48 --work-size 97 --json --threads 1"
    places = ["--images", str(folder / "pictures"), "--clips", str(folder)]
    assert run([*filled(folder, words), *places]) == 3
    found = json.loads(capsys.readouterr().out)
    names = [row["name"] for row in found["rows"]]
    assert names == [*["fixed"] * 2, *["free"] * 2, *["free, work size 48"] * 2]
    errors = {failure["name"]: failure["error"] for failure in found["failures"]}
    assert errors.keys() == {"one.mp4", "fixed, work size 48", "fixed, work size 97", "free, work size 97"}
    assert "at least two" in errors["one.mp4"]
    assert "always works at 96x64" in errors["fixed, work size 48"]
    assert "its short side can be 96 at most" in errors["free, work size 97"]
    assert all(row["warp"] is not None for row in found["rows"])
    small = found["rows"][-1]
    assert small["warp_above"] == pytest.approx(small["warp"] - small["warp_untouched"])
    assert small["clips"]["clip"]["sharpness_last"] > 0


@pytest.mark.parametrize("work_size", [None, 48])
@pytest.mark.parametrize(
    ("planes", "says"),
    [
        ({"motion": np.zeros((48, 80, 2), np.float32)}, r"motion plane is 48×80×2, but its frame needs 96×160×2"),
        ({"motion": np.zeros((96, 160, 3), np.float32)}, r"motion plane is 96×160×3, but its frame needs 96×160×2"),
        (
            {"motion": np.zeros((96, 160, 2), np.float32), "mask": np.ones((160, 96), bool)},
            r"mask plane is 160×96, but its frame needs 96×160",
        ),
    ],
)
def test_planes_of_motion_of_the_wrong_size(
    tmp_path: Path, work_size: int | None, planes: dict[str, np.ndarray], says: str
) -> None:
    """Of whatever size frames are painted, planes are of the frames' own."""
    painter = Painter(nets.style_of(tmp_path, nets.negative()), engine="onnxruntime", precision="f32", threads=1)
    with pytest.raises(UsageError, match=says):
        Stylizer(painter, work_size=work_size).stylize(Frame(smooth(0, *SIZE), **planes))


def test_the_stride_is_told_from_the_graph(folder: Path) -> None:
    """A foreign net that works at a quarter of the size paints any size, and is locked, without --stride."""
    model = nets.in_blocks(4)
    foreign = Style.open(nets.write_foreign(folder / "blocks.onnx", model), Declaration(1))
    assert (foreign.card.stride, Painter(foreign).stride) == (4, 4)
    make(folder / "odd.mp4", frames=3, size=(162, 98), picture=smooth)
    paintings = []
    for options in ([], ["--stride", "4"]):
        words = ["video", str(folder / "odd.mp4"), str(folder / "frames"), "--style", str(folder / "blocks.onnx")]
        assert run([*words, "--range", "0-1", "--overwrite", *options, *PLAIN]) == 0
        paintings.append([path.read_bytes() for path in sorted((folder / "frames").iterdir())])
    assert len(paintings[0]) == 3 and paintings[0] == paintings[1]


@pytest.mark.parametrize("engine", ["auto", "onnxruntime"])
def test_a_stride_that_does_not_fit(folder: Path, engine: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Said wrongly, or not to be told from the graph: the line ends with what would work, and that works."""
    make(folder / "odd.mp4", frames=2, size=(162, 98), picture=smooth)
    sums = nets.graph(
        [
            nets.node("SpaceToDepth", ["image"], ["blocks"], blocksize=4),
            nets.node("DepthToSpace", ["blocks"], ["whole"], blocksize=4),
            nets.node("CumSum", ["whole", "axis"], ["stylized"]),
        ],
        [nets.integers("axis", 1)],
    )
    for model, given, says, works in (
        (nets.in_blocks(4), ["--stride", "2"], "has a stride of 4, not 2: leave out --stride", []),
        (sums, [], "say --stride N", ["--stride", "4"]),
    ):
        net = nets.write_foreign(folder / "net.onnx", model)
        words = ["video", str(folder / "odd.mp4"), str(folder / "out.mp4"), "--style", str(net), "--range", "0-1"]
        words += ["--engine", engine, "--precision", "f32", "--threads", "1", "--coherence", "0", "--overwrite"]
        assert run([*words, *given]) == 6
        lines = capsys.readouterr().err.strip().splitlines()
        assert lines[-1].startswith("allaprima: ") and says in lines[-1]
        assert not (folder / "out.mp4").exists()
        assert run([*words, *works]) == 0
        (folder / "out.mp4").unlink()


def test_python_is_told_the_same(folder: Path) -> None:
    """Who calls the library gets the error that the command line prints."""
    with pytest.raises(UsageError, match="its short side can be 96 at most"):
        stylize_video(folder / "clip.mp4", folder / "out.mp4", folder / "free.onnx", work_size=97)
