"""The loss network and its weights: what it sees, and what files it can be read from."""

# ruff: noqa: E402
from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from allaprima.errors import MissingExtraError, TrainingError
from allaprima.train.vgg import MEAN_RGB, VGG16Features, load_weights

WIDTHS = {0: 64, 2: 64, 5: 128, 7: 128, 10: 256, 12: 256, 14: 256, 17: 512, 19: 512, 21: 512}


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
