"""``allaprima compare``: options reach their stage, and wrong ones are one line with a code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from clips import Clip, make, times_of
from nets import negative, photograph, style_of, textured, worst, write_foreign
from PIL import Image

from allaprima.cli.compare import compare, parse_coherence, parse_times, parse_zoom
from allaprima.comparison import Zoom
from allaprima.errors import AllaprimaError, UsageError
from allaprima.frame import Frame
from allaprima.painter import Painter
from allaprima.stylizer import Stylizer

PLAIN = ["--engine", "onnxruntime", "--precision", "f32", "--device", "cpu"]


def run(arguments: list[str]) -> None:
    """The verb alone, errors as they are raised."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(compare)
    app([*arguments, *PLAIN], standalone_mode=False)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Half a second at 25 frames a second, and ``net.onnx`` beside it."""
    style_of(tmp_path, negative())
    return make(tmp_path / "in.mp4", Clip(frames=12))


def test_sheet_and_clip_report_json(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Protects: path, panels, frames and seconds on stdout, for a sheet of two moments and a slowed clip."""
    net = str(clip.with_name("net.onnx"))
    sheet = clip.with_name("sheet.png")
    run([str(clip), net, net, "--out", str(sheet), "--at", "0.1,0:00.2", "--json"])
    result = json.loads(capsys.readouterr().out)
    assert result["output"] == str(sheet) and result["frames"] == 2 and result["seconds"] > 0
    assert [panel["title"] for panel in result["panels"]] == ["input", "net", "net"]
    assert result["panels"][1]["detail"] == result["engine"] == "onnxruntime f32 on cpu"
    assert result["bytes"] == sheet.stat().st_size
    out = clip.with_name("out.mp4")
    run([str(clip), net, "--no-original", "--out", str(out), "--slow", "2", "--end", "0.2", "--json"])
    result = json.loads(capsys.readouterr().out)
    assert [panel["title"] for panel in result["panels"]] == ["net"] and result["frames"] == 5
    assert [float(time) for time in times_of(out)] == pytest.approx([0.08 * n for n in range(5)])


def test_gif_takes_views_and_foreign_nets(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Protects: --zoom, --difference, --fps, --columns, and --range for those alone that have no card."""
    foreign = write_foreign(clip.with_name("peer.onnx"), negative(255.0))
    out = clip.with_name("out.gif")
    views = ["--zoom", "8,8,16,12@2", "--difference", "--fps", "25", "--columns", "2", "--range", "0-255"]
    run([str(clip), str(clip.with_name("net.onnx")), str(foreign), "--out", str(out), *views])
    with Image.open(out) as gif:
        assert gif.n_frames == 12 and gif.info["duration"] == 40
        assert gif.width == 2 * 64 + 3 * 4
    assert "MB" in capsys.readouterr().err


def test_a_work_size_reaches_the_styles(tmp_path: Path) -> None:
    """Protects --work-size: a column shows what ``video`` paints with it, not the painting at full size."""
    style = style_of(tmp_path, textured())
    source = tmp_path / "photo.png"
    Image.fromarray(photograph(48, 64)).save(source)
    columns = [str(source), str(style.path), "--no-original", "--no-labels"]
    for name, options in (("full", []), ("small", ["--work-size", "24"])):
        run([*columns, "--out", str(tmp_path / f"{name}.png"), *options])
    small, full = (np.asarray(Image.open(tmp_path / f"{name}.png"))[4:52, 4:68] for name in ("small", "full"))
    painter = Painter(style, engine="onnxruntime", precision="f32", device="cpu")
    np.testing.assert_array_equal(small, Stylizer(painter, work_size=24).stylize(Frame(photograph(48, 64))).pixels)
    assert worst(small, full) > 20


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nobody", "--out", "{out}.png"], 5, "unknown style 'nobody'"),
        (["{net}", "--out", "{out}.png", "--at", "9"], 3, "nothing shows at 9 s"),
        (["{net}", "--out", "{out}.png", "--at", "soon"], 2, "MM:SS"),
        (["{net}", "--out", "{out}.mp4", "--zoom", "60,0,10,10"], 2, "outside"),
        (["{net}", "--out", "{out}.mp4", "--zoom", "1,2,3"], 2, "--zoom"),
        (["{net}", "--out", "{out}.xyz"], 4, ".gif"),
        (["{net}", "--out", "{out}"], 4, "can't write"),
        (["{net}", "--out", "{net}.png", "--slow", "2"], 2, "--slow is for clips"),
        (["{net}", "--out", "{out}.gif", "--at", "0"], 2, "--at is for still sheets"),
        (["{net}", "--out", "{out}.mp4", "--fps", "5"], 2, "--fps"),
        (["{net}", "--out", "{clip}"], 4, "itself"),
        (["{net}", "--out", "{there}"], 4, "--overwrite"),
        (["{net}", "--out", "{out}.png", "--stride", "4"], 2, "--range"),
        (["{net}", "--out", "{out}.png", "--coherence", "1.5"], 2, "from 0 to 1"),
        (["{net}", "--out", "{out}.png", "--coherence", "0,1"], 2, "2 values for 1 styles"),
    ],
)
def test_bad_input_is_one_line_and_a_code(clip: Path, arguments: list[str], code: int, says: str) -> None:
    """Protects: nothing written, nothing lost, and what to do is said."""
    there = clip.with_name("there.png")
    there.write_bytes(b"precious")
    before = {path: path.read_bytes() for path in clip.parent.iterdir()}
    names = {"out": clip.with_name("out"), "net": clip.with_name("net.onnx"), "clip": clip, "there": there}
    with pytest.raises(AllaprimaError) as caught:
        run([str(clip), *(argument.format(**names) for argument in arguments)])
    assert caught.value.exit_code == code
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in clip.parent.iterdir()} == before


def test_a_style_beside_itself_with_another_coherence(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Protects: one dial for each column, said in its heading where dials differ, and only there."""
    net = str(clip.with_name("net.onnx"))
    run([str(clip), net, net, "--out", str(clip.with_name("a.png")), "--coherence", "0,0.5", "--json"])
    details = [panel["detail"] for panel in json.loads(capsys.readouterr().out)["panels"]]
    assert details == ["64x48", "onnxruntime f32 on cpu, coherence 0", "onnxruntime f32 on cpu, coherence 0.5"]
    run([str(clip), net, net, "--out", str(clip.with_name("b.png")), "--coherence", "0", "--json"])
    details = [panel["detail"] for panel in json.loads(capsys.readouterr().out)["panels"]]
    assert details[1:] == ["onnxruntime f32 on cpu"] * 2


def test_what_people_write_in_short() -> None:
    """Protects: the small grammars."""
    assert parse_coherence("1", 2) == [1.0, 1.0] and parse_coherence("0, .5", 2) == [0.0, 0.5]
    with pytest.raises(UsageError):
        parse_coherence("off", 1)
    assert parse_zoom("80,40,64,48@4") == Zoom(80, 40, 64, 48, 4)
    assert parse_zoom("0, 0, 9, 9") == Zoom(0, 0, 9, 9) and parse_zoom(None) is None
    assert parse_times("0.5,1:20") == [0.5, 80.0] and parse_times(None) == []
    for wrong in ("0,0,0,5", "1,2,3,4@0", "-1,0,5,5"):
        with pytest.raises(UsageError):
            parse_zoom(wrong)
