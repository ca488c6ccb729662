"""The fp16 file is a sound graph where several operators that stay float32 take one tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgevit.exporters import onnx as exporter


def two_takers() -> Any:
    """Give one fp16 tensor to two operators that ONNX Runtime's converter leaves in float32."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy")
    nodes = [
        helper.make_node("Mul", ["x", "half"], ["t"]),
        helper.make_node("Min", ["t", "limit"], ["low"]),
        helper.make_node("Max", ["t", "limit"], ["high"]),
        helper.make_node("Add", ["low", "high"], ["y"]),
    ]
    constants = [
        numpy_helper.from_array(np.full(4, value, np.float32), name) for name, value in (("half", 0.5), ("limit", 1))
    ]
    graph = helper.make_graph(nodes, "two", [x], [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_one_tensor_is_cast_once_for_all_that_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made = exporter._half(two_takers())
    onnx.checker.check_model(made, full_check=True)
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.array([[-3, 0.5, 2, 8]], np.float32)
    (y,) = session.run(None, {"x": x})
    np.testing.assert_allclose(y, 0.5 * x + 1, atol=1e-2)
    monkeypatch.setattr(exporter, "drop_repeated_casts", lambda graph: None)
    with pytest.raises(onnx.checker.ValidationError, match="single static assignment"):
        onnx.checker.check_model(exporter._half(two_takers()), full_check=True)
