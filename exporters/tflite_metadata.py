"""Write labels and normalisation into a TFLite file, in the format's own metadata (metadata_schema.fbs, "M001").

The description is a flatbuffer in a buffer of the model named TFLITE_METADATA; the labels are a zip appended to the
file, which engines do not see and every unzip opens. The field numbers below are those of the published schema.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np

from .recipe import Job

LABELS_FILE = "labels.txt"
_NAME = b"TFLITE_METADATA"
_IDENTIFIER = b"M001"
_PARSER = "1.0.0"
_IMAGE_PROPERTIES, _NORMALISATION, _AXIS_LABELS, _RGB = 2, 1, 2, 1
_TABLE, _BYTE, _WORD = "UOffsetT", "Uint8", "Uint32"
_OUTPUTS = {
    "logits": "one logit a class, before softmax",
    "probabilities": "one probability a class, after softmax",
}

Field = tuple[int, str, Any]


def annotate(path: Path, job: Job) -> None:
    """Rewrite the file with its description in it, and append the labels."""
    from ai_edge_litert import schema_py_generated as schema

    content = path.read_bytes()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    _take_in(model, content)
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(describe(job), np.uint8)
    entry = schema.MetadataT()
    entry.name, entry.buffer = _NAME, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(m for m in model.metadata or [] if m.name != _NAME), entry]
    model.description = f"{job.model} by edgevit"
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    if not job.spec.labels:
        return
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as zipped:
        info = zipfile.ZipInfo(LABELS_FILE)
        zipped.writestr(info, "\n".join(job.spec.labels) + "\n")


def _take_in(model: Any, content: bytes) -> None:
    """Bring buffers that lie behind the flatbuffer into it: the quantiser puts them there, and offsets will change."""
    for buffer in model.buffers:
        if buffer.offset > 1:
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
        buffer.offset = buffer.size = 0


def describe(job: Job) -> bytes:
    """Return the flatbuffer: what it is and, of a classifier, one image in, one row of scores out."""
    builder = flatbuffers.Builder(1024)
    text = builder.CreateString
    graphs: list[Field] = [] if job.spec.track else [(3, _TABLE, _list(builder, _classifier(builder, job)))]
    licences = {part: job.metadata.get(f"{part}_licence", "unknown") for part in ("weights", "code")}
    licence = "; ".join(f"{part}: {licences[part]}" for part in licences)
    told = {0: job.model, 1: f"{job.spec.task}, {job.metadata.get('weights', '')} weights", 5: licence, 7: _PARSER}
    fields: list[Field] = [(number, _TABLE, text(value)) for number, value in told.items()]
    builder.Finish(_table(builder, [*fields, *graphs]), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def _classifier(builder: Any, job: Job) -> int:
    text = builder.CreateString
    image = job.spec.image
    size = _table(builder, [(0, _WORD, image.size_hw[1]), (1, _WORD, image.size_hw[0])])
    properties = _table(builder, [(0, _BYTE, _RGB if image.color == "rgb" else 0), (1, _TABLE, size)])
    content = _table(builder, [(0, _BYTE, _IMAGE_PROPERTIES), (1, _TABLE, properties)])
    options = _table(
        builder,
        [(n, _TABLE, _floats(builder, [255 * v for v in values])) for n, values in ((0, image.mean), (1, image.std))],
    )
    unit = _table(builder, [(0, _BYTE, _NORMALISATION), (1, _TABLE, options)])
    remark = (
        f"resize {image.fit} to {image.resize_hw}, {image.interpolation}, centre crop {image.size_hw}, {image.color}"
    )
    picture = _table(
        builder,
        [
            (0, _TABLE, text("image")),
            (1, _TABLE, text(remark)),
            (3, _TABLE, content),
            (4, _TABLE, _list(builder, unit)),
        ],
    )
    labels = _table(builder, [(0, _TABLE, text(LABELS_FILE)), (2, _BYTE, _AXIS_LABELS)])
    scores = _table(
        builder,
        [
            (0, _TABLE, text(job.spec.output)),
            (1, _TABLE, text(_OUTPUTS[job.spec.output])),
            (6, _TABLE, _list(builder, labels)),
        ],
    )
    return _table(builder, [(2, _TABLE, _list(builder, picture)), (3, _TABLE, _list(builder, scores))])


def _table(builder: Any, fields: list[Field]) -> int:
    builder.StartObject(max(number for number, _, _ in fields) + 1)
    for number, kind, value in fields:
        slot: Callable[[int, Any, Any], None] = {
            _TABLE: builder.PrependUOffsetTRelativeSlot,
            _BYTE: builder.PrependUint8Slot,
            _WORD: builder.PrependUint32Slot,
        }[kind]
        slot(number, value, 0)
    end: int = builder.EndObject()
    return end


def _floats(builder: Any, values: list[float]) -> int:
    vector: int = builder.CreateNumpyVector(np.asarray(values, np.float32))
    return vector


def _list(builder: Any, item: int) -> int:
    builder.StartVector(4, 1, 4)
    builder.PrependUOffsetTRelative(item)
    vector: int = builder.EndVector()
    return vector
