"""The mosaic: what stands where, pixel by pixel, and the files it becomes."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import Clip, make, number_of, times_of
from nets import negative, photograph, style_of
from PIL import Image

from allaprima.comparison import Column, Comparison, Zoom, compare_clip, compare_sheet
from allaprima.comparison.lettering import fitting_size, font_for, shortened, spelled
from allaprima.comparison.mosaic import BACKGROUND, Heading, Mosaic, View
from allaprima.errors import PartialRunError, SinkError, SourceError, StyleError, UsageError
from allaprima.frame import Frame, SourceInfo
from allaprima.painter import Painter
from allaprima.pipeline import raise_if_partial
from allaprima.sink import SinkOptions
from allaprima.sinks.gif_file import GifSink
from allaprima.stylizer import Stylizer

INFO = SourceInfo(64, 48, Fraction(25), Fraction(1, 25), 4)
PLAIN = {"engine": "onnxruntime", "precision": "f32", "device": "cpu"}


def negative_column(folder: Path) -> Column:
    """A column that shows 255 − picture."""
    return Column("negative", Stylizer(Painter(style_of(folder, negative()), **PLAIN)))  # type: ignore[arg-type]


def shown(comparison: Comparison, pixels: np.ndarray, pts: int = 0) -> np.ndarray:
    """The mosaic of one picture."""
    return comparison.stylize(Frame(pixels, pts, 1, Fraction(1, 25))).pixels


def test_panels_stand_where_the_geometry_says() -> None:
    """Protects: margins, gaps, wrapping and even sides, counted by hand for panels of 63×41 without labels."""
    mosaic = Mosaic([Heading(str(n)) for n in range(3)], [View(63, 41)], per_row=2, titled=False)
    corners = [[(place.x, place.y) for place in places] for places in mosaic.places]
    assert corners == [[(4, 4)], [(71, 4)], [(4, 49)]]
    assert (mosaic.width, mosaic.height) == (138, 94)
    whole = mosaic.fill([[np.full((41, 63, 3), 100 + n, np.uint8)] for n in range(3)])
    assert whole.shape == (94, 138, 3)
    assert (whole[4:45, 4:67] == 100).all() and (whole[4:45, 71:134] == 101).all()
    assert (whole[49:90, 4:67] == 102).all()
    assert (whole[49:90, 67:] == BACKGROUND).all() and (whole[:4] == BACKGROUND).all()


def test_every_column_has_its_title_and_each_view_its_caption() -> None:
    """Protects: labels are drawn, above their panels and within their columns; without them there is no room lost."""
    headings = [Heading("a"), Heading("a title that is much too long for a column of this width", "what ran")]
    mosaic = Mosaic(headings, [View(128, 20, "caption")], per_row=2, titled=True)
    whole = mosaic.fill([[np.zeros((20, 128, 3), np.uint8)] * 1] * 2)
    top = mosaic.places[0][0].y
    drawn = (whole[:top] != BACKGROUND).any(axis=2)
    assert drawn[:, 4:132].any() and drawn[:, 136:264].any()
    assert not drawn[:, 132:136].any() and not drawn[:, 264:].any()
    assert Mosaic(headings, [View(128, 20)], per_row=2, titled=False).places[0][0].y < top


def test_text_fits_whatever_it_is() -> None:
    """Protects: letters scale with the panel, long names end in an ellipsis, no character breaks a label."""
    assert fitting_size(["short"], 500, 24) == 24
    assert 10 <= fitting_size(["quite a long name of a style"], 120, 24) < 24
    text = shortened("quite a long name of a style", 60, 12)
    assert text.endswith("…") and font_for(text, 12).getlength(text) <= 60
    for name in ("Große Welle", "神奈川沖浪裏", "é\u0301\U0001f30a", ""):
        assert len(spelled(name, 14)) <= len(name) + 2
        font_for(name, 14).getmask(spelled(name, 14))


def test_each_column_shows_its_own_painting(tmp_path: Path) -> None:
    """Protects: the input untouched beside the negative, at equal size, and the same style twice."""
    column = negative_column(tmp_path)
    twice = Column("again", Stylizer(Painter(style_of(tmp_path, negative()), **PLAIN)))  # type: ignore[arg-type]
    comparison = Comparison([Column("input", None), column, twice], labels=False)
    made = comparison.output_info(INFO)
    assert comparison.prepare(INFO) == "onnxruntime f32 on cpu"
    pixels = photograph(48, 64)
    whole = shown(comparison, pixels)
    assert whole.shape == (made.height, made.width, 3) == (56, 208, 3)
    assert (whole[4:52, 4:68] == pixels).all()
    assert (whole[4:52, 72:136] == 255 - pixels).all()
    assert (whole[4:52, 140:204] == 255 - pixels).all()
    assert [panel["title"] for panel in comparison.to_dict()] == ["input", "negative", "again"]


def test_difference_is_amplified_and_black_at_first() -> None:
    """Protects: |Oₜ − Oₜ₋₁| × gain, clipped at 255, 0 in the first frame and after a reset."""
    comparison = Comparison([Column("input", None)], labels=False, difference=True, gain=5)
    comparison.prepare(INFO)
    values = []
    for number, gray in enumerate((100, 110, 108, 255)):
        whole = shown(comparison, np.full((48, 64, 3), gray, np.uint8), number)
        values.append(np.unique(whole[56:104, 4:68]).tolist())
    assert values == [[0], [50], [10], [255]]
    comparison.reset()
    assert not shown(comparison, np.full((48, 64, 3), 9, np.uint8))[56:104, 4:68].any()


def test_zoom_repeats_pixels_and_frames_them() -> None:
    """Protects: the rectangle's own pixels, each a 3×3 block; the frame lies around it and covers nothing of it."""
    comparison = Comparison([Column("input", None)], labels=False, zoom=Zoom(10, 20, 8, 6, 3))
    comparison.prepare(INFO)
    pixels = photograph(48, 64)
    whole = shown(comparison, pixels)
    crop = pixels[20:26, 10:18]
    left = 4 + (64 - 24) // 2
    assert (whole[56:74, left : left + 24] == crop.repeat(3, 0).repeat(3, 1)).all()
    assert (whole[24:30, 14:22] == crop).all()
    assert (whole[23, 13:23] == (255, 214, 10)).all() and (whole[30, 13:23] == (255, 214, 10)).all()
    with pytest.raises(UsageError, match="outside the picture, which is 64x48"):
        Comparison([Column("input", None)], zoom=Zoom(60, 0, 8, 8)).output_info(INFO)
    fitted = Comparison([Column("input", None)], labels=False, zoom=Zoom(0, 0, 32, 24))
    assert fitted.output_size(INFO) == (72, 108)


def test_width_shrinks_panels_and_pixels_become_square() -> None:
    """Protects: --width is a bound, and anamorphic video is shown as wide as it is meant."""
    column = Column("input", None)
    assert Comparison([column] * 2, labels=False, width=100).output_size(INFO) == (100, 42)
    wide = SourceInfo(64, 48, Fraction(25), Fraction(1, 25), sample_aspect=Fraction(2))
    made = Comparison([column], labels=False).output_info(wide)
    assert (made.width, made.height, made.sample_aspect) == (136, 56, 1)
    with pytest.raises(UsageError, match="--width"):
        Comparison([column] * 9, width=100).output_info(INFO)
    with pytest.raises(UsageError, match="nothing to compare"):
        Comparison([])


def test_a_style_that_changes_the_size_is_named() -> None:
    """Protects: one clear line instead of a broken mosaic."""

    class Halving(Stylizer):
        def __init__(self) -> None:
            pass

        def prepare(self, info: SourceInfo) -> str:
            return "nothing"

        def stylize(self, frame: Frame) -> Frame:
            return frame.with_pixels(frame.pixels[::2, ::2])

    comparison = Comparison([Column("half", Halving())])
    comparison.prepare(INFO)
    with pytest.raises(StyleError, match="'half' made 32x24 of 64x48"):
        shown(comparison, photograph(48, 64))


def test_clip_keeps_times_and_slow_motion_stretches_them(tmp_path: Path) -> None:
    """Protects: every frame side by side at its own time; three times slower is three times each time, no sound."""
    source = make(tmp_path / "in.mkv", Clip(frames=5, size=(63, 47), pixel_format="yuv444p", sound="aac"))
    column = Column("input", None)
    kept = compare_clip(str(source), tmp_path / "kept.mkv", Comparison([column] * 2))
    assert kept.frames == 5 and times_of(tmp_path / "kept.mkv") == times_of(source)
    assert times_of(tmp_path / "kept.mkv", "audio")
    slow = compare_clip(str(source), tmp_path / "slow.mkv", Comparison([column] * 2), slow=3)
    assert times_of(tmp_path / "slow.mkv") == [3 * time for time in times_of(source)]
    assert not times_of(tmp_path / "slow.mkv", "audio")
    assert any("without sound" in note for note in slow.notes)
    assert not any("added" in note for note in slow.notes)


def test_gif_has_the_frames_and_durations(tmp_path: Path) -> None:
    """Protects: 25 fps in, 12.5 out: every second frame, 80 ms each; slowed by 2, all of them."""
    source = make(tmp_path / "in.mp4", Clip(frames=10))
    comparison = Comparison([Column("input", None)])
    result = compare_clip(str(source), tmp_path / "out.gif", comparison)
    with Image.open(tmp_path / "out.gif") as gif:
        durations, numbers = [], []
        for index in range(gif.n_frames):
            gif.seek(index)
            durations.append(gif.info["duration"])
            numbers.append(number_of(np.asarray(gif.convert("RGB"))[-52:-4, 4:68]))
        assert gif.info["loop"] == 0
    assert durations == [80] * 5 and numbers == [0, 2, 4, 6, 8]
    assert any("MB" in note for note in result.notes)
    compare_clip(str(source), tmp_path / "slow.gif", comparison, slow=2)
    with Image.open(tmp_path / "slow.gif") as gif:
        assert gif.n_frames == 10 and gif.info["duration"] == 80
    with pytest.raises(UsageError, match="up to 50"):
        GifSink(tmp_path / "x.gif", "-", INFO, rate=60, overwrite=False)


def test_gif_has_colors_for_small_bright_things(tmp_path: Path) -> None:
    """Protects the palette: a small red thing under a wide sky is still red, and keeps its shades."""
    down, across = np.mgrid[0:1:240j, 0:1:320j][..., None]
    sky = np.array([250, 190, 190]) - across * [20, 60, 10] - down * [40, 10, 70]
    sky += np.random.default_rng(0).normal(0, 4, sky.shape)
    sky[200:216, 20:36] = np.array([200, 0, 0]) + np.linspace(0, 1, 16)[:, None, None] * [50, 160, 0]
    pixels = np.clip(sky, 0, 255).astype(np.uint8)
    sink = GifSink(tmp_path / "out.gif", "-", INFO, rate=None, overwrite=False)
    sink.write(Frame(pixels))
    sink.finish()
    with Image.open(tmp_path / "out.gif") as gif:
        shown = np.asarray(gif.convert("RGB")).astype(int)
    assert np.abs(shown - pixels)[200:216, 20:36].mean() < 20


def test_a_stopped_gif_keeps_its_part(tmp_path: Path) -> None:
    """Protects: Ctrl-C leaves NAME.partial.gif and nothing else."""
    source, stop = make(tmp_path / "in.mp4", Clip(frames=20)), threading.Event()
    result = compare_clip(
        str(source),
        tmp_path / "out.gif",
        Comparison([Column("input", None)]),
        on_frame=lambda count: stop.set() if count == 3 else None,
        stop=stop,
    )
    assert result.interrupted and result.sink.path == tmp_path / "out.partial.gif"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.partial.gif"]


def test_sheet_shows_the_moments_asked_for(tmp_path: Path) -> None:
    """Protects: rows are the frames that show at those times, the difference is to the frame before."""
    source = make(tmp_path / "in.mp4", Clip(frames=20))
    comparison = Comparison([Column("input", None)], labels=False, difference=True, gain=10)
    result = compare_sheet(str(source), tmp_path / "out.png", comparison, at=[0.0, 0.5, 0.28])
    sheet = cv2.imread(str(tmp_path / "out.png"))
    assert sheet.shape == (3 * 108, 72, 3) and result.frames == 3
    assert [number_of(sheet[top + 4 : top + 52, 4:68]) for top in (0, 108, 216)] == [0, 12, 7]
    changes = [sheet[top + 56 : top + 104, 4:68].mean() for top in (0, 108, 216)]
    assert changes == pytest.approx([0, 80, 80], abs=10)
    with pytest.raises(SourceError, match=r"nothing shows at 0\.8 s"):
        compare_sheet(str(source), tmp_path / "late.png", comparison, at=[0.8])
    assert not (tmp_path / "late.png").exists()


def test_sheet_of_a_picture_has_one_row(tmp_path: Path) -> None:
    """Protects: a picture needs no clip, and takes no times."""
    cv2.imwrite(str(tmp_path / "in.png"), photograph(48, 64))
    comparison = Comparison([Column("input", None)], labels=False)
    assert compare_sheet(str(tmp_path / "in.png"), tmp_path / "out.png", comparison).frames == 1
    assert (cv2.imread(str(tmp_path / "out.png"))[4:52, 4:68] == photograph(48, 64)).all()
    with pytest.raises(UsageError, match="times"):
        compare_sheet(str(tmp_path / "in.png"), tmp_path / "b.png", comparison, at=[1.0])
    with pytest.raises(UsageError, match="sheet"):
        compare_clip(str(tmp_path / "in.png"), tmp_path / "b.mp4", comparison)


def test_nothing_is_lost_or_left_behind(tmp_path: Path) -> None:
    """Protects: existing files, the input itself, and stopped sheets."""
    source, comparison = make(tmp_path / "in.mp4", Clip(frames=4)), Comparison([Column("input", None)])
    for name in ("out.gif", "out.mp4"):
        (tmp_path / name).write_bytes(b"precious")
        with pytest.raises(SinkError, match="--overwrite"):
            compare_clip(str(source), tmp_path / name, comparison)
        assert (tmp_path / name).read_bytes() == b"precious"
    with pytest.raises(SinkError, match="itself"):
        compare_clip(str(source), source, comparison, slow=2, sink_options=SinkOptions(overwrite=True))
    stop = threading.Event()
    stop.set()
    stopped = compare_sheet(str(source), tmp_path / "out.png", comparison, stop=stop)
    with pytest.raises(PartialRunError, match="nothing was kept"):
        raise_if_partial(stopped)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.gif", "out.mp4"]
