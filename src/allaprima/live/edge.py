"""A mailbox for one item between two threads: the newest wins, so that delay can't grow."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Edge(Generic[Item]):
    """Holds what was put last, until it is taken.

    What wasn't taken by then is dropped and counted.

    Args:
        merge: given the item to drop and the newer one, what is kept; None keeps the newer one.
    """

    def __init__(self, merge: Callable[[Item, Item], Item] | None = None) -> None:
        self._merge = merge
        self._ready = threading.Condition()
        self._item: Item | None = None
        self._closed = False
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Items that a newer one took the place of."""
        with self._ready:
            return self._dropped

    @property
    def over(self) -> bool:
        """Whether nothing will come any more: it is closed, and what was in it is taken."""
        with self._ready:
            return self._closed and self._item is None

    def put(self, item: Item) -> None:
        """Leave an item, in place of the one that is there; never blocks, and does nothing once it is closed."""
        with self._ready:
            if self._closed:
                return
            if self._item is not None:
                self._dropped += 1
                item = self._merge(self._item, item) if self._merge else item
            self._item = item
            self._ready.notify()

    def take(self, timeout: float | None = None) -> Item | None:
        """The item, as soon as there is one; None when it is closed, or none came in so many seconds."""
        with self._ready:
            self._ready.wait_for(lambda: self._item is not None or self._closed, timeout)
            item, self._item = self._item, None
            return item

    def close(self) -> None:
        """Nothing more will be put; what is there can still be taken. From any thread, and safe to call twice."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
