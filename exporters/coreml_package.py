"""Finish a Core ML package: class labels, the words about it, and the same bytes whenever it is made again.

coremltools' own ClassifierConfig allows no tensor beside the label and the probabilities; a proof needs the scores
too. So its operation, ``classify``, is written into the program here, as the last one.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LABEL, BY_LABEL = "classLabel", "classLabel_probs"
_OWN_KEYS = "com.github.apple.coremltools."
_DATE = _OWN_KEYS + "conversion_date"
_NUMBERED = re.compile(r"const_\d+(\D.*)?")
_NAMESPACE = uuid.UUID("5f3a9b1e-6f0c-5c52-9d1d-2f5cf0a6f1c4")


def distinct(labels: Sequence[str]) -> list[str]:
    """Return the labels with a number behind each that was there before (ImageNet has two cranes).

    The probabilities are a table by label, in which each must be there once.
    """
    given, names = set(labels), dict.fromkeys(labels[:0])
    for label in labels:
        name, count = label, 1
        while name in names or (count > 1 and name in given):
            count += 1
            name = f"{label} ({count})"
        names[name] = None
    return list(names)


def add_labels(spec: Any, labels: Sequence[str], probabilities: str, *, keep: bool) -> None:
    """Let the program end with a class label and a table of probabilities by label.

    ``probabilities`` names a float32 output; it stays an output beside them where ``keep`` says so.
    """
    from coremltools.proto import MIL_pb2

    block = _main_block(spec)
    operation = block.operations.add(type="classify")
    operation.inputs["probabilities"].arguments.add(name=probabilities)
    classes = operation.inputs["classes"].arguments.add().value
    classes.type.listType.type.tensorType.dataType = MIL_pb2.STRING
    classes.type.listType.length.constant.size = len(labels)
    for label in distinct(labels):
        _write_text(classes.immediateValue.list.values.add(), label)
    operation.outputs.add(name=LABEL).type.tensorType.dataType = MIL_pb2.STRING
    table = operation.outputs.add(name=BY_LABEL).type.dictionaryType
    table.keyType.tensorType.dataType = MIL_pb2.STRING
    table.valueType.tensorType.dataType = MIL_pb2.FLOAT64
    _write_text(operation.attributes["name"], "classify")
    others = [name for name in block.outputs if keep or name != probabilities]
    block.outputs[:] = [LABEL, BY_LABEL, *others]
    _describe_outputs(spec.description, others)


def _main_block(spec: Any) -> Any:
    main = spec.mlProgram.functions["main"]
    return main.block_specializations[main.opset]


def _write_text(value: Any, text: str) -> None:
    from coremltools.proto import MIL_pb2

    value.type.tensorType.dataType = MIL_pb2.STRING
    value.immediateValue.tensor.strings.values.append(text)


def _describe_outputs(description: Any, others: Sequence[str]) -> None:
    kept = [type(feature).FromString(feature.SerializeToString()) for feature in description.output]
    del description.output[:]
    label, table = description.output.add(name=LABEL), description.output.add(name=BY_LABEL)
    label.type.stringType.SetInParent()
    table.type.dictionaryType.stringKeyType.SetInParent()
    label.shortDescription, table.shortDescription = "the most probable class", "the probability of each class"
    description.output.extend(feature for feature in kept if feature.name in others)
    description.predictedFeatureName, description.predictedProbabilitiesName = LABEL, BY_LABEL


def renumber(spec: Any) -> None:
    """Give the constants without names of their own the numbers of their order; coremltools counts in no fixed one."""
    block, names = _main_block(spec), dict[str, str]()
    for operation in block.operations:
        for output in operation.outputs:
            if numbered := _NUMBERED.fullmatch(output.name):
                names[output.name] = f"const_{len(names)}{numbered[1] or ''}"
    for operation in block.operations:
        called = operation.attributes["name"].immediateValue.tensor.strings.values
        called[:] = [names.get(name, name) for name in called]
        arguments = [
            a for given in operation.inputs.values() for a in given.arguments if a.WhichOneof("binding") == "name"
        ]
        for named in (*operation.outputs, *arguments):
            named.name = names.get(named.name, named.name)


def describe(spec: Any, told: Mapping[str, str], words: Mapping[str, str], features: Mapping[str, str]) -> None:
    """Write what Xcode shows: ``told`` for programs to read, ``words`` (author, license ...), what each tensor is."""
    metadata = spec.description.metadata
    for name, text in words.items():
        setattr(metadata, name, text)
    kept = {key: value for key, value in metadata.userDefined.items() if key != _DATE}
    metadata.userDefined.clear()
    for key, value in sorted({**kept, **told}.items()):
        metadata.userDefined[key] = value
    for feature in (*spec.description.input, *spec.description.output):
        feature.shortDescription = features.get(feature.name, feature.shortDescription)


def save(spec: Any, weights_dir: str | None, path: Path) -> None:
    """Write the package without dates and random names, so that the same conversion gives the same files."""
    import coremltools as ct

    ct.models.MLModel(spec, weights_dir=weights_dir, skip_model_load=True).save(str(path))
    (model,) = path.glob("Data/*/*.mlmodel")
    model.write_bytes(spec.SerializeToString(deterministic=True))
    listing = path / "Manifest.json"
    data = json.loads(listing.read_text(encoding="utf-8"))
    names = {old: str(uuid.uuid5(_NAMESPACE, item["path"])) for old, item in data["itemInfoEntries"].items()}
    data["itemInfoEntries"] = {names[old]: item for old, item in data["itemInfoEntries"].items()}
    data["rootModelIdentifier"] = names[data["rootModelIdentifier"]]
    # Whoever opens a package with coremltools writes this file again: in these very bytes, or a seal would be broken.
    listing.write_text(json.dumps(data, indent=4, sort_keys=True) + "\n", encoding="utf-8")
