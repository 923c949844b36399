"""Event files for TensorBoard, written without the libraries that would import PyTorch.

A file is a row of records: the length of an event (8 bytes), its checksum (4), the event, its
checksum (4). An event is a protocol buffer `tensorflow.Event`; the few fields of it that scalars
need are encoded here.
"""

import socket
import struct
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

from odenet.training.callbacks import Callback, Event, Info, Record

_WALL_TIME, _STEP, _FILE_VERSION, _SUMMARY, _SESSION_LOG = 1, 2, 3, 5, 7
_SUMMARY_VALUE, _TAG, _SIMPLE_VALUE = 1, 1, 2
_SESSION_STATUS, _SESSION_START = 1, 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
"""Wire types of protocol buffers."""

_CASTAGNOLI = 0x82F63B78
"""Polynomial of CRC-32C, its bits reversed (RFC 3720, B.4)."""


class EventFile(Callback):
    """Writes the numbers of every record as TensorBoard scalars, named `split/metric`.

    A record is one event with many values.

    Args:
        directory: Where the event files go.
        first_step: The step that the run starts from; later points of an earlier start are hidden.
    """

    when: frozenset[Event] = frozenset({"start", "log", "evaluate", "end"})

    def __init__(self, directory: Path, first_step: int):
        self.directory = directory
        self.first_step = first_step
        self._file: BinaryIO | None = None

    def __call__(self, info: Info) -> None:
        """Open, write, close."""
        if info.event == "start":
            self._open()
        if self._file is None:
            return
        for record in info.records:
            self._write(record["step"], _SUMMARY, _summary(scalars(record)))
        if info.event in ("start", "evaluate"):
            self._file.flush()
        if info.event == "end":
            self._file.close()
            self._file = None

    def _open(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        # Readers take files in the order of their names; a start at a later step comes later.
        name = f"events.out.tfevents.{int(time.time()):010d}.{self.first_step:010d}"
        path = self.directory / f"{name}.{socket.gethostname()}"
        self._file = path.open("ab")
        self._write(0, _FILE_VERSION, b"brain.Event:2")
        if self.first_step:
            start = _field(_SESSION_STATUS, _VARINT, _varint(_SESSION_START))
            self._write(self.first_step + 1, _SESSION_LOG, start)

    def _write(self, step: int, field: int, content: bytes) -> None:
        assert self._file is not None
        event = _field(_WALL_TIME, _FIXED64, struct.pack("<d", time.time()))
        event += _field(_STEP, _VARINT, _varint(step)) + _field(field, _BYTES, content)
        length = struct.pack("<Q", len(event))
        self._file.write(length + _checksum(length) + event + _checksum(event))


def scalars(record: Record) -> dict[str, float]:
    """The numbers of a record under their names, `split/metric`."""
    return {
        f"{record['split']}/{name}": value
        for name, value in record.items()
        if isinstance(value, (int, float)) and name != "step"
    }


def _summary(values: Mapping[str, float]) -> bytes:
    encoded = b""
    for name, value in values.items():
        one = _field(_TAG, _BYTES, name.encode())
        one += _field(_SIMPLE_VALUE, _FIXED32, struct.pack("<f", value))
        encoded += _field(_SUMMARY_VALUE, _BYTES, one)
    return encoded


def _field(number: int, wire_type: int, content: bytes) -> bytes:
    length = _varint(len(content)) if wire_type == _BYTES else b""
    return _varint(number << 3 | wire_type) + length + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _checksum(data: bytes) -> bytes:
    """CRC-32C, rotated and shifted as TensorFlow's records want it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _table() -> Iterable[int]:
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (_CASTAGNOLI if crc & 1 else 0)
        yield crc


_TABLE = tuple(_table())
