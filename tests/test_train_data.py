"""What training stands on: content pictures and their crops, the loss network's weights, and the device."""

# ruff: noqa: E402
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image

from allaprima.errors import MissingExtraError, TrainingError
from allaprima.train import session
from allaprima.train.data import Content, Crops, find_content, load_picture, resize_short_side, to_tensor
from allaprima.train.vgg import MEAN_RGB, VGG16Features, load_weights

WIDTHS = {0: 64, 2: 64, 5: 128, 7: 128, 10: 256, 12: 256, 14: 256, 17: 512, 19: 512, 21: 512}


def save(path: Path, width: int = 90, height: int = 70, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def gradient(width: int, height: int) -> Image.Image:
    """Red is the column, green the row, blue neither."""
    rows, columns = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([columns, rows, np.full_like(rows, 9)], -1).astype(np.uint8))


@pytest.fixture
def content(tmp_path: Path) -> Content:
    for i in range(4):
        save(tmp_path / "photos" / f"{i}.png", seed=i)
    return find_content([tmp_path / "photos"])


def test_folders_are_read_recursively(tmp_path: Path) -> None:
    """Every picture below, in sorted order; other files and excluded names are left out without a word."""
    names = ["b/two.JPG", "a.png", "b/c/three.webp", "b/game-1.png"]
    for name in names:
        save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a picture")
    found = find_content([tmp_path], exclude=["game-*"])
    assert [path.relative_to(tmp_path).as_posix() for path in found.files] == ["a.png", "b/c/three.webp", "b/two.JPG"]
    assert found.skipped == ()


def test_what_is_no_picture_is_skipped_and_counted(tmp_path: Path) -> None:
    """A text under a picture's name doesn't stop the training, and is told."""
    save(tmp_path / "good.png")
    (tmp_path / "bad.jpg").write_text("not a picture")
    (tmp_path / "empty.png").touch()
    found = find_content([tmp_path])
    assert [path.name for path in found.files] == ["good.png"]
    assert [path.name for path in found.skipped] == ["bad.jpg", "empty.png"]


def truncated(path: Path) -> Path:
    save(path, 300, 300)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_a_truncated_picture_does_not_stop_the_training(tmp_path: Path, suffix: str) -> None:
    """A file that breaks off passes a look at its beginning; another is drawn in its place, and it is told."""
    bad = truncated(tmp_path / f"bad.{suffix}")
    save(tmp_path / "good.png")
    found = find_content([tmp_path])
    crops = Crops(found, size=64, batch=4, seed=0)
    batches = [crops.batch_at(step) for step in range(4)]
    assert all(batch.shape == (4, 3, 64, 64) for batch in batches)
    assert {*found.skipped, *crops.broken} == {bad}
    again = Crops(found, size=64, batch=4, seed=0)
    assert torch.equal(again.batch_at(3), batches[3])


def test_only_truncated_pictures_are_an_error(tmp_path: Path) -> None:
    """There is nothing to draw instead."""
    content = Content((truncated(tmp_path / "bad.jpg"),), ())
    with pytest.raises(TrainingError, match="can't be decoded"):
        Crops(content, size=64, batch=1, seed=0).batch_at(0)


def test_nothing_to_train_on(tmp_path: Path) -> None:
    """A missing folder, an empty one, and one without a readable picture."""
    with pytest.raises(TrainingError, match="no such folder"):
        find_content([tmp_path / "missing"])
    with pytest.raises(TrainingError, match="no readable pictures"):
        find_content([tmp_path])
    (tmp_path / "bad.jpg").write_text("not a picture")
    with pytest.raises(TrainingError, match="1 files could not be read"):
        find_content([tmp_path])


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


def test_crops_are_fixed_by_seed_and_step(content: Content) -> None:
    """A resumed run sees what an uninterrupted one would have seen."""
    crops = Crops(content, size=64, batch=3, seed=7)
    first = crops.batch_at(5)
    assert first.shape == (3, 3, 64, 64)
    assert first.min() >= 0
    assert 0.9 < first.max() <= 1
    assert torch.equal(first, Crops(content, size=64, batch=3, seed=7).batch_at(5))
    assert not torch.equal(first, crops.batch_at(6))
    assert not torch.equal(first, Crops(content, size=64, batch=3, seed=8).batch_at(5))


def test_small_pictures_are_scaled_up(tmp_path: Path) -> None:
    """A thumbnail still makes a whole crop."""
    save(tmp_path / "small.png", 12, 200)
    crops = Crops(find_content([tmp_path]), size=64, batch=2, seed=0)
    assert crops.batch_at(0).shape == (2, 3, 64, 64)


def test_reading_ahead_yields_the_same_batches(content: Content) -> None:
    """The stream from step 2 on is steps 2, 3, 4, and then ends."""
    crops = Crops(content, size=64, batch=1, seed=0)
    streamed = list(crops.batches(2, 5))
    assert len(streamed) == 3
    for step, batch in zip(range(2, 5), streamed, strict=True):
        assert torch.equal(batch, crops.batch_at(step))


def test_a_reader_left_early_ends_its_thread(content: Content) -> None:
    """Stopping in the middle holds no thread (the fixture looks)."""
    stream = Crops(content, size=64, batch=1, seed=0).batches(0, 1000)
    next(stream)
    stream.close()


def test_a_fault_in_the_reader_reaches_the_caller(content: Content, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong in the thread is raised where the batches are used."""

    def fail(self: Crops, step: int) -> None:
        raise MemoryError("too much")

    monkeypatch.setattr(Crops, "batch_at", fail)
    with pytest.raises(MemoryError, match="too much"):
        list(Crops(content, size=64, batch=1, seed=0).batches(0, 3))


def small_weights(prefix: str = "features.") -> dict[str, torch.Tensor]:
    channels, weights = 3, {}
    for number, width in WIDTHS.items():
        weights[f"{prefix}{number}.weight"] = torch.zeros(width, channels, 3, 3)
        weights[f"{prefix}{number}.bias"] = torch.zeros(width)
        channels = width
    return weights


def test_vgg_sees_rgb_less_the_mean() -> None:
    """Pixels are 0-255, the mean is subtracted in RGB order; padding is black after that."""
    weights = small_weights()
    for color in range(3):
        weights["features.0.weight"][color, color, 1, 1] = 1
    weights["features.2.weight"][:3, :3, 1, 1] = torch.eye(3)
    vgg = VGG16Features(weights)
    orange = torch.tensor([1.0, 0.8, 0.6]).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    found = vgg(orange, ["relu1_1", "relu1_2"])
    expected = torch.tensor([255 - MEAN_RGB[0], 204 - MEAN_RGB[1], 153 - MEAN_RGB[2]])
    torch.testing.assert_close(found["relu1_2"][0, :3, 8, 8], expected)
    assert found["relu1_2"][0, 3:].abs().max() == 0
    assert not any(parameter.requires_grad for parameter in vgg.parameters())


def test_vgg_layers_have_their_sizes() -> None:
    """Halved before relu2, relu3 and relu4; only what was asked for comes back."""
    vgg = VGG16Features(small_weights())
    found = vgg(torch.rand(1, 3, 32, 32), ["relu1_2", "relu2_2", "relu3_3", "relu4_3"])
    assert {name: tuple(features.shape[1:]) for name, features in found.items()} == {
        "relu1_2": (64, 32, 32),
        "relu2_2": (128, 16, 16),
        "relu3_3": (256, 8, 8),
        "relu4_3": (512, 4, 4),
    }


@pytest.mark.parametrize("name", ["missing.pth", "missing.safetensors", "text.pth", "text.safetensors", "list.pth"])
def test_weights_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    """Missing, damaged, or another kind of file: one line with the fix."""
    path = tmp_path / name
    if name.startswith("text"):
        path.write_text("These are not weights.\nNot at all.\n" * 20)
    elif name.startswith("list"):
        torch.save([1, 2, 3], path)
    with pytest.raises(TrainingError, match="--vgg FILE") as caught:
        load_weights(path)
    assert "\n" not in str(caught.value)


def test_weights_of_another_network() -> None:
    """A missing layer, a layer of another shape, and something that is no tensor."""
    for change in (None, torch.zeros(1), "text"):
        weights = small_weights()
        if change is None:
            del weights["features.7.bias"]
        else:
            weights["features.7.bias"] = change  # type: ignore[assignment]
        with pytest.raises(TrainingError, match=r"features\.7"):
            VGG16Features(weights)


def test_weights_by_file_and_by_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The published .pth numbers its layers without a prefix; the option goes before the environment."""
    torch.save({"0.bias": torch.ones(1)}, tmp_path / "a.pth")
    torch.save({"features.0.bias": torch.zeros(1)}, tmp_path / "b.pth")
    monkeypatch.setenv("ALLAPRIMA_VGG", str(tmp_path / "a.pth"))
    assert load_weights()["features.0.bias"].item() == 1
    assert load_weights(tmp_path / "b.pth")["features.0.bias"].item() == 0


def test_safetensors_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is the line that installs it."""
    monkeypatch.setitem(__import__("sys").modules, "safetensors.torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'allaprima\[train\]'"):
        load_weights(tmp_path / "weights.safetensors")


def test_a_download_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline without weights: what to do stands in the message."""

    def fail(*given: object, **options: object) -> None:
        raise OSError("no network")

    monkeypatch.delenv("ALLAPRIMA_VGG", raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(TrainingError, match=r"no network.*--vgg FILE"):
        load_weights()


@pytest.mark.parametrize("name", ["abacus", "cuda"])
def test_a_device_that_is_not_here(name: str) -> None:
    """Named, with the one that is."""
    if name == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(TrainingError, match=f"no '{name}' here; choose --device"):
        session.pick_device(name)


def test_devices_that_are_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU always; ``auto`` takes the accelerator where there is one."""
    assert session.pick_device("cpu") == "cpu"
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    assert session.pick_device("auto") == "cpu"
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    assert session.pick_device("auto") == session.pick_device("cuda") == "cuda"
    with pytest.raises(TrainingError, match="choose --device cuda"):
        session.pick_device("mps")


def test_fast_bf16_is_asked_of_the_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    """Emulated bfloat16 would be slower than float32, so it doesn't count."""
    asked: dict[str, bool] = {}
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **options: asked.update(options) or True)
    assert session.has_fast_bf16("cuda")
    assert asked == {"including_emulation": False}
    for has in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda has=has: has)
        assert session.has_fast_bf16("cpu") is has
    assert not session.has_fast_bf16("mps")
