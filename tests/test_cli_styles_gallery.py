"""``allaprima styles gallery``: one picture in every style, on a sheet and one by one."""

from __future__ import annotations

import json
from pathlib import Path

import nets
import numpy as np
import pytest
from PIL import Image

from allaprima.cli import run
from allaprima.comparison.gallery import after, fitted, hang, painted_in
from allaprima.picture import read_picture
from allaprima.style import Card, Style, bundled_styles, write_style


def a_style(folder: Path, name: str, **card: str) -> Style:
    """The negative, under a name and a card of its own."""
    return write_style(folder / f"{name}.onnx", nets.negative(), Card(**{"title": name, **card}))  # type: ignore[arg-type]


def a_picture(folder: Path, size: tuple[int, int] = (96, 64)) -> Path:
    """Of (width, height), smooth and without losses."""
    width, height = size
    across = np.broadcast_to(np.linspace(0, 255, width, dtype=np.uint8), (height, width))
    Image.fromarray(np.dstack([across, across[:, ::-1], np.full_like(across, 40)])).save(folder / "in.png")
    return folder / "in.png"


def test_every_bundled_style_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Protects the README's sheet: no option but the folder, no download; the built-in clip in all bundled styles."""
    out = tmp_path / "new"
    assert run(["styles", "gallery", "--out", str(out), "--size", "64", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    names = [path.stem for path in bundled_styles()]
    assert [style["name"] for style in result["styles"]] == names
    assert sorted(path.name for path in out.iterdir()) == sorted([f"{name}.jpg" for name in names] + [
        "allaprima-styles.jpg"
    ])  # fmt: skip
    assert result["sheet"] == str(out / "allaprima-styles.jpg")
    after = {style["name"]: style["after"] for style in result["styles"]}
    assert after["great-wave"] == "The Great Wave off Kanagawa, Katsushika Hokusai, c. 1831"
    for name, row in zip(names, result["styles"], strict=True):
        assert row["thumbnail"] == str(out / f"{name}.jpg")
        with Image.open(out / f"{name}.jpg") as thumbnail:
            assert thumbnail.size == (64, 36)


def test_sheet_shows_the_picture_and_its_paintings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Protects what is seen: the picture untouched first, every style's own painting, rows of as many as asked for."""
    picture, net = a_picture(tmp_path), str(a_style(tmp_path, "one").path)
    other = str(a_style(tmp_path, "two").path)
    sheet = tmp_path / "sheet.png"
    options = ["--picture", str(picture), "--out", str(sheet), "--columns", "2"]
    assert run(["styles", "gallery", net, other, *options]) == 0
    pixels, small = read_picture(sheet).pixels, read_picture(picture).pixels
    height, width = small.shape[:2]
    assert pixels.shape[1] == 2 * width + 3 * 4 and pixels.shape[0] > 2 * height
    np.testing.assert_array_equal(pixels[4 : 4 + height, 4 : 4 + width], small)
    assert nets.worst(pixels[4 : 4 + height, 8 + width : 8 + 2 * width], 255 - small) <= 1
    assert "2 styles on" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.png", "one.onnx", "sheet.png", "two.onnx"]


def test_names_stand_under_their_paintings(tmp_path: Path) -> None:
    """Protects the labels: nothing over the first row, letters under it, and the longer label of the style with more
    to say."""
    picture = nets.photograph(48, 320)
    style = a_style(tmp_path, "one", title="The Wave", artist="Hokusai", year="1831")
    assert after(style) == "The Wave, Hokusai, 1831"
    assert after(a_style(tmp_path, "two")) == "two"
    (painting,) = painted_in([style], picture)
    sheet = hang(picture, [(style, painting)], per_row=2)
    background = sheet[0, 0]
    bare = (sheet == background).all(axis=(1, 2))
    gap = int(np.argmin(bare))
    np.testing.assert_array_equal(sheet[gap : gap + 48, gap : gap + 320], picture)
    below = (sheet[gap + 48 :] != background).any(axis=2)
    first, second = below[:, : gap + 320].sum(), below[:, gap + 320 :].sum()
    assert 0 < first < second


def test_pictures_are_made_smaller_never_larger() -> None:
    """Protects --size: the longer side counts, the shape is kept, and strokes are painted at the size they show at."""
    assert fitted(nets.photograph(50, 100), 40).shape == (20, 40, 3)
    assert fitted(nets.photograph(100, 50), 40).shape == (40, 20, 3)
    assert fitted(nets.photograph(3, 1000), 40).shape == (1, 40, 3)
    pixels = nets.photograph(30, 20)
    assert fitted(pixels, 40) is pixels


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nobody"], 5, "unknown style 'nobody'"),
        (["{net}", "--picture", "{folder}/none.jpg"], 3, "none.jpg"),
        (["{net}", "--picture", "{net}"], 3, "net.onnx"),
        (["{net}", "{net}", "--out", "{folder}"], 2, "would both become"),
        (["{net}", "--out", "{folder}"], 4, "--overwrite"),
        (["{net}", "--out", "{folder}/none/a.png"], 4, "none"),
        (["{net}", "--out", "{folder}/a.xyz"], 4, "a.xyz"),
        (["{net}", "--out", "{folder}/net.jpg/in"], 4, "can't make folder"),
        (["{net}", "--size", "3"], 2, "--size"),
    ],
)
def test_bad_input_is_one_line_and_a_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, says: str
) -> None:
    """Protects: nothing written, nothing lost, and what to do is said."""
    net = a_style(tmp_path, "net").path
    (tmp_path / "net.jpg").write_bytes(b"precious")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    given = [argument.format(net=net, folder=tmp_path) for argument in arguments]
    out = [] if "--out" in given else ["--out", str(tmp_path / "out.png")]
    assert run(["styles", "gallery", *given, *out]) == code
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and says in lines[0]
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
