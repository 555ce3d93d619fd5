"""What a data set holds: one line a file, from where, in which half, under which license."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import SinkError

NAME = "manifest.csv"
TRAIN, TEST = "train", "test"
_COLUMNS = ("file", "sha256", "source", "frame", "seconds", "shot", "split", "mirrored", "license")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a file comes from."""

    unit: str
    """What is never divided between training and test: a name for the shot, or the picture."""
    source: str
    """Name of the clip or picture."""
    frame: int | None = None
    """Of the clip, from 0."""
    seconds: float | None = None
    shot: int | None = None
    """Of the clip, from 1."""
    mirrored: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a data set."""

    file: str
    """Path in the data set, with ``/``."""
    sha256: str
    origin: Origin
    split: str
    """``train`` or ``test``."""


def split_units(units: Mapping[str, int], share: float) -> dict[str, str]:
    """Which units are for training and which for test.

    A unit is for test when the first 8 bytes of the SHA-256 of its name, as a fraction of 1, are below ``share``: the
    same in every run, whatever else there is. Two exceptions: while the test side has more than half of all files, its
    largest unit is for training; and where nothing is for test but there are two units or more, that one is whose
    files come nearest to ``share`` of all, without being more than half. Of units alike the first by name is taken.

    Args:
        units: how many files each has, by name.
        share: of the units that are for test, about, 0 to 0.5.

    Returns:
        ``train`` or ``test`` by name.
    """
    total = sum(units.values())
    test = {unit for unit in units if _fraction(unit) < share}
    while 2 * sum(units[unit] for unit in test) > total:
        test.remove(min(test, key=lambda unit: (-units[unit], unit)))
    if share > 0 and not test and len(units) > 1:
        small = [unit for unit in units if 2 * units[unit] <= total]
        test.add(min(small, key=lambda unit: (abs(units[unit] - share * total), units[unit], unit)))
    return {unit: TEST if unit in test else TRAIN for unit in units}


def _fraction(unit: str) -> float:
    return float(int.from_bytes(hashlib.sha256(unit.encode()).digest()[:8], "big") / 2**64)


def write_manifest(path: Path, entries: Iterable[Entry], license_text: str) -> None:
    """Write a manifest as CSV (UTF-8, RFC 4180); what isn't known is left empty.

    Raises:
        OSError: it can't be written.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for entry in entries:
            origin = entry.origin
            seconds = None if origin.seconds is None else f"{origin.seconds:.3f}"
            where = (origin.source, origin.frame, seconds, origin.shot)
            writer.writerow((entry.file, entry.sha256, *where, entry.split, int(origin.mirrored), license_text))


def listed_files(path: Path) -> set[str]:
    """The files that a manifest names.

    Raises:
        SinkError: it can't be read, or isn't one.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != _COLUMNS:
                raise SinkError(f"'{path}' is not a manifest of this program's: name another folder")
            return {str(row["file"]) for row in reader}
    except (OSError, ValueError, csv.Error) as error:
        raise SinkError(f"can't read '{path}': {error}") from error
