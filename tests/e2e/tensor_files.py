"""Tensor files read by numpy alone, from what their formats say: safetensors and GGUF."""
import json
import struct

import numpy as np

SAFETENSORS = {"F32": np.float32, "F16": np.float16, "F64": np.float64, "BF16": np.uint16, "I64": np.int64, "I32": np.int32}
NUMBERS = {0: "<u1", 1: "<i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "?", 10: "<u8", 11: "<i8", 12: "<f8"}
STRING, ARRAY = 8, 9
TYPES = {0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24),
         8: ("Q8_0", 32, 34), 12: ("Q4_K", 256, 144), 14: ("Q6_K", 256, 210), 30: ("BF16", 1, 2)}


def float_of_bf16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


class Safetensors:
    def __init__(self, path):
        with open(path, "rb") as f:
            data = f.read()
        n, = struct.unpack("<Q", data[:8])
        self.header = json.loads(data[8:8 + n])
        self.metadata = self.header.pop("__metadata__", {})
        self.raw = {name: data[8 + n + t["data_offsets"][0]:8 + n + t["data_offsets"][1]] for name, t in self.header.items()}
        assert 8 + n + max(t["data_offsets"][1] for t in self.header.values()) == len(data), "data does not fill the file"

    def type(self, name):
        return self.header[name]["dtype"]

    def numbers(self, name):
        values = np.frombuffer(self.raw[name], SAFETENSORS[self.type(name)])
        values = float_of_bf16(values) if self.type(name) == "BF16" else values
        return values.reshape(self.header[name]["shape"])


def write_safetensors(path, tensors):
    """tensors: {name: array of f32}."""
    header, at = {}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(v.astype(np.float32).tobytes() for v in tensors.values()))


def gguf_text(text):
    return struct.pack("<Q", len(text)) + text


def gguf_key(key, kind, value):
    """A key with its value as bytes, those of a text alone."""
    return gguf_text(key.encode()) + struct.pack("<I", kind) + (gguf_text(value) if kind == STRING else value)


def write_gguf(path, keys, tensors):
    """keys: as of gguf_key(); tensors: {name: array of f32}."""
    infos, at = b"", 0
    for name, values in tensors.items():
        shape = values.shape[::-1]
        infos += gguf_text(name.encode()) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, at)
        at += values.nbytes + -values.nbytes % 32
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(keys)) + b"".join(keys) + infos
    with open(path, "wb") as f:
        f.write(head + bytes(-len(head) % 32))
        for values in tensors.values():
            f.write(values.astype(np.float32).tobytes() + bytes(-values.nbytes % 32))


class Gguf:
    def __init__(self, path):
        with open(path, "rb") as f:
            self.data = f.read()
        magic, version, n_tensors, n_keys = struct.unpack("<4sIQQ", self.data[:24])
        assert (magic, version) == (b"GGUF", 3)
        self.at = 24
        self.keys = {}
        self.raw_keys = {}
        for _ in range(n_keys):
            begin, key, kind = self.at, self.text(), self.number("<u4")
            self.keys[key] = self.value(kind)
            self.raw_keys[key] = self.data[begin:self.at]
        infos = []
        for _ in range(n_tensors):
            name = self.text()
            shape = [int(self.number("<u8")) for _ in range(self.number("<u4"))][::-1]
            infos.append((name, shape, int(self.number("<u4")), int(self.number("<u8"))))
        alignment = int(self.keys.get("general.alignment", 32))
        start = -(-self.at // alignment) * alignment
        self.types, self.shapes, self.raw = {}, {}, {}
        end = 0
        for name, shape, kind, offset in infos:
            self.types[name], block, size = TYPES[kind]
            self.shapes[name] = shape
            n = int(np.prod(shape)) // block * size
            assert offset % alignment == 0 and offset == end, f"{name} is at {offset}"
            self.raw[name] = self.data[start + offset:start + offset + n]
            assert len(self.raw[name]) == n, f"{name} is cut off"
            end = offset + -(-n // alignment) * alignment
        assert start + end == len(self.data), "something follows the last tensor"

    def number(self, form):
        value = np.frombuffer(self.data, form, 1, self.at)[0]
        self.at += np.dtype(form).itemsize
        return value

    def text(self):
        n = int(self.number("<u8"))
        self.at += n
        return self.data[self.at - n:self.at].decode()

    def value(self, kind):
        if kind == STRING:
            return self.text()
        if kind == ARRAY:
            of, n = int(self.number("<u4")), int(self.number("<u8"))
            return [self.value(of) for _ in range(n)]
        return self.number(NUMBERS[kind])

    def numbers(self, name):
        """As f32; of the quantised types, those below."""
        kind, raw, shape = self.types[name], self.raw[name], self.shapes[name]
        if kind == "BF16":
            return float_of_bf16(np.frombuffer(raw, np.uint16)).reshape(shape)
        if kind in ("F32", "F16"):
            return np.frombuffer(raw, kind.lower().replace("f", "<f").replace("32", "4").replace("16", "2")).astype(np.float32).reshape(shape)
        blocks = np.frombuffer(raw, np.uint8).reshape(-1, {"Q8_0": 34, "Q4_1": 20}[kind])
        scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
        if kind == "Q8_0":
            return (scale * blocks[:, 2:].copy().view(np.int8).astype(np.float32)).reshape(shape)
        least = blocks[:, 2:4].copy().view(np.float16).astype(np.float32)
        quants = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1).astype(np.float32)
        return (scale * quants + least).reshape(shape)
