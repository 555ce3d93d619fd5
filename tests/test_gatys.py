"""Painting by optimization: the equations, the way through the scales, and what is kept when it ends early."""

# ruff: noqa: E402
from __future__ import annotations

import importlib
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import typer

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from allaprima.cli.progress import Stop
from allaprima.errors import MissingExtraError, PartialRunError, SinkError, TrainingError, UsageError
from allaprima.frame import Pixels
from allaprima.picture import read_picture, write_picture
from allaprima.train.methods import gatys
from allaprima.train.methods.gatys import (
    CONTENT_LAYER,
    STYLE_LAYERS,
    Average,
    GatysResult,
    GatysStep,
    Objective,
    loss_network,
    paint,
    total_variation,
)
from allaprima.train.pyramid import covering, fitting, ladder, resized, split_steps, to_pixels
from allaprima.train.recipes.gatys import GatysRecipe
from allaprima.train.vgg import load_weights

command = importlib.import_module("allaprima.cli.gatys")
"""The module; as an attribute of ``allaprima.cli``, the name is the verb's."""
SIZE = (32, 40)


@pytest.fixture(scope="module")
def weights(vgg_file: Path) -> dict[str, Any]:
    return load_weights(vgg_file)


@pytest.fixture(scope="module")
def network(weights: dict[str, Any]) -> Any:
    return loss_network(weights)


@pytest.fixture(autouse=True)
def process(network: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One loss network for all, which takes long to make; and the number of threads, which painting sets, put back."""
    monkeypatch.setattr(gatys, "loss_network", lambda weights: network)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def picture(seed: int, size: tuple[int, int] = SIZE) -> Pixels:
    """Soft blots of color."""
    rough = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    return np.asarray(cv2.resize(rough, size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


CONTENT, STYLE, OTHER = picture(1), picture(2), picture(3, (48, 36))


def random_image(seed: int, *size: int) -> Any:
    return torch.rand((1, 3, *size), generator=torch.Generator().manual_seed(seed))


LEVELS = dict(zip((*STYLE_LAYERS, CONTENT_LAYER), (1.0, 2.0, 3.0, 4.0, 5.0, 6.0), strict=True))


class Colors:
    """A loss network whose only features, at every layer, are the colors, each layer at a level of its own."""

    def __call__(self, image: Any, layers: tuple[str, ...]) -> dict[str, Any]:
        return {name: (image + LEVELS[name]) for name in layers}


def objective(recipe: GatysRecipe, content: Any, *styles: Any) -> Objective:
    return Objective(Colors(), recipe, content, styles)  # type: ignore[arg-type]


def gram(features: Any) -> Any:
    """Gram matrix over positions, float64 3×3, written out for one picture of colors."""
    flat = features[0].double().flatten(1)
    return torch.einsum("ip,jp->ij", flat, flat) / flat.shape[1]


def test_total_variation_by_hand() -> None:
    """Protects the formula: in each of 3 channels ½ stands beside 0 and above 0, so ¼ of 2 squares and ¼ of 2."""
    image = torch.zeros(1, 3, 2, 2)
    image[..., 0, 0] = 0.5
    assert total_variation(image).item() == pytest.approx(0.25 / 2 + 0.25 / 2)


def test_losses_against_float64() -> None:
    """Protects equations 1 and 3-5 and the weights: every loss by NumPy in float64, written out."""
    content, style, image = random_image(0, 6, 8), random_image(1, 5, 9), random_image(2, 6, 8)
    recipe = GatysRecipe(content_weight=2, style_weight=7, tv_weight=3)
    found = {name: value.item() for name, value in objective(recipe, content, style)(image).items()}

    x, c = image[0].double().numpy(), content[0].double().numpy()
    expected = {"content": ((x - c) ** 2).sum() / ((c + LEVELS[CONTENT_LAYER]) ** 2).sum()}
    for name in STYLE_LAYERS:
        target = gram(style + LEVELS[name]).numpy()
        distance = gram(image + LEVELS[name]).numpy() - target
        expected[f"style/{name}"] = (distance**2).sum() / (target**2).sum()
    expected["style"] = np.mean([expected[f"style/{name}"] for name in STYLE_LAYERS])
    expected["tv"] = (np.diff(x, axis=1) ** 2).mean() + (np.diff(x, axis=2) ** 2).mean()
    expected["total"] = 2 * expected["content"] + 7 * expected["style"] + 3 * expected["tv"]
    assert found == pytest.approx(expected, rel=1e-5)


def test_several_styles_pull_as_their_weighted_losses() -> None:
    """Protects the blended target: its gradient is that of ¾‖G − G₁‖² + ¼‖G − G₂‖² over the target's norm."""
    content, one, two = random_image(0, 6, 8), random_image(1, 6, 8), random_image(2, 5, 7)
    image = random_image(3, 6, 8).requires_grad_()
    recipe = GatysRecipe(style_weights=(3, 1))
    (blended,) = torch.autograd.grad(objective(recipe, content, one, two)(image)["style/relu1_1"], image)
    targets = [gram(each + 1) for each in (one, two)]
    loss = sum(share * (gram(image + 1) - t).square().sum() for share, t in zip((0.75, 0.25), targets, strict=True))
    (apart,) = torch.autograd.grad(loss, image)
    norm = (0.75 * targets[0] + 0.25 * targets[1]).square().sum()
    assert torch.allclose(blended.double(), apart.double() / norm, rtol=1e-4, atol=1e-9)


def test_average_by_hand() -> None:
    """Protects the correction: of 1 alone 1; of 1 and then 3 at a decay of ½, (¼·1 + ½·3) / ¾."""
    average = Average(0.5)
    average.add(torch.tensor(1.0))
    assert average.value().item() == 1
    average.add(torch.tensor(3.0))
    assert average.value().item() == pytest.approx(1.75 / 0.75)


def test_the_loss_network_sees_no_frame(network: Any) -> None:
    """Protects the edges of paintings: an even picture looks even up to its edge, in the last layer too."""
    features = network(torch.full((1, 3, 32, 40), 0.8), (STYLE_LAYERS[0], CONTENT_LAYER))
    for feature in features.values():
        assert torch.allclose(feature, feature[..., :1, :1].expand_as(feature), rtol=1e-3, atol=1e-2)


def test_bfloat16_is_near_float32(network: Any) -> None:
    """Protects the faster way of Adam: losses within 3 %, gradients in the same direction."""
    image = random_image(3, 32, 32).requires_grad_()
    results = []
    for autocast in (False, True):
        losses = Objective(network, GatysRecipe(), random_image(0, 32, 32), [random_image(1, 32, 32)], autocast)(image)
        (gradient,) = torch.autograd.grad(losses["total"], image)
        results.append((losses["total"].item(), gradient.flatten()))
    assert results[1][0] == pytest.approx(results[0][0], rel=0.03)
    assert torch.cosine_similarity(results[0][1], results[1][1], dim=0) > 0.97


def test_ladder_by_hand() -> None:
    """Protects the sizes: 512·2^(−i/2) down to 128, in proportion; a small picture is its only scale."""
    assert ladder(512, 384) == [(128, 96), (181, 136), (256, 192), (362, 272), (512, 384)]
    assert ladder(100, 90) == [(100, 90)]
    assert ladder(1024, 40) == [(1024, 40)], "one scale down, 28 rows would be too few"


@pytest.mark.parametrize("size", [(31, 200), (200, 31)])
def test_too_small_to_paint(size: tuple[int, int]) -> None:
    """Protects against an error from deep inside: one line with the size."""
    with pytest.raises(UsageError, match=f"{size[0]}×{size[1]} is too small"):
        ladder(*size)


def test_steps_are_split_whole() -> None:
    """Protects the number of steps: double for the coarsest, none lost, the rest and the only one for the finest."""
    assert split_steps(60, 5) == [20, 10, 10, 10, 10]
    assert split_steps(7, 1) == [7]
    assert split_steps(1, 4) == [0, 0, 0, 1]
    assert all(sum(split_steps(steps, 5)) == steps for steps in range(1, 40))


def test_style_pictures_are_fitted_never_enlarged() -> None:
    """Protects the strokes: the long side says how large, up to what the picture has."""
    assert fitting(picture(0, (200, 400)), 100) == (100, 50)
    assert fitting(picture(0, (200, 400)), 1000) == (400, 200)
    assert fitting(picture(0, (40, 400)), 100) == (100, 32)


def test_pictures_survive_the_way_in_and_out() -> None:
    """Protects every level of 255; covering cuts the middle out and keeps the proportions."""
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    assert np.array_equal(to_pixels(resized(levels, (16, 16))), levels)
    assert np.array_equal(to_pixels(covering(levels, (16, 8))), levels[4:12])


def run(weights: dict[str, Any], recipe: GatysRecipe, **options: Any) -> GatysResult:
    return paint(CONTENT, [STYLE], recipe, weights, threads=1, device="cpu", **options)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_loss_falls_and_the_picture_is_the_same_again(
    weights: dict[str, Any], network: Any, optimizer: str
) -> None:
    """Protects both optimizers: far below the photograph's loss, losses of this very picture, the same pixels twice."""
    recipe = GatysRecipe(steps=9, optimizer=optimizer)
    seen: list[GatysStep] = []
    first = run(weights, recipe, on_step=seen.append)
    assert [state.step for state in seen] == list(range(1, 10))
    assert first.losses["total"] < 0.7 * seen[0].losses["total"]
    again = Objective(network, recipe, resized(CONTENT, SIZE[::-1]), [resized(STYLE, SIZE[::-1])])
    assert again(resized(first.pixels, SIZE[::-1]))["total"].item() == pytest.approx(first.losses["total"], rel=0.1)
    assert (first.step, first.error, first.interrupted) == (9, None, False)
    assert np.array_equal(first.pixels, run(weights, recipe).pixels)


def test_noise_comes_from_the_seed(weights: dict[str, Any]) -> None:
    """Protects repeatable noise, and what painting starts from: content, style or noise."""
    starts = [
        run(weights, GatysRecipe(steps=1, init=init, seed=seed), stop=lambda: True).pixels
        for init, seed in (("content", 0), ("style", 0), ("noise", 0), ("noise", 0), ("noise", 1))
    ]
    assert np.array_equal(starts[0], CONTENT)
    assert np.array_equal(starts[1], STYLE)
    assert np.array_equal(starts[2], starts[3])
    assert not np.array_equal(starts[3], starts[4])


def test_scales_hand_on_their_result(weights: dict[str, Any]) -> None:
    """Protects the ladder: each scale starts from the enlarged result before, so less is left to fall."""
    seen: list[GatysStep] = []
    content = picture(1, (48, 182))
    result = paint(content, [OTHER], GatysRecipe(steps=6), weights, threads=1, device="cpu", on_step=seen.append)
    assert [tuple(state.image.shape[2:]) for state in seen] == [(34, 129)] * 4 + [(48, 182)] * 2
    assert result.pixels.shape == content.shape
    assert seen[4].losses["total"] < seen[0].losses["total"]


class Poisoned:
    """Makes the total of one evaluation and all after it what it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, first: int, total: float) -> None:
        original, self.count = Objective.__call__, 0

        def call(itself: Objective, image: Any) -> dict[str, Any]:
            losses = original(itself, image)
            self.count += torch.is_grad_enabled()
            return losses if self.count < first else {**losses, "total": losses["total"] * 0 + total}

        monkeypatch.setattr(Objective, "__call__", call)


@pytest.mark.parametrize(("optimizer", "total"), [("lbfgs", math.nan), ("lbfgs", 1e9), ("adam", math.inf)])
def test_a_loss_that_runs_away_keeps_the_last_good_picture(
    weights: dict[str, Any], monkeypatch: pytest.MonkeyPatch, optimizer: str, total: float
) -> None:
    """Protects minutes of work: what three good steps came to is kept, and the failed step is named."""
    Poisoned(monkeypatch, 4, total)
    seen: list[GatysStep] = []
    result = run(weights, GatysRecipe(steps=10, optimizer=optimizer), on_step=seen.append)
    assert isinstance(result.error, TrainingError)
    assert "at step 4" in str(result.error)
    assert (result.step, result.interrupted) == (3, False)
    assert np.array_equal(result.pixels, to_pixels(seen[-1].image))
    assert not np.array_equal(result.pixels, CONTENT)


def test_no_first_loss_is_an_error(weights: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects against a "last good picture" that never was."""
    Poisoned(monkeypatch, 1, math.nan)
    with pytest.raises(TrainingError, match="at step 1"):
        run(weights, GatysRecipe(steps=10))


def test_minutes_become_steps(weights: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects the budget: with a clock of one second a look, a step takes 1 s, measuring 3 s, and 57 of 60 remain."""
    clock = iter(range(100))
    monkeypatch.setattr("allaprima.train.methods.gatys.time.perf_counter", lambda: next(clock))
    announced: list[int] = []
    result = run(weights, GatysRecipe(), minutes=1, on_start=announced.append, stop=lambda: True)
    assert announced == [57]
    assert (result.recipe.steps, result.step, result.interrupted) == (57, 0, True)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"optimizer": "sgd"}, "optimizer"),
        ({"init": "gray"}, "starts from"),
        ({"steps": 0}, "at least 1 step"),
        ({"style_weight": math.nan}, "style_weight"),
        ({"tv_weight": -1}, "tv_weight"),
        ({"style_scale": 0}, "style_scale"),
        ({"content_weight": 0, "style_weight": 0}, "can't both be 0"),
        ({"style_weights": (0.0, 0.0)}, "not all 0"),
        ({"style_weights": (1.0, -1.0)}, "0 or more"),
    ],
)
def test_settings_that_cannot_be_painted_with(fields: dict[str, Any], message: str) -> None:
    """Protects against minutes spent on nonsense: one line that names the setting."""
    with pytest.raises(UsageError, match=message):
        GatysRecipe(**fields)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A content picture and two to paint like."""
    for name, pixels in (("content", CONTENT), ("style", STYLE), ("other", OTHER)):
        write_picture(tmp_path / f"{name}.png", pixels)
    return tmp_path


def call(folder: Path, vgg_file: Path, *more: str, out: str = "out.png", style: str = "style.png") -> None:
    app = typer.Typer()
    app.command()(command.gatys)
    files = ["--content", str(folder / "content.png"), "--style-image", str(folder / style), "--out", str(folder / out)]
    app([*files, "--vgg", str(vgg_file), "--device", "cpu", "--threads", "1", *more], standalone_mode=False)


def test_the_command_paints_and_records(folder: Path, vgg_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Protects the whole way: picture of the asked size, previews, and one record printed and kept beside it."""
    more = ("--style-image", str(folder / "other.png"), "--style-weights", "3,1", "--size", "64", "--steps", "4")
    call(folder, vgg_file, *more, "--previews", str(folder / "way"), "--every", "2", "--seed", "5", "--json")
    assert read_picture(folder / "out.png").pixels.shape == (51, 64, 3)
    assert sorted(path.name for path in (folder / "way").iterdir()) == ["preview-000002.png", "preview-000004.png"]
    record = json.loads(capsys.readouterr().out)
    assert record == json.loads((folder / "out.json").read_text())
    assert set(record["losses"]) == {"total", "content", "style", "tv", *(f"style/{name}" for name in STYLE_LAYERS)}
    assert record["recipe"]["style_weights"] == [3, 1]
    assert record["recipe"] | {"steps": 4, "seed": 5, "optimizer": "lbfgs"} == record["recipe"]
    assert (record["width"], record["height"], record["step"], record["steps"]) == (64, 51, 4, 4)
    assert record["threads"] == 1
    assert record["versions"]["torch"] == torch.__version__


def test_kept_colors_are_the_contents(folder: Path, vgg_file: Path) -> None:
    """Protects --keep-colors: the chroma of the content, and light and dark of the painting."""
    for name, more in (("plain.png", ()), ("kept.png", ("--keep-colors",))):
        call(folder, vgg_file, "--size", "40", "--steps", "5", *more, out=name)
    plain, kept, content = (
        cv2.cvtColor(read_picture(folder / f"{name}.png").pixels, cv2.COLOR_RGB2YCrCb).astype(float)
        for name in ("plain", "kept", "content")
    )

    def apart(one: Any, two: Any, channels: slice) -> float:
        return float(np.abs(one - two)[..., channels].mean())

    chroma, luma = slice(1, 3), slice(0, 1)
    assert apart(kept, content, chroma) < 0.5 * apart(plain, content, chroma)
    assert apart(kept, plain, luma) < 0.5 * apart(content, plain, luma)


def test_stopped_by_hand(folder: Path, vgg_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects Ctrl-C: exit code 130, the part under a name of its own with its record, the final name free."""

    class AfterThree(Stop):
        looks = 0

        def is_set(self) -> bool:
            self.looks += 1
            return self.looks > 4

    @contextmanager
    def signals() -> Iterator[Stop]:
        yield AfterThree()

    monkeypatch.setattr(command, "stop_on_signals", signals)
    with pytest.raises(PartialRunError, match=r"3 steps are kept in .*out\.partial\.png") as error:
        call(folder, vgg_file, "--size", "40")
    assert error.value.exit_code == 130
    assert read_picture(folder / "out.partial.png").pixels.shape == CONTENT.shape
    assert json.loads((folder / "out.partial.json").read_text())["step"] == 3
    assert not (folder / "out.png").exists()


def test_a_loss_that_runs_away_ends_the_command(folder: Path, vgg_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects the last good picture on the disk, and the exit code of training."""
    Poisoned(monkeypatch, 3, math.nan)
    with pytest.raises(PartialRunError, match=r"at step 3.*out\.partial\.png") as error:
        call(folder, vgg_file, "--size", "40")
    assert error.value.exit_code == TrainingError.exit_code
    assert (folder / "out.partial.png").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--steps", "5", "--minutes", "1"), "either"),
        (("--style-weights", "a"), "numbers"),
        (("--style-weights", "1,2"), "1 style pictures need"),
        (("--size", "0"), "longest side"),
        (("--size", "wide"), "WIDTHxHEIGHT"),
        (("--size", "31"), "too small"),
        (("--optimizer", "sgd"), "lbfgs or adam"),
    ],
)
def test_options_that_cannot_be_used(folder: Path, vgg_file: Path, more: tuple[str, ...], message: str) -> None:
    """Protects users: one line before anything is painted or written."""
    with pytest.raises(UsageError, match=message):
        call(folder, vgg_file, *more)
    assert not list(folder.glob("out*"))


def test_destinations_that_are_taken(folder: Path, vgg_file: Path) -> None:
    """Protects what is there: the picture, its record, earlier previews, and always the pictures painted from."""
    (folder / "out.json").write_text("{}")
    with pytest.raises(SinkError, match=r"out\.json' is there already"):
        call(folder, vgg_file)
    (folder / "way").mkdir()
    (folder / "way" / "preview-000050.png").touch()
    with pytest.raises(SinkError, match="has previews already"):
        call(folder, vgg_file, "--previews", str(folder / "way"), out="new.png")
    with pytest.raises(SinkError, match="one of the pictures to paint from"):
        call(folder, vgg_file, "--overwrite", out="style.png")
    call(folder, vgg_file, "--overwrite", "--size", "48x36", "--steps", "1")
    assert json.loads((folder / "out.json").read_text())["width"] == 48


def test_without_torch(folder: Path, vgg_file: Path, uninstall: Callable[[str], None]) -> None:
    """Protects who hasn't PyTorch: what to install, not what failed to import."""
    uninstall("torch")
    with pytest.raises(MissingExtraError, match=r"pip install 'allaprima\[train\]'"):
        call(folder, vgg_file)
