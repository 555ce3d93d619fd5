"""A recipe: everything that decides what a training run makes, as one TOML file that makes it again.

Without torch, so that the command line can show, read and check recipes.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from ..errors import TrainingError

PRECISIONS = ("auto", "f32", "bf16", "f16")
SCHEDULES = ("constant", "cosine")


@dataclass(frozen=True)
class About:
    """A method in a few words each, for the list of methods."""

    needs: str
    takes: str
    good_for: str


@dataclass(frozen=True)
class Licenses:
    """The four licenses a style stands on, each in a line."""

    style_picture: str = "not stated"
    content: str = "not stated"
    loss_network: str = "VGG16, Visual Geometry Group, Oxford (Simonyan & Zisserman 2014), CC BY 4.0"
    weights: str = "not stated"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings that every method has. Relative paths are looked up in the data folder."""

    method: ClassVar[str]
    about: ClassVar[About]
    POSITIVE: ClassVar[tuple[str, ...]] = ("batch", "crop", "style_size", "learning_rate", "clip_step")

    style_image: str = ""
    content: tuple[str, ...] = ()
    """What to train on: folders of pictures, clips, folders with true flow, ``scene[:NAME]``; ``PATH=WEIGHT`` takes one
    that many times as often as another."""
    exclude: tuple[str, ...] = ()
    """Patterns of file names that are left out of the folders of pictures."""
    clip_step: int = 5
    """Of a clip in ``content``, every so many frames are taken."""
    title: str = ""
    artist: str = ""
    year: str = ""
    licenses: Licenses = Licenses()

    init: str = ""
    """Style file or checkpoint whose weights to start from; empty starts from random ones."""
    steps: int = 0
    """0 means that ``--minutes`` sets it from the measured pace."""
    batch: int = 2
    """Samples a step, over all processes together."""
    crop: int = 256
    style_size: int = 512
    """Short side of the style picture, in pixels."""
    learning_rate: float = 1e-3
    schedule: str = "constant"
    """``constant``, or ``cosine`` down to 0 (Loshchilov & Hutter 2017, equation 5)."""
    warmup_steps: int = 0
    """Over which the rate rises from 0."""
    weight_decay: float = 0.0
    ema: float = 0.99
    """Decay of the moving average of the weights, which is what the style gets; 0 takes the last weights."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient of all weights; 0: any."""
    precision: str = "auto"
    """f32, bf16 or f16 (mixed with f32 where needed); ``auto``: bf16 where that is fast, else f32."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in self.POSITIVE:
            if not getattr(self, name) > 0:  # also NaN
                raise TrainingError(f"recipe field '{name}' must be above 0, not {getattr(self, name)}")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int | float) and not value >= 0:
                raise TrainingError(f"recipe field '{field.name}' can't be negative ({value})")
        if self.crop % 8 or self.crop < 64:
            raise TrainingError(f"recipe field 'crop' must be a multiple of 8 and at least 64, not {self.crop}")
        if not self.ema < 1:
            raise TrainingError(f"recipe field 'ema' must be below 1, not {self.ema}")
        check_choice("precision", self.precision, PRECISIONS)
        check_choice("schedule", self.schedule, SCHEDULES)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with the method, as they stand in TOML and on the card."""
        return {"method": self.method, **dataclasses.asdict(self)}

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a TOML recipe.

        Raises:
            TrainingError: the file is missing or not TOML, is for another method, or a field is unknown or of the
                wrong type.
        """
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise TrainingError(f"can't read recipe {path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise TrainingError(f"recipe {path} is not valid TOML: {error}") from error
        return cls.from_dict(table, f"recipe {path}")

    @classmethod
    def from_dict(cls, table: dict[str, Any], where: str = "stored recipe") -> Self:
        """The recipe of plain values, as :meth:`to_dict` gives them; what is missing has its default.

        Args:
            table: the values by field.
            where: they come from, for errors.

        Raises:
            TrainingError: it is for another method, or a field is unknown or of the wrong type.
        """
        named = table.get("method", cls.method)
        if named != cls.method:
            raise TrainingError(f"{where} is for the method '{named}', not '{cls.method}'")
        fields = {name: value for name, value in table.items() if name != "method"}
        return cls(**_checked(cls, fields, where))

    def changed(self, settings: Sequence[str]) -> Self:
        """The recipe with ``FIELD=VALUE`` settings, values as in TOML; a string needs no quotes.

        Raises:
            TrainingError: a setting isn't of that form, or its field is unknown or its value of the wrong type.
        """
        table: dict[str, Any] = {}
        for setting in settings:
            name, equals, text = setting.partition("=")
            if not equals:
                raise TrainingError(f"--set takes FIELD=VALUE, not '{setting}'")
            table[name.strip()] = _value(text.strip())
        return dataclasses.replace(self, **_checked(type(self), table, "--set"))

    def write(self, path: Path) -> None:
        """Write every field as TOML.

        Raises:
            OSError: it can't be written.
        """
        import tomli_w

        path.write_text(tomli_w.dumps(self.to_dict()), encoding="utf-8")


def check_choice(name: str, value: str, known: Sequence[str]) -> None:
    """Refuse a field's value that isn't one of those known.

    Raises:
        TrainingError: it isn't.
    """
    if value not in known:
        raise TrainingError(f"recipe field '{name}' must be {', '.join(known[:-1])} or {known[-1]}, not '{value}'")


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def resolve(path: str, data: Path | None) -> Path:
    """A recipe's path: as it is if it exists or is absolute, else below the data folder (``ALLAPRIMA_DATA``)."""
    root = data or (Path(os.environ["ALLAPRIMA_DATA"]) if os.environ.get("ALLAPRIMA_DATA") else None)
    plain = Path(path).expanduser()
    return plain if root is None or plain.is_absolute() or plain.exists() else root / plain


def _checked(cls: type[Any], table: dict[str, Any], where: str) -> dict[str, Any]:
    fields = {field.name: field for field in dataclasses.fields(cls)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(fields)}"
            raise TrainingError(f"{where}: unknown recipe field '{key}'{hint}")
        default = fields[key].default
        if isinstance(default, Licenses) and isinstance(value, dict):
            value = Licenses(**_checked(Licenses, value, where))
        elif isinstance(default, tuple) and isinstance(value, list):
            value = tuple(value)
        elif isinstance(default, float) and type(value) is int:
            value = float(value)
        if type(value) is not type(default) or (type(value) is tuple and not all(type(each) is str for each in value)):
            kind = "a list of strings" if isinstance(default, tuple) else type(default).__name__
            raise TrainingError(f"{where}: recipe field '{key}' must be {kind}, not {value!r}")
        values[key] = value
    return values
