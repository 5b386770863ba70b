from __future__ import annotations

import pytest
import torch

from hilum.models.findings import FindingsHead
from tests.contracts import check_gradients, make_memory

NAMES = ("a", "b", "c", "b/left", "b/right", "c/right")


def test_attention_sums_to_one_over_what_is_present_and_absent_views_change_nothing() -> None:
    torch.manual_seed(0)
    head, memory = FindingsHead(16, NAMES, 0.3).eval(), make_memory()
    logits, attention = head(memory.features_BND, memory.present_BN)
    assert logits.shape == (3, 6) and attention.shape == (3, 6, 8)
    torch.testing.assert_close(attention.sum(-1), torch.ones(3, 6))
    longer = torch.cat([memory.features_BND, torch.full((3, 4, 16), 7.0)], 1)
    present = torch.cat([memory.present_BN, torch.zeros(3, 4, dtype=torch.bool)], 1)
    torch.testing.assert_close(head(longer, present)[0], logits)


def test_every_parameter_learns() -> None:
    head, memory = FindingsHead(16, NAMES, 0.0), make_memory()
    check_gradients(head, head(memory.features_BND, memory.present_BN)[0].square().sum())


def test_a_single_position_can_decide() -> None:
    """What mean pooling cannot do: one bright cell among many sets the logit."""
    torch.manual_seed(0)
    head = FindingsHead(2, ["a"], 0.0)
    with torch.no_grad():
        head.look.weight.copy_(torch.tensor([[20.0, 0.0]]))
        head.weight_FD.copy_(torch.tensor([[1.0, 0.0]]))
        head.mean.weight.zero_()
        head.mean.bias.zero_()
    features = torch.zeros(1, 50, 2)
    features[0, 33, 0] = 1.0
    logits, attention = head(features, torch.ones(1, 50, dtype=torch.bool))
    assert logits.item() > 0.99 and attention[0, 0].argmax() == 33


def test_a_side_is_read_where_its_finding_is_read() -> None:
    torch.manual_seed(0)
    head, memory = FindingsHead(16, NAMES, 0.0), make_memory()
    logits, attention = head(memory.features_BND, memory.present_BN)
    for side, base in ((3, 1), (4, 1), (5, 2)):
        torch.testing.assert_close(attention[:, side], attention[:, base])
    assert head.side is not None
    with torch.no_grad():
        head.side.bias += torch.tensor([5.0, 0.0])  # what left looks like is shared, and left only
    moved = head(memory.features_BND, memory.present_BN)[0] - logits
    torch.testing.assert_close(moved, torch.tensor([0.0, 0.0, 0.0, 5.0, 0.0, 0.0]).expand(3, 6))


def test_sides_are_read_on_frontal_films_where_there_are_any() -> None:
    torch.manual_seed(0)
    head, memory = FindingsHead(16, NAMES, 0.0), make_memory()
    memory.present_BN[:, [0, 1, 6, 7]] = True
    lateral = torch.zeros_like(memory.present_BN)
    lateral[0, 4:], lateral[1] = True, True  # a pair, and lateral films alone
    logits, attention = head(memory.features_BND, memory.present_BN, lateral)
    torch.testing.assert_close(attention.sum(-1), torch.ones(3, 6))
    assert (attention[0, 3:, 4:] == 0).all() and (attention[0, :3, 6:] > 0).all()
    plain, everywhere = head(memory.features_BND, memory.present_BN)
    torch.testing.assert_close(attention[1:], everywhere[1:])
    torch.testing.assert_close(logits[:, :3], plain[:, :3])
    kept = everywhere[0, 3:, :4] / everywhere[0, 3:, :4].sum(-1, keepdim=True)
    torch.testing.assert_close(attention[0, 3:, :4], kept)


def test_where_no_finding_has_sides_there_is_nothing_to_share() -> None:
    memory = make_memory()
    head = FindingsHead(16, ["a", "b"], 0.0)
    check_gradients(head, head(memory.features_BND, memory.present_BN)[0].square().sum())


@pytest.mark.parametrize("names", [["a/left"], ["a", "a/left", "b"], ["a", "b/left"], ["a", "a/upper"]])
def test_sides_follow_their_findings(names: list[str]) -> None:
    with pytest.raises(ValueError, match="NAME/left"):
        FindingsHead(16, names, 0.0)


def test_contributions_add_up_to_what_the_pooling_says() -> None:
    """With the mean over all cells and its bias it is the logit; and a cell that says nothing has none."""
    torch.manual_seed(0)
    head, memory = FindingsHead(16, NAMES, 0.3).eval(), make_memory()
    with torch.no_grad():
        found = head.contributions(memory.features_BND, memory.present_BN)
        whole = head(memory.features_BND, memory.present_BN)[0][:, :3]
        assert found.shape == (3, 3, 8)
        torch.testing.assert_close(found.sum(-1) + head.mean(memory.mean_BD()), whole)
        absent = ~memory.present_BN.unsqueeze(1).expand_as(found)
        assert absent.any() and (found[absent] == 0).all()
        head.weight_FD[1] = 0.0  # it is looked for, and nothing is read
        assert (head.contributions(memory.features_BND, memory.present_BN)[:, 1] == 0).all()
