"""Recipes: TOML in, the same settings out, and every mistake told by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from allaprima.errors import TrainingError
from allaprima.train.recipe import Licenses, Recipe, resolve
from allaprima.train.recipes import RECIPES
from allaprima.train.recipes.johnson import JohnsonRecipe
from allaprima.train.recipes.realtime import RealtimeRecipe
from allaprima.train.recipes.reconet import ReconetRecipe

FULL = """
method = "realtime"
style_image = "wave.jpg"
content = ["photos", "more=2.5"]
exclude = ["game-*"]
title = "Great Wave"
steps = 1200
learning_rate = 0.001
shift = 3

[licenses]
style_picture = "public domain"
"""

ALL = pytest.mark.parametrize("kind", RECIPES.values(), ids=RECIPES)


def read(folder: Path, text: str, kind: type[Recipe] = RealtimeRecipe) -> Recipe:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return kind.read(path)


def refusal(folder: Path, text: str, kind: type[Recipe] = RealtimeRecipe) -> str:
    with pytest.raises(TrainingError) as caught:
        read(folder, text, kind)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_recipe_is_read_with_its_defaults(tmp_path: Path) -> None:
    """What the file says holds; the rest is the default; a whole number will do for a decimal one."""
    recipe = read(tmp_path, FULL)
    assert recipe == RealtimeRecipe(
        style_image="wave.jpg",
        content=("photos", "more=2.5"),
        exclude=("game-*",),
        title="Great Wave",
        steps=1200,
        learning_rate=0.001,
        shift=3.0,
        licenses=Licenses(style_picture="public domain"),
    )
    assert isinstance(recipe, RealtimeRecipe) and isinstance(recipe.shift, float)


def test_the_method_may_be_left_out(tmp_path: Path) -> None:
    """Who says ``train johnson --recipe`` has named it."""
    assert read(tmp_path, "width = 16", JohnsonRecipe) == JohnsonRecipe(width=16)


def test_the_methods_are_known_by_their_names() -> None:
    """What the verbs, checkpoints and cards name."""
    assert {name: kind.method for name, kind in RECIPES.items()} == {
        name: name for name in ("realtime", "johnson", "reconet")
    }


@ALL
def test_stored_recipes_come_back_the_same(tmp_path: Path, kind: type[Recipe]) -> None:
    """As plain values, as a checkpoint has them, and as TOML, field by field, strings with quotes too."""
    recipe = kind(
        content=("photos", "clip.mp4=0.5"),
        title='Night, "starry"',
        steps=7,
        ema=0.0,
        licenses=Licenses(weights="CC0 \\ free"),
    )
    assert kind.from_dict(recipe.to_dict()) == recipe
    recipe.write(tmp_path / "recipe.toml")
    assert kind.read(tmp_path / "recipe.toml") == recipe
    assert f'method = "{kind.method}"' in (tmp_path / "recipe.toml").read_text(encoding="utf-8")


@ALL
def test_a_recipe_is_for_one_method(tmp_path: Path, kind: type[Recipe]) -> None:
    """Fields of one method mean nothing to another, even where they bear the same name."""
    for other in RECIPES.values():
        if other is not kind:
            message = refusal(tmp_path, f'method = "{other.method}"', kind)
            assert f"is for the method '{other.method}', not '{kind.method}'" in message


def test_settings_change_fields() -> None:
    """Values as in TOML, strings without quotes as well; what isn't named stays."""
    recipe = ReconetRecipe(title="old", seed=4)
    changed = recipe.changed(
        [
            "width=16",
            "warmup_steps = 0",
            "ema=0",
            "title=The Scream",
            'normalization="instance"',
            "content=['a', 'b=2']",
        ]
    )
    assert changed == ReconetRecipe(
        width=16,
        warmup_steps=0,
        ema=0.0,
        title="The Scream",
        normalization="instance",
        content=("a", "b=2"),
        seed=4,
    )
    assert isinstance(changed.ema, float)
    assert recipe.changed([]) == recipe


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("widht=3", "did you mean 'width'"),
        ("channels=3", "unknown recipe field 'channels'"),
        ("width", "FIELD=VALUE, not 'width'"),
        ("width=wide", "'width' must be int"),
        ("width=0", "'width' must be above 0"),
        ("crop=100", "multiple of 8"),
        ("ema=1.0", "'ema' must be below 1"),
        ("normalization=batch", "instance or frn, not 'batch'"),
        ("precision=f64", "'precision'"),
        ("schedule=linear", "constant or cosine"),
        ("content=photos", "a list of strings"),
    ],
)
def test_settings_that_cannot_be_used(setting: str, words: str) -> None:
    """A typing mistake is told, not trained with."""
    with pytest.raises(TrainingError, match=words):
        ReconetRecipe().changed([setting])


def test_the_committed_recipes_are_valid() -> None:
    """Each recipe of the repository makes its style again: it reads, and names its method, picture, content, title."""
    paths = sorted((Path(__file__).parent.parent / "recipes").glob("*.toml"))
    assert paths
    for path in paths:
        named = path.read_text(encoding="utf-8").partition('method = "')[2].partition('"')[0]
        recipe = RECIPES[named].read(path)
        assert recipe.style_image
        assert recipe.content
        assert recipe.title


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("learning_rat = 1.0", "did you mean 'learning_rate'"),
        ("zzz = 1", "known: style_image"),
        ("[licenses]\nwheights = 'x'", "did you mean 'weights'"),
        ("steps = 1.5", "'steps' must be int"),
        ("steps = true", "'steps' must be int"),
        ("steps = '9'", "'steps' must be int"),
        ("noise = true", "'noise' must be float"),
        ("noise = 'x'", "'noise' must be float"),
        ("content = 'photos'", "'content' must be a list of strings"),
        ("content = [1, 2]", "'content' must be a list of strings"),
        ("title = 3", "'title' must be str"),
        ("licenses = 'free'", "'licenses'"),
        ("steps = ", "not valid TOML"),
    ],
)
def test_mistakes_are_told_by_name(tmp_path: Path, text: str, words: str) -> None:
    """A wrong field costs one line, not forty minutes of the wrong training."""
    message = refusal(tmp_path, text)
    assert words in message and "recipe.toml" in message


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("crop = 100", "crop"),
        ("crop = 32", "crop"),
        ("batch = 0", "batch"),
        ("clip_step = 0", "clip_step"),
        ("learning_rate = -1", "learning_rate"),
        ("learning_rate = nan", "learning_rate"),
        ("style_weight = -1", "style_weight"),
        ("steps = -1", "steps"),
        ("channels = 0", "channels"),
        ("ema = 1.0", "ema"),
        ("strength_share = 1.5", "strength_share"),
        ("strength_share = -0.1", "strength_share"),
    ],
)
def test_values_out_of_range(tmp_path: Path, text: str, field: str) -> None:
    """Settings that can't be trained with are refused before anything is read."""
    assert f"'{field}'" in refusal(tmp_path, text)


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    """No file, a folder, and a file that is not text."""
    with pytest.raises(TrainingError, match="can't read recipe"):
        RealtimeRecipe.read(tmp_path / "nothing.toml")
    with pytest.raises(TrainingError, match="can't read recipe"):
        RealtimeRecipe.read(tmp_path)
    (tmp_path / "odd.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TrainingError, match="not valid TOML"):
        RealtimeRecipe.read(tmp_path / "odd.toml")


def test_paths_are_looked_up_in_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is where it exists or is absolute, else below the data folder, by option or by environment."""
    here, data = tmp_path / "here", tmp_path / "data"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.delenv("ALLAPRIMA_DATA", raising=False)
    assert resolve("a.jpg", None) == Path("a.jpg")
    assert resolve("a.jpg", data) == data / "a.jpg"
    assert resolve(str(here / "b.jpg"), data) == here / "b.jpg"
    monkeypatch.setenv("ALLAPRIMA_DATA", str(data))
    assert resolve("a.jpg", None) == data / "a.jpg"
    (here / "a.jpg").touch()
    assert resolve("a.jpg", data) == Path("a.jpg")
