"""What a user can ask for while a live run goes on, and the keys for it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class Command(Enum):
    """Something to do now; the value says what, in words for the user."""

    NEXT_STYLE = "next style"
    PREVIOUS_STYLE = "previous style"
    STRENGTH_UP = "more of the style"
    STRENGTH_DOWN = "less of the style"
    COHERENCE_UP = "steadier"
    COHERENCE_DOWN = "less steady"
    SPLIT = "split view with the original"
    SNAPSHOT = "snapshot"
    RECORD = "record on and off"
    PAUSE = "pause"
    HELP = "help"
    FULL_SCREEN = "full screen"
    """The window's own matter: it does so before it passes the command on."""
    QUIT = "quit"


KEYS: Mapping[Command, tuple[str, ...]] = {
    Command.NEXT_STYLE: ("right", "n"),
    Command.PREVIOUS_STYLE: ("left", "p"),
    Command.STRENGTH_UP: ("up",),
    Command.STRENGTH_DOWN: ("down",),
    Command.COHERENCE_UP: ("c",),
    Command.COHERENCE_DOWN: ("x",),
    Command.SPLIT: ("v",),
    Command.SNAPSHOT: ("s",),
    Command.RECORD: ("r",),
    Command.PAUSE: ("space",),
    Command.HELP: ("h", "f1"),
    Command.FULL_SCREEN: ("f", "f11"),
    Command.QUIT: ("q", "escape"),
}
"""Keys by SDL's names, letters as they are printed on the user's keyboard; the first is the one that help tells."""


def help_lines() -> list[str]:
    """The keys, a line each."""
    width = max(len(keys[0]) for keys in KEYS.values())
    return [f"{keys[0]:<{width}}  {command.value}" for command, keys in KEYS.items()]
