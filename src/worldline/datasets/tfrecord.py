"""TensorFlow's record files and the ``tf.train.Example`` in them, without TensorFlow.

A record is a length, a checksum of it, that many bytes, and a checksum of those
(tensorflow.org/tutorials/load_data/tfrecord); the checksums are not verified. An Example is a
protocol buffer that maps names to lists of bytes, of floats or of integers.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

_HEAD, _TAIL = 12, 4  # bytes before and after a record's content
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types of protocol buffers


def places(path: Path) -> list[tuple[int, int]]:
    """Where each record's content lies: (offset, length). Raises ValueError if the file is cut."""
    found: list[tuple[int, int]] = []
    at, size = 0, path.stat().st_size
    with path.open("rb") as file:
        while at < size:
            file.seek(at)
            head = file.read(_HEAD)
            length = struct.unpack("<Q", head[:8])[0] if len(head) == _HEAD else size
            end = at + _HEAD + length + _TAIL
            if end > size:
                raise ValueError(f"it is cut off in record {len(found)}")
            found.append((at + _HEAD, length))
            at = end
    return found


def example(content: bytes) -> dict[str, list[bytes] | np.ndarray]:
    """An Example's features by name: lists of bytes, or float32 or int64 arrays, all flat.

    Raises ValueError where the bytes are no Example.
    """
    features: dict[str, list[bytes] | np.ndarray] = {}
    for _, every in _fields(memoryview(content)):
        for _, entry in _fields(every):
            pair = dict(_fields(entry))
            if 1 in pair and 2 in pair:
                features[bytes(pair[1]).decode()] = _values(pair[2])
    return features


def _values(feature: memoryview) -> list[bytes] | np.ndarray:
    for kind, items in _fields(feature):
        parts = [part for _, part in _fields(items)]
        if kind == 1:
            return [bytes(part) for part in parts]
        joined = b"".join(bytes(part) for part in parts)
        return np.frombuffer(joined, "<f4") if kind == 2 else _integers(joined)
    return []


def _integers(data: bytes) -> np.ndarray:
    """Every varint of the data: 7 bits a byte, the lowest first, the eighth bit says "more"."""
    content = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(content < 128)
    if not len(ends):
        return np.zeros(0, np.int64)
    starts = np.concatenate([[0], ends[:-1] + 1])
    place = np.arange(ends[-1] + 1) - np.repeat(starts, ends - starts + 1)
    parts = (content[: ends[-1] + 1] & 127).astype(np.uint64) << (7 * place).astype(np.uint64)
    return np.bitwise_or.reduceat(parts, starts).view(np.int64)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The number and the content of each field; a single varint's content is its bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        start, wire = at, key & 7
        if wire == _VARINT:
            _, at = _varint(message, at)
        elif wire == _BYTES:
            length, start = _varint(message, at)
            at = start + length
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        else:
            raise ValueError("it is no tf.train.Example")
        if at > len(message):
            raise ValueError("its Example is cut off")
        yield key >> 3, message[start:at]


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message):
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise ValueError("its Example is cut off")
