"""The filter's loss knows where the target is, and is the runtime's filter."""

from __future__ import annotations

import numpy as np
import torch

from edgevit.runtime.tasks.track_filter import CorrelationFilter, FilterPlan, read_off
from edgevit.training.tracking_filter import answered, filter_loss, peaks


def pair(dx: int, dy: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Lay the same 12 x 12 features into a field of 24 x 24, moved by whole cells."""
    generator = torch.Generator().manual_seed(seed)
    template = torch.randn(1, 8, 12, 12, generator=generator)
    search = torch.randn(1, 8, 24, 24, generator=generator) * 0.2
    search[:, :, 6 + dy : 18 + dy, 6 + dx : 18 + dx] = template
    box = torch.tensor([[(12 + dx) / 24, (12 + dy) / 24, 0.25, 0.25]])
    return template, search, box


def test_the_answer_peaks_where_the_target_went() -> None:
    for dx, dy in ((0, 0), (3, -2), (-4, 4)):
        template, search, _ = pair(dx, dy)
        row, column = divmod(int(answered(template, search)[0].argmax()), 24)
        assert abs(column - (11.5 + dx)) <= 1
        assert abs(row - (11.5 + dy)) <= 1


def test_it_is_the_filter_of_the_runtime() -> None:
    template, search, _ = pair(3, -2)
    spread = torch.fft.rfft2(answered(template, search))[0].numpy()
    mine = read_off(spread, (24, 24))
    learnt = np.zeros((8, 24, 24), np.float32)
    learnt[:, 6:18, 6:18] = template[0].numpy()
    runtime = CorrelationFilter((24, 24), FilterPlan(width=0.1))
    runtime.learn(learnt, (6, 6))
    theirs = runtime.find(search[0].numpy())
    # The windows differ, 12 cells wide here and 24 there; the place does not.
    assert abs(mine.dx - theirs.dx) < 0.5
    assert abs(mine.dy - theirs.dy) < 0.5


def test_the_loss_is_least_at_the_true_place_and_its_gradient_reaches_both_pictures() -> None:
    template, search, box = pair(3, -2)
    template.requires_grad_(True)
    search.requires_grad_(True)
    there = torch.tensor([True])
    right = filter_loss(template, search, box, there)
    wrong = filter_loss(template, search, box + torch.tensor([[0.2, 0.2, 0, 0]]), there)
    assert float(right.detach()) < float(wrong.detach()) - 1
    right.backward()  # type: ignore[no-untyped-call]
    for part in (template, search):
        assert part.grad is not None
        assert bool(torch.isfinite(part.grad).all())
        assert float(part.grad.abs().max()) > 0


def test_pairs_without_the_target_teach_nothing() -> None:
    template, search, box = pair(3, -2)
    two = (torch.cat((template, template)), torch.cat((search, 0 * search)), torch.cat((box, box)))
    both = filter_loss(*two, torch.tensor([True, False]))
    assert float(both) == float(filter_loss(template, search, box, torch.tensor([True])))


def test_peaks_stand_between_cells_too() -> None:
    peak = peaks(torch.tensor([[4.5, 2.0]]), 8, 1.0)[0]
    assert float(peak[2, 4]) == float(peak[2, 5]) == float(peak.max())
