"""Recipes: TOML in, the same settings out, and every mistake told by name."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from allaprima.errors import TrainingError
from allaprima.train.recipe import Licenses, RealtimeRecipe, read_recipe, recipe_from_dict, resolve

FULL = """
style_image = "wave.jpg"
content = ["photos", "more"]
exclude = ["game-*"]
title = "Great Wave"
steps = 1200
learning_rate = 0.001
shift = 3

[licenses]
style_picture = "public domain"
"""


def read(folder: Path, text: str) -> RealtimeRecipe:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return read_recipe(path)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(TrainingError) as caught:
        read(folder, text)
    message = str(caught.value)
    assert "\n" not in message
    assert "recipe.toml" in message
    return message


def test_a_recipe_is_read_with_its_defaults(tmp_path: Path) -> None:
    """What the file says holds; the rest is the default; a whole number will do for a decimal one."""
    recipe = read(tmp_path, FULL)
    assert recipe == RealtimeRecipe(
        style_image="wave.jpg",
        content=("photos", "more"),
        exclude=("game-*",),
        title="Great Wave",
        steps=1200,
        learning_rate=0.001,
        shift=3.0,
        licenses=Licenses(style_picture="public domain"),
    )
    assert isinstance(recipe.shift, float)


def test_stored_recipes_come_back_the_same(tmp_path: Path) -> None:
    """What a checkpoint stores is the recipe, field by field."""
    recipe = read(tmp_path, FULL)
    assert recipe_from_dict(recipe.to_dict()) == recipe


def test_the_committed_recipes_are_valid() -> None:
    """Each recipe of the repository makes its style again: it reads, and names its picture, content and title."""
    paths = sorted((Path(__file__).parent.parent / "recipes").glob("*.toml"))
    assert paths
    for path in paths:
        recipe = read_recipe(path)
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
    assert words in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("crop = 100", "crop"),
        ("crop = 32", "crop"),
        ("batch = 0", "batch"),
        ("learning_rate = -1", "learning_rate"),
        ("learning_rate = nan", "learning_rate"),
        ("steps = -1", "steps"),
        ("channels = 0", "channels"),
    ],
)
def test_values_out_of_range(tmp_path: Path, text: str, field: str) -> None:
    """Settings that can't be trained with are refused before anything is read."""
    with pytest.raises(TrainingError, match=f"'{field}'"):
        read(tmp_path, text)


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    """No file, a folder, and a file that is not text."""
    with pytest.raises(TrainingError, match="can't read recipe"):
        read_recipe(tmp_path / "nothing.toml")
    with pytest.raises(TrainingError, match="can't read recipe"):
        read_recipe(tmp_path)
    (tmp_path / "odd.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TrainingError, match="not valid TOML"):
        read_recipe(tmp_path / "odd.toml")


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
