"""Sound, subtitles and other packets on their way from the demuxer to the muxer, while frames are painted."""

from __future__ import annotations

import tempfile
import threading
from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import IO

from av.packet import Packet, PacketSideData
from av.stream import Stream

_MEMORY = 32 << 20


@dataclass(frozen=True)
class _Spilled:
    """A packet whose bytes lie in the spill file."""

    offset: int
    size: int
    pts: int | None
    dts: int | None
    duration: int | None
    time_base: Fraction
    is_keyframe: bool
    side_data: tuple[PacketSideData, ...]


class SideChannel:
    """A queue of packets between two threads, of any length, that holds 32 MiB in memory and the rest on disk.

    The demuxer can't wait for the muxer here: in a badly interleaved file all the sound may come before the first
    picture, and the muxer starts with the first picture.
    """

    def __init__(self, streams: tuple[Stream, ...]) -> None:
        self.streams = streams
        self._lock = threading.Lock()
        self._queue: deque[tuple[int, Packet[Stream] | _Spilled]] = deque()
        self._held = 0
        self._spill: IO[bytes] | None = None
        self._wanted: set[int] | None = None

    def attach(self, indexes: set[int]) -> None:
        """Ask for the packets of these streams, by index in the input."""
        with self._lock:
            self._wanted = indexes
            self._queue = deque(entry for entry in self._queue if entry[0] in indexes)
            self._held = sum(entry.size for _, entry in self._queue if not isinstance(entry, _Spilled))

    def start(self) -> None:
        """The demuxer runs from here on: without a muxer attached, packets are dropped."""
        if self._wanted is None:
            self.attach(set())

    def clear(self) -> None:
        """Forget what is queued, as after a seek."""
        with self._lock:
            self._queue.clear()
            self._held = 0

    def put(self, packet: Packet[Stream]) -> None:
        """Queue a packet for the muxer."""
        index = packet.stream_index
        with self._lock:
            if self._wanted is not None and index not in self._wanted:
                return
            if self._held + packet.size <= _MEMORY and not self._spilling:
                self._held += packet.size
                self._queue.append((index, packet))
                return
            if self._spill is None:
                self._spill = tempfile.TemporaryFile(prefix="allaprima-")  # noqa: SIM115 - lives as long as the queue
            offset = self._spill.seek(0, 2)
            self._spill.write(bytes(packet))
            times = (packet.pts, packet.dts, packet.duration, packet.time_base)
            side_data = tuple(packet.iter_sidedata())
            self._queue.append((index, _Spilled(offset, packet.size, *times, packet.is_keyframe, side_data)))

    @property
    def _spilling(self) -> bool:
        return bool(self._queue) and isinstance(self._queue[-1][1], _Spilled)

    def take(self) -> tuple[int, Packet[Stream]] | None:
        """The oldest packet with its stream's index in the input, or None when there is none now."""
        with self._lock:
            if not self._queue:
                if self._spill is not None:
                    self._spill.close()
                    self._spill = None
                return None
            index, entry = self._queue.popleft()
            if not isinstance(entry, _Spilled):
                self._held -= entry.size
                return index, entry
            return index, self._restore(entry)

    def _restore(self, entry: _Spilled) -> Packet[Stream]:
        payload = b""
        if self._spill is not None:
            self._spill.seek(entry.offset)
            payload = self._spill.read(entry.size)
        packet: Packet[Stream] = Packet(payload)
        packet.pts, packet.dts, packet.time_base = entry.pts, entry.dts, entry.time_base
        packet.duration, packet.is_keyframe = entry.duration, entry.is_keyframe
        for data in entry.side_data:
            packet.set_sidedata(data)
        return packet
