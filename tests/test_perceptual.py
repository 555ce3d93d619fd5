"""The perceptual instrument: distances, scores and what is remembered. With random weights in VGG16's shapes."""

# ruff: noqa: E402
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")


from allaprima.errors import StyleError, TrainingError
from allaprima.frame import Pixels
from allaprima.measure.quality import perceptual
from allaprima.measure.quality.perceptual import Painting, PerceptualMeter, own_crops, resize_painting
from allaprima.train.vgg import VGG16Features

SIZE = (24, 32)


@pytest.fixture
def meter(vgg_file: Path) -> PerceptualMeter:
    return PerceptualMeter(vgg_file)


def picture(seed: int = 0, size: tuple[int, int] = SIZE) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


class Colors:
    """A loss network whose only features, at every layer, are the colors 0-1."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self, image: torch.Tensor, layers: tuple[str, ...]) -> dict[str, torch.Tensor]:
        self.looks += 1
        return dict.fromkeys(layers, image)


@pytest.fixture
def colors(monkeypatch: pytest.MonkeyPatch) -> Colors:
    """The network that :func:`color_meter` measures with."""
    net = Colors()
    monkeypatch.setattr(perceptual, "load_weights", lambda path: {})
    monkeypatch.setattr(perceptual, "VGG16Features", lambda weights: net)
    return net


def columns(*levels: int) -> Pixels:
    """Red in as many columns, nothing else."""
    result = np.zeros((4, len(levels), 3), np.uint8)
    result[..., 0] = levels
    return result


def test_distances_by_hand(colors: Colors) -> None:
    """Protects the formulas: red 1, 0 against red 1, 1 has the Gram entry ½ for 1, and half of the features."""
    meter = PerceptualMeter()
    painting = meter.painting(columns(255, 255))
    result = meter.measure("a", columns(255, 255), columns(255, 0), painting)
    assert result.content == pytest.approx(0.5)
    assert result.distance == pytest.approx(0.25)
    assert result.score is None, "the photograph is the painting: there is no scale"
    assert result.layers == pytest.approx(dict.fromkeys(("relu1_2", "relu2_2", "relu3_3", "relu4_3"), 0.25))


def test_score_by_hand(colors: Colors) -> None:
    """Protects the scale: (d − own) / (untouched − own), own being the mean of the painting's own crops."""
    meter = PerceptualMeter()
    painting = Painting(meter.painting(columns(255, 255)).grams, own=0.05)
    black = meter.measure("black", columns(0, 0), columns(255, 0), painting)
    assert black.score == pytest.approx((0.25 - 0.05) / (1 - 0.05))


def test_own_distance_is_the_mean_over_the_crops(colors: Colors, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects the lower end: crops of one column each, red 1 and red 0, are at 1 and at 1 from Gram ½."""
    monkeypatch.setattr(perceptual, "CROP_SIZE", (4, 1))
    assert PerceptualMeter().painting(columns(255, 0)).own == pytest.approx((1 + 1) / 2)


def test_untouched_is_one_and_own_crops_are_about_zero(meter: PerceptualMeter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects the ends of the scale, with VGG16's shapes: 1 for the photograph, 0 on average for the crops."""
    monkeypatch.setattr(perceptual, "CROP_SIZE", (16, 24))
    art = np.asarray(picture(1) // 8, np.uint8)
    painting = meter.painting(art)
    photograph = np.full((16, 24, 3), 200, np.uint8)
    untouched = meter.measure("photograph", photograph, photograph, painting)
    assert untouched.score == pytest.approx(1)
    assert untouched.content == 0
    scores = [meter.measure("photograph", photograph, crop, painting).score for crop in own_crops(art)]
    assert len(scores) == 9
    assert np.mean(np.array(scores, float)) == pytest.approx(0, abs=1e-5)


def test_content_grows_with_what_is_painted_over(meter: PerceptualMeter) -> None:
    """Protects the meaning of content: a little noise is nearer than another picture; no painting is needed."""
    photograph = picture()
    near = np.clip(photograph.astype(int) + np.random.default_rng(5).integers(-9, 10, photograph.shape), 0, 255)
    slight, other = (
        meter.measure("photograph", photograph, np.asarray(pixels, np.uint8)) for pixels in (near, picture(7))
    )
    assert 0 < slight.content < 0.2 * other.content
    assert (slight.score, slight.distance, slight.layers) == (None, None, None)


def test_one_pass_serves_everything(colors: Colors) -> None:
    """Protects the time of an evaluation: a picture is looked at once however many styles are measured over it."""
    meter = PerceptualMeter()
    paintings = [meter.painting(columns(255, level)) for level in (0, 100)]
    before = colors.looks
    for painting in paintings:
        for name in ("a", "b"):
            meter.measure(name, columns(10, 20), columns(30, 40), painting)
    assert colors.looks - before == 2 + 4


def test_another_picture_under_the_same_name(colors: Colors) -> None:
    """Protects against measuring beside the wrong photograph: names may repeat, pictures decide."""
    meter = PerceptualMeter()
    meter.measure("a", columns(255, 255), columns(255, 0))
    assert meter.measure("a", columns(0, 255), columns(0, 255)).content == 0


def test_another_size(meter: PerceptualMeter) -> None:
    """Protects against comparing what doesn't compare: one clear line."""
    with pytest.raises(StyleError, match="32×24 came back as 30×24"):
        meter.measure("a", picture(), picture(size=(24, 30)))


def test_without_weights(tmp_path: Path) -> None:
    """Protects who has no network: the error says where weights can come from."""
    with pytest.raises(TrainingError, match="ALLAPRIMA_VGG"):
        PerceptualMeter(tmp_path / "missing.pth")


def test_features_are_not_kept_for_training(meter: PerceptualMeter) -> None:
    """Protects memory: nothing that is measured drags a graph of gradients along."""
    painting = meter.painting(picture())
    assert isinstance(meter._vgg, VGG16Features)
    assert not any(matrix.requires_grad for matrix in painting.grams.values())


def test_paintings_are_looked_at_at_one_size() -> None:
    """Protects the protocol: 512 px on the short side, as many crops of 512×384 as fit apart."""
    art = resize_painting(picture(size=(300, 400)))
    assert art.shape == (512, 683, 3)
    assert {crop.shape for crop in own_crops(art)} == {(384, 512, 3)}
    assert len(own_crops(art)) == 9
