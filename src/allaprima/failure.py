"""What becomes of the part of a batch that can't be used: a line, while the rest goes on."""

from __future__ import annotations

from typing import NamedTuple

from .errors import AllaprimaError


class Failure(NamedTuple):
    """Something that couldn't be read or measured."""

    name: str
    error: AllaprimaError

    def to_dict(self) -> dict[str, str]:
        """Plain values for JSON."""
        return {"name": self.name, "error": str(self.error)}
