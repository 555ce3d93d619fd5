"""The content of a training: which pictures there are, what is left out, and the random crops of them."""

# ruff: noqa: E402
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from PIL import Image

from allaprima.errors import TrainingError
from allaprima.train.content import Content, open_content, parse_content
from allaprima.train.contents.pictures import draw_side
from allaprima.train.pictures import load_picture, resize_short_side, to_tensor


def save(path: Path, width: int = 90, height: int = 70, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def plain(path: Path, gray: int, side: int = 64) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), (gray, gray, gray)).save(path)
    return path


def truncated(path: Path) -> Path:
    save(path, 300, 300)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def gradient(width: int, height: int) -> Image.Image:
    """Red is the column, green the row, blue neither."""
    rows, columns = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([columns, rows, np.full_like(rows, 9)], -1).astype(np.uint8))


def opened(*names: Path | str, **options: Any) -> Content:
    return open_content([str(name) for name in names], **{"crop": 64, "cache": Path("unused"), **options})


def test_folders_are_read_recursively(tmp_path: Path) -> None:
    """Every picture below, in sorted order; other files and excluded names are left out without a word."""
    for name in ("b/two.JPG", "a.png", "b/c/three.webp", "b/game-1.png"):
        save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a picture")
    content = opened(tmp_path, exclude=["game-*"])
    (source,) = content.sources
    found = [source.path(index).relative_to(tmp_path).as_posix() for index in range(len(source))]
    assert found == ["a.png", "b/c/three.webp", "b/two.JPG"]
    assert content.describe() == "3 pictures in 1 folder"


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    """Files that are no pictures, and pictures smaller than the crop; those of its very size are taken."""
    for index, size in enumerate([(64, 64), (200, 64), (63, 300), (300, 63)]):
        save(tmp_path / "one" / f"{index}.png", *size)
    save(tmp_path / "two" / "good.png")
    (tmp_path / "two" / "bad.jpg").write_text("not a picture")
    content = opened(tmp_path / "one", tmp_path / "two")
    assert content.describe() == "3 pictures in 2 folders; 1 file skipped, 2 smaller than 64 px left out"
    assert [path.name for path in content.sources[1].skipped] == ["bad.jpg"]


def test_large_photographs_are_decoded_small(tmp_path: Path) -> None:
    """A camera's picture is hardly decoded larger than crops need, never smaller, and shows the same."""
    gradient(250, 200).resize((2500, 2000), Image.Resampling.BICUBIC).save(tmp_path / "large.jpg", quality=95)
    whole, small = load_picture(tmp_path / "large.jpg"), load_picture(tmp_path / "large.jpg", 400)
    assert (whole.size, small.size) == ((2500, 2000), (625, 500))
    difference = to_tensor(small.resize((250, 200))) - to_tensor(whole.resize((250, 200)))
    assert difference.abs().mean() < 2 / 255
    sizes: list[int] = []
    with pytest.MonkeyPatch.context() as patched:
        name = "allaprima.train.contents.pictures.load_picture"
        patched.setattr(name, lambda path, least: sizes.append(least) or load_picture(path, least))
        image, _ = opened(tmp_path, crop=256).sample(np.random.default_rng(0))
    assert (image.shape, sizes) == ((3, 256, 256), [320])


def test_nothing_to_train_on(tmp_path: Path) -> None:
    """A missing folder, an empty one, and one with nothing that can be used, each with what to do."""
    with pytest.raises(TrainingError, match=r"no content '.*missing'"):
        opened(tmp_path / "missing")
    with pytest.raises(TrainingError, match=r"no usable pictures in .*: there are none"):
        opened(tmp_path)
    (tmp_path / "bad.jpg").write_text("not a picture")
    (tmp_path / "empty.png").touch()
    save(tmp_path / "small.png", 63, 99)
    with pytest.raises(
        TrainingError, match=r": 2 can't be read, 1 are smaller than the crop of 64: lower crop"
    ) as found:
        opened(tmp_path)
    assert "\n" not in str(found.value)


def test_paths_are_looked_up_in_the_data_folder(tmp_path: Path) -> None:
    """A recipe names its content as it lies there, with its weight."""
    save(tmp_path / "photos" / "a.png")
    assert len(opened("photos=3", data=tmp_path).sources[0]) == 1


def test_entries_with_and_without_a_weight(tmp_path: Path) -> None:
    """What follows the last = is the weight, unless the whole is a path that is there."""
    assert parse_content("photos") == ("photos", 1)
    assert parse_content("photos=2.5") == ("photos", 2.5)
    assert parse_content("a=b=0.25") == ("a=b", 0.25)
    assert parse_content("scene:pan=2") == ("scene:pan", 2)
    (tmp_path / "year=1831").mkdir()
    assert parse_content("year=1831", tmp_path) == ("year=1831", 1)
    assert parse_content("year=1831=2", tmp_path) == ("year=1831", 2)
    for bad in ("photos=0", "photos=-1", "photos=nan", "photos=inf", "photos=much", "photos=", "=2"):
        with pytest.raises(TrainingError, match="weight above 0"):
            parse_content(bad)


def test_weights_say_how_often_a_source_is_drawn(tmp_path: Path) -> None:
    """Not how many pictures it has: 1 : 3, though the first has three times as many; its own come alike."""
    for index in range(3):
        plain(tmp_path / "many" / f"{index}.png", 10 * index)
    plain(tmp_path / "one" / "0.png", 200)
    content = opened(tmp_path / "many", f"{tmp_path / 'one'}=3")
    random = np.random.default_rng(0)
    seen = [round(float(content.sample(random)[0].mean()) * 255) for _ in range(1200)]
    counts = {gray: seen.count(gray) for gray in (0, 10, 20, 200)}
    assert sum(counts.values()) == 1200
    assert counts[200] == pytest.approx(900, abs=50)
    assert all(counts[gray] == pytest.approx(100, abs=35) for gray in (0, 10, 20))


def test_data_sets_of_one_s_own_keep_their_test_side(tmp_path: Path) -> None:
    """Of what ``allaprima dataset`` wrote, neither the test side nor the contact sheet is trained on."""
    (tmp_path / "manifest.csv").write_text("file\n")
    save(tmp_path / "contact-sheet.jpg", 300, 300)
    save(tmp_path / "test" / "b.png")
    save(tmp_path / "train" / "a.png")
    (source,) = opened(tmp_path).sources
    assert [source.path(index).name for index in range(len(source))] == ["a.png"]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_a_truncated_picture_does_not_stop_the_training(tmp_path: Path, suffix: str) -> None:
    """A file that breaks off passes a look at its beginning; another is drawn in its place, and it is told."""
    bad = truncated(tmp_path / f"bad.{suffix}")
    save(tmp_path / "good.png")

    def draw() -> tuple[list[torch.Tensor], set[Path]]:
        content, random = opened(tmp_path), np.random.default_rng(0)
        images = [content.sample(random)[0] for _ in range(12)]
        return images, {*content.sources[0].skipped, *content.broken}

    images, told = draw()
    assert told == {bad}
    assert all(image.shape == (3, 64, 64) for image in images)
    assert all(torch.equal(one, two) for one, two in zip(images, draw()[0], strict=True))


def test_only_truncated_pictures_are_an_error(tmp_path: Path) -> None:
    """There is nothing to draw instead, nor to show."""
    truncated(tmp_path / "bad.jpg")
    content = opened(tmp_path)
    with pytest.raises(TrainingError, match=r"can't be decoded.*bad\.jpg.*leave them out"):
        content.sample(np.random.default_rng(0))
    with pytest.raises(TrainingError, match=r"can't be decoded, among them .*bad\.jpg"):
        content.first_picture()


def test_the_first_picture_that_can_be_decoded(tmp_path: Path) -> None:
    """What previews show: whole, not a crop."""
    truncated(tmp_path / "a.jpg")
    save(tmp_path / "b.png", 90, 70)
    content = opened(tmp_path)
    assert content.first_picture().size == (90, 70)
    assert {path.name for path in content.broken} == {"a.jpg"}


def test_crops_cover_the_picture_at_its_scales(tmp_path: Path) -> None:
    """Any place, mirrored or not, from the crop's size to a quarter more: by the slopes of a gradient."""
    gradient(200, 160).save(tmp_path / "a.png")
    content, random = opened(tmp_path), np.random.default_rng(0)
    slopes, firsts = [], []
    for _ in range(60):
        image, motion = content.sample(random)
        assert motion is None
        assert image.dtype == torch.float32
        slopes.append(float(image[0, 30, 40] - image[0, 30, 20]) * 255 / 20)
        firsts.append(float(image[0, 30].min()) * 255)
        assert float(image[1, 40, 30]) > float(image[1, 20, 30]), "never upside down"
    assert min(firsts) < 15
    assert max(firsts) > 60
    assert {slope > 0 for slope in slopes} == {True, False}
    sides = [160 / abs(slope) for slope in slopes]
    assert 62 < min(sides) < 68
    assert 76 < max(sides) < 83


def test_pictures_are_not_enlarged_without_need() -> None:
    """The short side is never above what there is, nor below the crop."""
    random = np.random.default_rng(0)
    assert {draw_side((66, 500), 64, random) for _ in range(50)} == {64, 65, 66}
    assert {draw_side((64, 64), 64, random) for _ in range(9)} == {64}
    assert {draw_side((5000, 4000), 64, random) for _ in range(400)} == set(range(64, 81))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1", "LA"])
def test_every_kind_of_picture_becomes_rgb(tmp_path: Path, mode: str) -> None:
    """Gray, transparent, indexed and print colors."""
    path = tmp_path / ("picture.jpg" if mode == "CMYK" else "picture.png")
    gradient(40, 30).convert(mode).save(path)
    picture = load_picture(path)
    assert picture.mode == "RGB"
    assert picture.size == (40, 30)


def test_pictures_are_turned_as_their_tag_says(tmp_path: Path) -> None:
    """A photograph from a phone stands upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    gradient(40, 30).save(tmp_path / "p.png", exif=exif)
    turned = load_picture(tmp_path / "p.png")
    assert turned.size == (30, 40)
    assert turned.getpixel((29, 0)) == (0, 0, 9)


def test_a_style_picture_that_cannot_be_read(tmp_path: Path) -> None:
    """One line with the name."""
    with pytest.raises(TrainingError, match=r"missing\.jpg"):
        load_picture(tmp_path / "missing.jpg")


def test_tensors_keep_rows_columns_and_colors() -> None:
    """Planes first, 0 to 1, nothing turned or swapped."""
    tensor = to_tensor(gradient(5, 3))
    assert tensor.shape == (3, 3, 5)
    assert tensor.dtype == torch.float32
    torch.testing.assert_close(tensor[:, 2, 4] * 255, torch.tensor([4.0, 2.0, 9.0]))


@pytest.mark.parametrize(("size", "expected"), [((200, 100), (128, 64)), ((30, 90), (64, 192)), ((7, 7), (64, 64))])
def test_short_sides_are_scaled_up_and_down(size: tuple[int, int], expected: tuple[int, int]) -> None:
    """The short side is exact, the other keeps the aspect."""
    assert resize_short_side(gradient(*size), 64).size == expected
