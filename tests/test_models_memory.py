from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.models.memory import Memory, masked_softmax
from tests.contracts import make_memory


@settings(deadline=None, max_examples=50)
@given(st.lists(st.booleans(), min_size=2, max_size=9).filter(any), st.integers(0, 2**31))
def test_masked_softmax_is_the_softmax_of_what_is_present(present: list[bool], seed: int) -> None:
    scores = torch.randn(len(present), generator=torch.Generator().manual_seed(seed)) * 5
    mask = torch.tensor(present)
    weights = masked_softmax(scores, mask)
    assert (weights[~mask] == 0).all()
    torch.testing.assert_close(weights[mask], torch.softmax(scores[mask], 0))


def test_the_mean_counts_only_what_is_present() -> None:
    memory = make_memory()
    for row in range(3):
        wanted = memory.features_BND[row][memory.present_BN[row]].mean(0)
        torch.testing.assert_close(memory.mean_BD()[row], wanted)


def test_select_takes_studies_in_the_order_asked_for() -> None:
    memory = make_memory()
    chosen = memory.select(torch.tensor([2, 0]))
    assert isinstance(chosen, Memory)
    torch.testing.assert_close(chosen.features_BND, memory.features_BND[[2, 0]])
    torch.testing.assert_close(chosen.condition_BC, memory.condition_BC[[2, 0]])
