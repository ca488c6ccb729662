from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgevit.errors import UsageError
from edgevit.exporters import agreement
from edgevit.exporters.agreement import Figures, judge, limits_for, measure, relative_errors

outputs = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 5), st.integers(2, 6)), elements=st.floats(-100, 100, width=32)
)


def figures(**changes: float) -> Figures:
    base: dict[str, Any] = {
        "top1": 1.0,
        "cosine_median": 1.0,
        "cosine_least": 1.0,
        "relative_median": 1e-6,
        "relative_most": 1e-5,
    }
    base |= {"noise_relative": 1e-7, "classes_seen": 3, **changes}
    return Figures(**base)


@given(outputs)
def test_a_model_agrees_with_itself(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    told = measure(values, values, noise_relative=0.0)
    assert (told.top1, told.relative_most) == (1.0, 0.0)
    assert told.cosine_least == pytest.approx(1)


def test_the_figures_are_what_they_say() -> None:
    reference = np.array([[1, 2, 4], [8, 0, -2]], np.float32)
    answer = np.array([[1, 2, 3], [0, 8, -2]], np.float32)
    told = measure(reference, answer, noise_relative=1e-7, truth=(2, 1))
    assert relative_errors(reference, answer) == pytest.approx([0.25, 1.0])
    assert told.relative_median == pytest.approx(0.625)
    assert told.relative_most == 1.0
    assert told.top1 == 0.5
    assert (told.accuracy_model, told.accuracy_file) == (0.5, 1.0)


def test_a_reference_of_zeros_makes_any_difference_infinite() -> None:
    zeros = np.zeros((1, 3), np.float32)
    assert relative_errors(zeros, zeros)[0] == 0
    assert np.isinf(relative_errors(zeros, zeros + 1)[0])


def test_a_wrong_file_fails_and_says_by_how_much() -> None:
    gate, top1 = judge(figures(relative_median=3e-3), limits_for("fp32", None), precision="fp32", trained=True)
    assert not gate.passed
    assert top1.passed
    assert gate.sentence() == "relative 0.003 (at most 0.0001): failed"


def test_nan_passes_no_gate() -> None:
    nan = float("nan")
    for precision in agreement.GATES:
        gates = judge(
            figures(relative_median=nan, top1=nan), limits_for(precision, None), precision=precision, trained=True
        )
        assert not any(gate.passed for gate in gates)


def test_a_gate_is_never_tighter_than_twenty_times_the_models_own_noise() -> None:
    noisy = figures(relative_median=1e-3, noise_relative=1e-4)
    (gate,) = judge(noisy, {"relative": 1e-4}, precision="fp32", trained=True)
    assert gate.passed
    assert gate.limit == pytest.approx(2e-3)


def test_a_chaotic_model_cannot_lift_its_gate_to_where_everything_passes() -> None:
    chaotic = figures(relative_median=3e-2, noise_relative=0.05)
    (gate,) = judge(chaotic, {"relative": 1e-4}, precision="fp32", trained=True)
    assert gate.limit == agreement.NOISE_CEILING
    assert not gate.passed


def test_a_gate_that_the_caller_names_counts_on_random_weights_too() -> None:
    (gate,) = judge(figures(top1=0.5), {"top1": 0.9}, precision="int8", trained=False, named={"top1"})
    assert gate.counted
    assert not gate.passed


def test_what_is_not_finite_is_written_as_nothing() -> None:
    assert agreement.plain(float("inf")) is None
    assert figures(relative_most=float("inf")).to_dict()["relative_most"] is None


@pytest.mark.parametrize(("precision", "counted"), [("fp32", {"relative"}), ("fp16", {"relative"}), ("int8", set())])
def test_untrained_weights_gate_only_what_means_something(precision: str, counted: set[str]) -> None:
    gates = judge(figures(), limits_for(precision, None), precision=precision, trained=False)
    assert {gate.name for gate in gates if gate.counted} == counted


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"top2": 1}, "no gate 'top2'"),
        ({"top1": 1.5}, "makes no sense"),
        ({"relative": -1}, "no sense"),
        ({"relative": float("inf")}, "no sense"),
    ],
)
def test_senseless_gates_are_refused(chosen: dict[str, float], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        limits_for("fp16", chosen)


def test_a_chosen_gate_takes_the_place_of_the_default() -> None:
    assert limits_for("fp16", {"top1": 0.5}) == {"relative": 1e-2, "top1": 0.5}
