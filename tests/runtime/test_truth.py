"""The class of each test picture is found by a rule that is said; what fits no rule is refused, never left out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevit.errors import InputError, UnknownNameError, UnsupportedError
from edgevit.pictures import write_picture
from edgevit.runtime.truth import Sample, Truth, find_samples, label_table, normal
from edgevit.scenes import shapes
from edgevit.spec import ImageSpec, Spec

IMAGE = ImageSpec((32, 32), (32, 32))
FISH = Spec("classify", IMAGE, ("tench, Tinca tinca", "great white shark", "crane"), ("n01440764", "n01484850", "n2"))


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, np.full((8, 8, 3), 90, np.uint8))


def folder(root: Path, names: Sequence[str]) -> Path:
    for name in names:
        picture(root / name)
    return root


@pytest.mark.parametrize(
    ("names", "rule", "labels"),
    [
        (("n01484850/a.png", "n01440764/b.png"), "sub-folders are label ids", [0, 1]),
        (("Great White-Shark/a.png", "tench/b.png", "tench/deep/c.png"), "sub-folders are label names", [1, 0, 0]),
        (("Tinca_tinca/b.png",), "sub-folders are label names", [0]),
        (("0/a.png", "002/b.png"), "sub-folders are class numbers", [0, 2]),
        (("x/a.png", "y/b.png", "z/c.png"), "sub-folders in sorted order, as many as classes", [0, 1, 2]),
        (("n01440764_tench.png", "n01484850_01.png"), "file names begin with label ids", [0, 1]),
        (("great_white_shark_007.png", "tench2/x.txt", "crane.png"), "file names begin with label names", [2, 1]),
        (
            ("k1_a.png", "k2_b.png", "k3_c.png"),
            "beginnings of file names in sorted order, as many as classes",
            [0, 1, 2],
        ),
    ],
)
def test_each_rule_finds_the_classes(tmp_path: Path, names: tuple[str, ...], rule: str, labels: list[int]) -> None:
    for name in names:
        if name.endswith(".png"):
            picture(tmp_path / name)
        else:
            (tmp_path / name).parent.mkdir(exist_ok=True)
    truth = find_samples(tmp_path, FISH, 3)
    assert truth.rule == rule
    assert [s.label for s in truth.samples] == labels
    assert truth.samples[0].read().size_hw == (8, 8)


def test_a_folder_that_fits_no_class_is_refused_by_name_not_left_out(tmp_path: Path) -> None:
    folder(tmp_path, ("tench/a.png", "crane/b.png", "walrus/c.png", "seal/d.png"))
    with pytest.raises(InputError, match=r"2 of 4 sub-folders fit no class .*'seal', 'walrus'.*such as n01440764"):
        find_samples(tmp_path, FISH, 3)


def test_flat_pictures_without_classes_are_refused(tmp_path: Path) -> None:
    folder(tmp_path, ("IMG_1.png", "IMG_2.png"))
    with pytest.raises(InputError, match="2 of 2 files fit no class"):
        find_samples(tmp_path, FISH, 3)


def test_an_empty_and_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no pictures"):
        find_samples(tmp_path, FISH, 3)
    with pytest.raises(InputError, match="There is no folder"):
        find_samples(tmp_path / "nowhere", FISH, 3)


def test_pictures_beside_the_sub_folders_are_told(tmp_path: Path) -> None:
    folder(tmp_path, ("tench/a.png", "sheet.png", ".git/x.png", "__MACOSX/y.png"))
    truth = find_samples(tmp_path, FISH, 3)
    assert len(truth.samples) == 1
    assert truth.notes == ("1 pictures beside the sub-folders have no class and were left out",)


def test_a_name_that_two_classes_share_stands_for_neither() -> None:
    table = label_table(("crane, bird", "crane, machine", "maillot", "maillot, tank suit"))
    assert "crane" not in table
    assert table == {"bird": 0, "machine": 1, "maillot": 2, "tank_suit": 3} | {
        normal(whole): n for n, whole in enumerate(("crane, bird", "crane, machine", "maillot", "maillot, tank suit"))
    }


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=8))
def test_every_spelling_of_the_table_leads_to_a_label_that_has_it(labels: list[str]) -> None:
    for spelling, number in label_table(labels).items():
        assert spelling in {normal(labels[number]), *(normal(p) for p in labels[number].split(","))}


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.integers(1, 80))
def test_spread_takes_every_class_before_any_twice_too_often(labels: list[int], limit: int) -> None:
    def unread() -> None:
        raise AssertionError

    samples = tuple(Sample(str(n), label, unread) for n, label in enumerate(labels))  # type: ignore[arg-type]
    chosen = [s.label for s in Truth(samples, "x").spread(limit).samples]
    assert len(chosen) == min(limit, len(labels))
    assert len(set(chosen)) == min(len(chosen), len(set(labels)))
    assert len({s.name for s in Truth(samples, "x").spread(limit).samples}) == len(chosen)


def test_rendered_shapes_follow_the_order_of_the_bundles_labels() -> None:
    mixed = tuple(reversed(shapes.LABELS))
    truth = find_samples("synthetic://shapes?count=10&start=3&size=32", Spec("classify", IMAGE, mixed), 10)
    assert [mixed[s.label] for s in truth.samples] == [shapes.LABELS[n % 10] for n in range(3, 13)]
    assert "split 'test'" in truth.rule
    assert truth.samples[0].read().size_hw == (32, 32)


@pytest.mark.parametrize(
    ("uri", "fault", "words"),
    [
        ("synthetic://shapes?cuont=3", UnknownNameError, "Did you mean count"),
        ("synthetic://shapes?count=0", InputError, "'count' must be a whole number"),
        ("synthetic://shapes?count=many", InputError, "not 'many'"),
        ("synthetic://shapes?split=tset", UnknownNameError, "tset"),
        ("synthetic://shape", UnknownNameError, "Did you mean shapes"),
    ],
)
def test_a_wrong_synthetic_uri_is_answered(uri: str, fault: type[Exception], words: str) -> None:
    with pytest.raises(fault, match=words):
        find_samples(uri, Spec("classify", IMAGE, shapes.LABELS), 10)


def test_shapes_are_not_for_a_model_of_other_things() -> None:
    with pytest.raises(UnsupportedError, match="the bundle's labels are others"):
        find_samples("synthetic://shapes", FISH, 3)
