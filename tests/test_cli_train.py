"""``allaprima train``: what the options become, what is refused before hours are spent, and what is left at the end."""

# ruff: noqa: E402
from __future__ import annotations

import os
import signal
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from nets import negative

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from allaprima.cli import run
from allaprima.errors import TrainingError
from allaprima.measure.quality import evaluation, material
from allaprima.picture import write_picture
from allaprima.style import Card, Style, write_style
from allaprima.train import export, session
from allaprima.train.recipe import Recipe
from allaprima.train.recipes import RECIPES

METHODS = tuple(RECIPES)


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (96, 80)) -> Path:
    """Soft blots of color."""
    rough = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, np.asarray(cv2.resize(rough, size), np.uint8), like=None, overwrite=False)
    return path


class Studio:
    """In place of the training session and the export: keeps what they were asked for, makes a style of a negative."""

    def __init__(self) -> None:
        self.recipe: Recipe | None = None
        self.folder: Path | None = None
        self.options: dict[str, Any] = {}
        self.signal: int | None = None
        self.error: TrainingError | None = None

    def train(self, recipe: Recipe, folder: Path, **options: Any) -> SimpleNamespace:
        self.recipe, self.folder, self.options = recipe, folder, options
        options["say"]("3 pictures")
        options["on_start"](9, 0)
        options["on_step"](SimpleNamespace(step=1, steps=9, losses={"total": 1.5}))
        if self.error is not None:
            raise self.error
        if self.signal is not None:
            os.kill(os.getpid(), self.signal)
            assert options["stop"]()
        return SimpleNamespace(recipe=recipe, step=9, steps=9)

    def export(self, result: SimpleNamespace, path: Path) -> Style:
        return write_style(path, negative(), Card(result.recipe.title or "untitled"))


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch) -> Studio:
    made = Studio()
    monkeypatch.setattr(session, "train", made.train)
    monkeypatch.setattr(export, "export_style", made.export)
    monkeypatch.delenv("ALLAPRIMA_DATA", raising=False)
    monkeypatch.delenv("RANK", raising=False)
    return made


def train(method: str, out: Path, *more: object) -> int:
    return run(["train", method, "--out", str(out), *map(str, more)])


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_methods_are_listed_without_torch(
    capsys: pytest.CaptureFixture[str], uninstall: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who chooses a method has installed nothing yet; every word can be read on narrow terminals, too."""
    uninstall("torch")
    for columns in ("40", "80", "160"):
        monkeypatch.setenv("COLUMNS", columns)
        assert run(["train", "--list"]) == 0
        printed = capsys.readouterr().out
        assert {*METHODS, "gatys"} <= set(printed.split())
        assert "…" not in printed
        assert max(map(len, printed.splitlines())) <= int(columns)
        assert {word for kind in RECIPES.values() for word in kind.about.needs.split()} <= set(printed.split())


@pytest.mark.parametrize("method", METHODS)
def test_help_and_recipe_without_torch(
    method: str, capsys: pytest.CaptureFixture[str], uninstall: Callable[[str], None], tmp_path: Path
) -> None:
    """Every verb has the common options, and shows its recipe as a file to begin one's own with."""
    uninstall("torch")
    assert run(["train", method, "--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"--{name}" in printed for name in ("style-image", "content", "set", "resume", "report"))
    assert run(["train", method, "--show-recipe", "--set", "blocks=2", "--content", "a=2", "--steps", "5"]) == 0
    shown = capsys.readouterr().out
    (tmp_path / "own.toml").write_text(shown, encoding="utf-8")
    kind = RECIPES[method]
    assert kind.read(tmp_path / "own.toml") == kind(content=("a=2",), steps=5).changed(["blocks=2"])
    assert tomllib.loads(shown)["method"] == method


def test_training_without_torch_names_the_extra(
    tmp_path: Path, uninstall: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """The command says what to install, not what failed to import."""
    uninstall("torch")
    assert train("johnson", tmp_path / "new.onnx") == 7
    assert "pip install 'allaprima[train]'" in one_line(capsys)
    assert not any(tmp_path.iterdir())


def test_a_recurrent_net_is_an_option_of_its_method(
    studio: Studio, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a field of the recipe; left out, a recipe's own setting holds; another method has no such option."""
    assert train("realtime", tmp_path / "new.onnx", "--recurrent") == 0
    assert studio.recipe == RECIPES["realtime"](recurrent=True)  # type: ignore[call-arg]
    (tmp_path / "own.toml").write_text("recurrent = true\n", encoding="utf-8")
    assert train("realtime", tmp_path / "more.onnx", "--recipe", tmp_path / "own.toml") == 0
    assert studio.recipe == RECIPES["realtime"](recurrent=True)  # type: ignore[call-arg]
    capsys.readouterr()
    assert train("johnson", tmp_path / "other.onnx", "--recurrent") == 2
    assert "--recurrent" in one_line(capsys)


@pytest.mark.parametrize("method", METHODS)
def test_options_become_the_recipe(method: str, studio: Studio, tmp_path: Path) -> None:
    """A file's settings, the options over them, and --set over all; what is no part of the recipe goes beside it."""
    (tmp_path / "own.toml").write_text('title = "File"\nartist = "Somebody"\nseed = 3\nbatch = 1\n', encoding="utf-8")
    out = tmp_path / "new.onnx"
    options = ["--recipe", tmp_path / "own.toml", "--style-image", "wave.jpg", "--content", "photos=2.5"]
    options += ["--content", "scene:pan", "--exclude", "game-*", "--steps", 7, "--seed", 5, "--init", "great-wave"]
    options += ["--set", "batch=3", "--set", "title=Set", "--title", "Option", "--threads", 1, "--device", "cpu"]
    options += ["--preview", "clip.mp4", "--data", tmp_path, "--vgg", "vgg.pth"]
    assert train(method, out, *options) == 0
    assert studio.recipe == RECIPES[method](
        title="Set",
        artist="Somebody",
        seed=5,
        batch=3,
        style_image="wave.jpg",
        content=("photos=2.5", "scene:pan"),
        exclude=("game-*",),
        steps=7,
        init="great-wave",
    )
    assert studio.folder == tmp_path / "new.run"
    expected = {
        "data": tmp_path,
        "minutes": 0.0,
        "resume": False,
        "vgg": Path("vgg.pth"),
        "device": "cpu",
        "threads": 1,
        "preview": Path("clip.mp4"),
    }
    assert {name: studio.options[name] for name in expected} == expected
    assert Style.open(out).card.title == "Set"


def test_minutes_take_the_place_of_a_recipes_steps(studio: Studio, tmp_path: Path) -> None:
    """A file's number of steps is for a file's machine."""
    (tmp_path / "own.toml").write_text("steps = 4000\n", encoding="utf-8")
    assert train("realtime", tmp_path / "new.onnx", "--recipe", tmp_path / "own.toml", "--minutes", 2) == 0
    assert studio.recipe is not None and studio.recipe.steps == 0
    assert studio.options["minutes"] == 2


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        (["--set", "widht=3"], (8, "did you mean 'width'?")),
        (["--set", "width"], (8, "FIELD=VALUE")),
        (["--recipe", "{typo}"], (8, "did you mean 'learning_rate'?")),
        (["--recipe", "{other}"], (8, "is for the method 'reconet', not 'johnson'")),
        (["--recipe", "{missing}"], (8, "can't read recipe")),
        (["--out", "{there}"], (4, "choose another --out")),
        (["--out", "{missing}/new.onnx"], (4, "create it first")),
        (["--out", "{tmp}/new.pt"], (2, "must end in .onnx")),
        (["--report", "{missing}/report.html"], (4, "create it first")),
        (["--minutes", "1", "--steps", "2"], (2, "either --minutes or --steps")),
        (["--minutes", "1", "--set", "steps=2"], (2, "either --minutes or")),
        (["--minutes", "-1"], (2, "--minutes")),
        (["--paint"], (2, "--paint")),
    ],
)
def test_what_cannot_be_used_is_refused_before_training(
    studio: Studio, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], refused: tuple[int, str]
) -> None:
    """One line and the documented code, nothing trained, and nothing overwritten."""
    names = {name: tmp_path / f"{name}.toml" for name in ("typo", "other", "missing", "there")}
    names["typo"].write_text("learning_rat = 1.0", encoding="utf-8")
    names["other"].write_text('method = "reconet"', encoding="utf-8")
    names["there"] = tmp_path / "there.onnx"
    names["there"].write_bytes(b"precious")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    arguments = [option.format(tmp=tmp_path, **names) for option in options]
    assert run(["train", "johnson", "--out", str(tmp_path / "new.onnx"), *arguments]) == refused[0]
    assert refused[1] in one_line(capsys)
    assert studio.recipe is None
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_without_a_destination(studio: Studio, capsys: pytest.CaptureFixture[str]) -> None:
    """The one thing that every training needs."""
    assert run(["train", "reconet", "--steps", "1"]) == 2
    assert "--out" in one_line(capsys)


def test_resuming_replaces_what_the_stop_left(studio: Studio, tmp_path: Path) -> None:
    """A stopped training has written OUT already; going on under the same name is the point of --resume."""
    out = tmp_path / "new.onnx"
    out.write_bytes(b"as far as it got")
    assert train("realtime", out, "--resume") == 0
    assert studio.options["resume"] is True
    assert Style.open(out).card.title == "untitled"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_the_style(
    studio: Studio, tmp_path: Path, capsys: pytest.CaptureFixture[str], number: int, code: int
) -> None:
    """Ctrl-C writes the style as far as it got, measures nothing, and says so by the exit code."""
    studio.signal = number
    assert train("johnson", tmp_path / "new.onnx", "--report", tmp_path / "report.html") == code
    assert Style.open(tmp_path / "new.onnx")
    assert not (tmp_path / "report.html").exists()
    assert "allaprima evaluate" in capsys.readouterr().err


def test_a_training_that_fails_leaves_no_style(
    studio: Studio, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its error is the line and the code."""
    studio.error = TrainingError("the loss is not finite at step 3")
    assert train("johnson", tmp_path / "new.onnx") == 8
    assert capsys.readouterr().err.splitlines()[-1] == "allaprima: the loss is not finite at step 3"
    assert not any(tmp_path.iterdir())


def test_of_several_processes_the_first_writes(
    studio: Studio, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under torchrun all train, one writes and speaks."""
    monkeypatch.setenv("RANK", "1")
    assert train("johnson", tmp_path / "new.onnx") == 0
    assert studio.recipe is not None
    assert capsys.readouterr() == ("", "")
    assert not any(tmp_path.iterdir())
    monkeypatch.setenv("RANK", "0")
    assert train("johnson", tmp_path / "new.onnx") == 0
    assert "new.onnx: 'untitled', 9 of 9 steps" in capsys.readouterr().err


def test_the_report_is_that_of_evaluate(
    studio: Studio, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained, painted by the protocol, printed, reported, and stored on the card; against the recipe's painting."""
    monkeypatch.setattr(material, "PICTURE_SIZE", (160, 96))
    monkeypatch.setattr(material, "scene_suite", list)
    monkeypatch.setattr(evaluation, "_open_meter", lambda vgg: (None, f"no meter of {vgg}"))
    picture(tmp_path / "data" / "content-test" / "one.png", size=(160, 96))
    picture(tmp_path / "data" / "wave.png")
    options = ["--style-image", "wave.png", "--data", tmp_path / "data", "--vgg", "weights.pth"]
    assert train("johnson", tmp_path / "new.onnx", *options, "--report", tmp_path / "report.html") == 0
    printed = capsys.readouterr()
    assert "shift 1" in printed.out and "new" in printed.out
    assert "no meter of weights.pth" in printed.err and "to measure it" not in printed.err
    assert "data:image/" in (tmp_path / "report.html").read_text(encoding="utf-8")
    measured = Style.open(tmp_path / "new.onnx").card.measurements
    assert measured["data"]["pictures"] == ["one"]
    assert measured["shift"]["1"] is not None


def test_what_cannot_be_measured_on_is_told_before_training(
    studio: Studio, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not after the hours."""
    (tmp_path / "data" / "clips").mkdir(parents=True)
    options = ["--data", tmp_path / "data", "--report", tmp_path / "report.html"]
    assert train("johnson", tmp_path / "new.onnx", *options) == 3
    assert "no clip in" in one_line(capsys)
    assert studio.recipe is None


def test_without_a_report_it_says_how_to_measure(
    studio: Studio, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Measuring takes minutes, so it is asked for."""
    assert train("johnson", tmp_path / "new.onnx", "--style-image", "wave.png") == 0
    said = capsys.readouterr().err
    assert f"allaprima evaluate {tmp_path / 'new.onnx'} --style-image wave.png --write-card --report" in said
    assert "style" not in Style.open(tmp_path / "new.onnx").card.measurements


@pytest.mark.parametrize(
    ("method", "small"),
    [("realtime", ["channels=8"]), ("johnson", ["width=4"]), ("reconet", ["width=4"])],
)
def test_every_method_from_pictures_to_a_painting(
    method: str, small: list[str], tmp_path: Path, vgg_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two steps, a stored recipe, and a style file that paints."""
    monkeypatch.delenv("ALLAPRIMA_DATA", raising=False)
    before = torch.get_num_threads()
    photo = picture(tmp_path / "photos" / "one.png")
    options = ["--style-image", picture(tmp_path / "wave.png", 1), "--content", tmp_path / "photos", "--vgg", vgg_file]
    options += ["--threads", 1, "--device", "cpu"]
    for setting in ("crop=64", "style_size=64", "batch=1", "blocks=1", "precision=f32", *small):
        options += ["--set", setting]
    try:
        assert train(method, tmp_path / "new.onnx", *options, "--steps", 2) == 0
    finally:
        torch.set_num_threads(before)
    card = Style.open(tmp_path / "new.onnx").card
    assert card.recipe["method"] == method and card.recipe["steps_done"] == 2 and card.recipe["crop"] == 64
    assert (tmp_path / "new.run" / "checkpoint.pt").is_file()
    painted = tmp_path / "painted.png"
    engine = ["--engine", "onnxruntime", "--precision", "f32", "--device", "cpu"]
    assert run(["image", str(photo), "--out", str(painted), "--style", str(tmp_path / "new.onnx"), *engine]) == 0
    found = cv2.imread(str(painted))
    assert found.shape == (80, 96, 3) and found.std() > 0


def test_every_field_is_explained() -> None:
    """docs/training.md tells what each field of each recipe means."""
    text = (Path(__file__).parent.parent / "docs" / "training.md").read_text(encoding="utf-8")
    fields = {name for kind in RECIPES.values() for name in kind().to_dict()} - {"method"}
    assert not {name for name in fields if f"`{name}`" not in text}
