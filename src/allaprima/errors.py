"""Everything allaprima raises on purpose, under one base, with the exit code that the command line gives it."""

from __future__ import annotations


class AllaprimaError(Exception):
    """Base of every error a user can cause. The message is one line and says what to do."""

    exit_code = 1


class UsageError(AllaprimaError):
    """An option or argument that can't be used as given."""

    exit_code = 2


class SourceError(AllaprimaError):
    """Something that can't be read as a picture or a video."""

    exit_code = 3


class SinkError(AllaprimaError):
    """A result that can't be written: destination, container, codec, space."""

    exit_code = 4


class StyleError(AllaprimaError):
    """A style that is unknown, damaged or refused."""

    exit_code = 5


class EngineError(AllaprimaError):
    """An engine, device or precision that can't do what was asked."""

    exit_code = 6


class MissingExtraError(AllaprimaError):
    """An optional part of the package that isn't installed."""

    exit_code = 7

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the '{extra}' extra: pip install 'allaprima[{extra}]'")
        self.extra = extra


class TrainingError(AllaprimaError):
    """Training that can't start or go on."""

    exit_code = 8


class PartialRunError(AllaprimaError):
    """A run that was cut short: by the user (exit code 130 or 143) or by the error that is its cause."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code
