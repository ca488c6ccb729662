"""Change a weight in a saved Core ML package by hand."""

from __future__ import annotations

import struct
from pathlib import Path


def change_weight(package: Path, name: str, by: float) -> None:
    """Change one number of a float32 weight in the package's own file, behind everybody's back."""
    import coremltools as ct

    spec = ct.models.MLModel(str(package), skip_model_load=True).get_spec()
    main = spec.mlProgram.functions["main"]
    consts = {op.outputs[0].name: op for op in main.block_specializations[main.opset].operations if op.type == "const"}
    (found,) = (op for const, op in consts.items() if name in const)
    (file,) = package.rglob("weight.bin")
    data = bytearray(file.read_bytes())
    *_, start = struct.unpack_from("<IIQQ", data, found.attributes["val"].blobFileValue.offset)
    (value,) = struct.unpack_from("<f", data, start)
    struct.pack_into("<f", data, start, value + by)
    file.write_bytes(data)
