"""The folder that a data set is written to: under another name until it is whole."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import SinkError
from ..frame import Pixels
from ..picture import write_picture
from .contact_sheet import draw_sheet
from .manifest import NAME, TEST, TRAIN, Entry, Origin, listed_files, split_units, write_manifest
from .report import Report

SHEET = "contact-sheet.jpg"
_UNSPLIT = "unsplit"


class DatasetFolder:
    """Takes files, splits them, and gives the folder its name at the end; without that nothing is left.

    Args:
        out: the folder; missing, empty, or with ``overwrite`` one that holds nothing but a data set of this kind.
        overwrite: replace what is there, once the new one is whole.

    Raises:
        SinkError: something is there, or nothing can be written there.
    """

    def __init__(self, out: Path, *, overwrite: bool) -> None:
        self.out = Path(os.path.abspath(out))  # noqa: PTH100 - resolve() would replace a link by its target
        _check_free(self.out, overwrite=overwrite)
        self._overwrite = overwrite
        self._aside = self.out.with_name(f".{self.out.name}.{os.getpid()}.part")
        self._added: list[tuple[str, str, Origin]] = []
        self._entries: list[Entry] = []
        with self._writing():
            self._aside.mkdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._aside, ignore_errors=True)

    def add(self, file: str, data: bytes, origin: Origin) -> None:
        """Write a file.

        Args:
            file: path under ``train`` or ``test``, with ``/``; a new one.
            data: what is in it.
            origin: where it comes from.

        Raises:
            SinkError: it can't be written.
        """
        path = self._aside / _UNSPLIT / file
        with self._writing():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as stream:
                stream.write(data)
        self._added.append((file, hashlib.sha256(data).hexdigest(), origin))

    def add_picture(self, file: str, pixels: NDArray[np.uint8], origin: Origin) -> None:
        """Write a picture, uint8, H×W×3 RGB or H×W, as PNG; otherwise like :meth:`add`."""
        shown = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
        # Level 1: an eighth of the time of the default for a tenth more bytes.
        done, data = cv2.imencode(".png", shown, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        if not done:
            raise SinkError(f"'{file}' can't be encoded as PNG")
        self.add(file, np.asarray(data).tobytes(), origin)

    def split(self, share: float, report: Report) -> list[Entry]:
        """Put every file under ``train`` or ``test``, by :func:`~allaprima.dataset.manifest.split_units`.

        Args:
            share: of the units that are for test, about.
            report: takes down how many units there are of each.

        Raises:
            SinkError: a file can't be moved.
        """
        splits = split_units(Counter(origin.unit for _, _, origin in self._added), share)
        with self._writing():
            for file, sha256, origin in self._added:
                entry = Entry(f"{splits[origin.unit]}/{file}", sha256, origin, splits[origin.unit])
                self.path(entry).parent.mkdir(parents=True, exist_ok=True)
                (self._aside / _UNSPLIT / file).rename(self.path(entry))
                self._entries.append(entry)
            shutil.rmtree(self._aside / _UNSPLIT)
        counts = Counter(splits.values())
        report.units = {name: counts[name] for name in (TRAIN, TEST)}
        if share > 0 and not counts[TEST]:
            report.notes.append("nothing is left to test on: all of it is one shot")
        return self._entries

    def path(self, entry: Entry) -> Path:
        """Where a file is until the end."""
        return self._aside / entry.file

    def finish(self, shown: Sequence[Entry], show: Callable[[Entry], Pixels], license_text: str) -> None:
        """Write the contact sheet and the manifest, and give the folder its name.

        Args:
            shown: one or more, from which the contact sheet takes some.
            show: the picture of an entry, uint8, H×W×3, RGB.
            license_text: for the manifest.

        Raises:
            SinkError: they can't be written, or the name was taken meanwhile.
        """
        write_picture(self._aside / SHEET, draw_sheet(shown, show))
        with self._writing():
            write_manifest(self._aside / NAME, self._entries, license_text)
            _check_free(self.out, overwrite=self._overwrite)
            old = self.out.with_name(f".{self.out.name}.{os.getpid()}.old")
            if self.out.exists():
                self.out.rename(old)
            try:
                self._aside.rename(self.out)
            except OSError:
                if old.exists():
                    old.rename(self.out)
                raise
        shutil.rmtree(old, ignore_errors=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise SinkError(
                    f"no space left for '{self.out}': free some or write elsewhere (nothing was kept)"
                ) from error
            raise SinkError(f"can't write '{self.out}': {error.strerror or error}") from error


def _check_free(out: Path, *, overwrite: bool) -> None:
    if not out.parent.is_dir():
        raise SinkError(f"the folder '{out.parent}' doesn't exist: make it first")
    if out.exists() and not out.is_dir():
        raise SinkError(f"'{out}' is a file, not a folder: name another one")
    files = (
        {path.relative_to(out).as_posix() for path in out.rglob("*") if not path.is_dir()} if out.exists() else set()
    )
    if not files:
        return
    if not overwrite:
        raise SinkError(f"the folder '{out}' isn't empty: --overwrite replaces a data set in it")
    # The whole folder is replaced, so nothing may be lost that wasn't written here.
    known = {NAME, SHEET} | listed_files(out / NAME) if NAME in files else set()
    others = sorted(files - known)
    if others:
        raise SinkError(f"the folder '{out}' holds '{others[0]}', which is of no data set: name another one")
