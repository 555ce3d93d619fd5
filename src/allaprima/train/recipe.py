"""A recipe: everything that decides what a training run makes, as one TOML file that makes it again."""

from __future__ import annotations

import dataclasses
import difflib
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import TrainingError


@dataclass(frozen=True)
class Licenses:
    """The four licenses a style stands on, each in a line."""

    style_picture: str = "not stated"
    content: str = "not stated"
    loss_network: str = "VGG16, Visual Geometry Group, Oxford (Simonyan & Zisserman 2014), CC BY 4.0"
    weights: str = "not stated"


@dataclass(frozen=True)
class RealtimeRecipe:
    """Every setting of ``allaprima train realtime``. Relative paths are looked up in the data folder."""

    style_image: str = ""
    content: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    """Patterns of file names that are left out of ``content``."""
    title: str = ""
    artist: str = ""
    year: str = ""
    licenses: Licenses = Licenses()

    channels: int = 48
    blocks: int = 5
    init: str = ""
    """Style file or checkpoint whose weights to start from; empty starts from random ones."""

    steps: int = 0
    """0 means that ``--minutes`` sets it from the measured pace."""
    batch: int = 2
    crop: int = 256
    style_size: int = 512
    """Short side of the style picture, in pixels."""
    learning_rate: float = 2e-3
    warmup_steps: int = 50
    ema: float = 0.995
    gradient_clip: float = 1.0
    seed: int = 0

    content_weight: float = 1.5
    style_weight: float = 10.0
    tv_weight: float = 0.05
    consistency_weight: float = 100.0
    grid_weight: float = 2000.0

    polish_steps: int = 200
    """How many of ``steps``, the last ones, a tenth at most, go at a rate of their own under ``polish_grid_weight``."""
    polish_learning_rate: float = 5e-4
    polish_grid_weight: float = 1e5

    shift: float = 6.0
    affine: float = 0.05
    brightness: float = 0.05
    noise: float = 0.02

    def __post_init__(self) -> None:
        for name in ("channels", "blocks", "batch", "crop", "style_size", "learning_rate"):
            if not getattr(self, name) > 0:  # also NaN
                raise TrainingError(f"recipe field '{name}' must be above 0, not {getattr(self, name)}")
        if self.crop % 8 or self.crop < 64:
            raise TrainingError(f"recipe field 'crop' must be a multiple of 8 and at least 64, not {self.crop}")
        if self.polish_steps < 0:
            raise TrainingError(f"recipe field 'polish_steps' can't be negative ({self.polish_steps})")
        if self.steps < 0:
            raise TrainingError(f"recipe field 'steps' can't be negative ({self.steps})")

    def polish_from(self, steps: int) -> int:
        """The step at which polishing begins in a run of ``steps``."""
        return steps - min(self.polish_steps, steps // 10)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they stand in TOML and on the card."""
        return dataclasses.asdict(self)


def resolve(path: str, data: Path | None) -> Path:
    """A recipe's path: as it is if it exists or is absolute, else below the data folder (``ALLAPRIMA_DATA``)."""
    root = data or (Path(os.environ["ALLAPRIMA_DATA"]) if os.environ.get("ALLAPRIMA_DATA") else None)
    plain = Path(path).expanduser()
    return plain if root is None or plain.is_absolute() or plain.exists() else root / plain


def _build(cls: type[Any], table: dict[str, Any], where: str) -> Any:
    fields = {field.name: field for field in dataclasses.fields(cls)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(fields)}"
            raise TrainingError(f"{where}: unknown recipe field '{key}'{hint}")
        default = fields[key].default
        if isinstance(default, Licenses) and isinstance(value, dict):
            value = _build(Licenses, value, where)
        elif isinstance(default, tuple) and isinstance(value, list):
            value = tuple(value)
        elif isinstance(default, float) and type(value) is int:
            value = float(value)
        if type(value) is not type(default) or (type(value) is tuple and not all(type(each) is str for each in value)):
            kind = "a list of strings" if isinstance(default, tuple) else type(default).__name__
            raise TrainingError(f"{where}: recipe field '{key}' must be {kind}, not {value!r}")
        values[key] = value
    return cls(**values)


def read_recipe(path: Path) -> RealtimeRecipe:
    """Read a TOML recipe.

    Raises:
        TrainingError: the file is missing or not TOML, or a field is unknown or of the wrong type.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TrainingError(f"can't read recipe {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TrainingError(f"recipe {path} is not valid TOML: {error}") from error
    recipe: RealtimeRecipe = _build(RealtimeRecipe, table, str(path))
    return recipe


def recipe_from_dict(table: dict[str, Any]) -> RealtimeRecipe:
    """The recipe that :meth:`RealtimeRecipe.to_dict` wrote."""
    recipe: RealtimeRecipe = _build(RealtimeRecipe, table, "stored recipe")
    return recipe
