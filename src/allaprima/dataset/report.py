"""What became of a run that makes a data set, and what is said meanwhile."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import PartialRunError, SourceError
from ..failure import Failure


@dataclass
class Report:
    """What a data set holds, and what was left out of it."""

    out: Path
    read: int = 0
    """Frames or pictures that were looked at."""
    files: dict[str, int] = field(default_factory=dict)
    """How many pictures, or pairs, there are for ``train`` and for ``test``, mirrored ones among them."""
    units: dict[str, int] = field(default_factory=dict)
    """How many shots they are from, or pictures."""
    duplicates: int = 0
    too_small: int = 0
    skipped: list[Failure] = field(default_factory=list)
    """What couldn't be read at all."""
    cut_short: list[Failure] = field(default_factory=list)
    """Clips of which only what comes before the damage was used."""
    notes: list[str] = field(default_factory=list)
    """What was changed on the way in."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "output": str(self.out),
            "read": self.read,
            "files": self.files,
            "units": self.units,
            "duplicates": self.duplicates,
            "too_small": self.too_small,
            "skipped": [failure.to_dict() for failure in self.skipped],
            "cut_short": [failure.to_dict() for failure in self.cut_short],
            "notes": self.notes,
        }

    def nothing(self, what: str) -> SourceError:
        """The error for a data set that would be empty.

        Args:
            what: was looked for, in the plural.
        """
        reasons = [f"{self.too_small} are smaller than the size asked for"] if self.too_small else []
        if self.skipped:
            more = f", and {len(self.skipped) - 1} more" if len(self.skipped) > 1 else ""
            reasons.append(f"{self.skipped[0].error}{more}")
        return SourceError(f"no usable {what}: " + ("; ".join(reasons) or "there is nothing to take them from"))


@dataclass
class Watch:
    """Says how far a run is, and ends it when asked to."""

    on_count: Callable[[int, str], None] = lambda count, name: None
    """Called with how many frames or pictures were read, and what is being read."""
    stop: Callable[[], bool] = lambda: False
    """Asked after each; true ends the run."""

    def tick(self, count: int, name: str) -> None:
        """One more was read.

        Raises:
            PartialRunError: the run was asked to end.
        """
        self.on_count(count, name)
        if self.stop():
            raise PartialRunError("stopped; nothing was kept", 128 + signal.SIGINT)
