"""Reads safetensors files (their form is a few lines: no package needed) and compares tensors by norm."""
import json
import struct

import numpy


def load(path):
    """{name: float32 array}"""
    with open(path, "rb") as f:
        data = f.read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    tensors = {}
    for name, info in header.items():
        if name == "__metadata__":
            continue
        assert info["dtype"] == "F32", name
        begin, end = info["data_offsets"]
        values = numpy.frombuffer(data[8 + length + begin : 8 + length + end], dtype="<f4")
        tensors[name] = values.reshape(info["shape"])
    return tensors


def relative(got, want):
    """|got - want| / |want|"""
    assert got.shape == want.shape, (got.shape, want.shape)
    got, want = got.astype("f8"), want.astype("f8")
    return numpy.linalg.norm(got - want) / numpy.linalg.norm(want)
