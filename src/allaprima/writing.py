"""Files that appear under their name only when they are whole."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import SinkError


def check_destination(path: Path) -> None:
    """Refuse a name under which no file can stand.

    Raises:
        SinkError: its folder is missing, or it is a folder.
    """
    if path.is_dir():
        raise SinkError(f"'{path}' is a folder: name a file in it")
    if not path.parent.is_dir():
        raise SinkError(f"no folder '{path.parent}' to write into: create it first")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file beside its final name, then give it that name.

    Raises:
        SinkError: the folder is missing, or the file can't be written.
    """
    check_destination(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            aside.write_bytes(data)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise SinkError(f"can't write '{path}': {error.strerror}") from error
