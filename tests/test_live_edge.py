"""An edge between two threads keeps delay from growing: it holds one item, the newest."""

from __future__ import annotations

import threading

from allaprima.live.edge import Edge


def test_the_newest_wins_and_what_is_lost_is_counted() -> None:
    """Who comes late gets what was put last, once."""
    edge: Edge[int] = Edge()
    for number in range(5):
        edge.put(number)
    assert (edge.take(), edge.dropped) == (4, 4)
    assert edge.take(0.0) is None


def test_what_an_item_says_of_the_one_before_it_can_be_kept() -> None:
    """Motion that leads to a frame that was dropped is led on to the one before that."""
    edge: Edge[tuple[int, ...]] = Edge(lambda old, new: old + new)
    for number in range(3):
        edge.put((number,))
    assert (edge.take(), edge.dropped) == ((0, 1, 2), 2)
    edge.put((3,))
    assert edge.take() == (3,)


def test_what_is_there_is_taken_after_closing_and_nothing_is_put_any_more() -> None:
    """The last frame of a file isn't lost, and the end is seen once it is taken."""
    edge: Edge[int] = Edge()
    edge.put(1)
    edge.close()
    edge.put(2)
    assert not edge.over
    assert (edge.take(), edge.take(), edge.dropped, edge.over) == (1, None, 0, True)


def test_putting_and_closing_wake_who_waits() -> None:
    """Neither an item nor the end is noticed only when something else happens."""
    edge: Edge[int] = Edge()
    first = threading.Event()
    taken: list[int | None] = []

    def take_two() -> None:
        taken.append(edge.take())
        first.set()
        taken.append(edge.take())

    thread = threading.Thread(target=take_two)
    thread.start()
    edge.put(7)
    assert first.wait(5.0)
    edge.close()
    thread.join(5.0)
    assert taken == [7, None] and not thread.is_alive()
