from __future__ import annotations

import torch

from hilum.models.findings import FindingsHead
from tests.contracts import check_gradients, make_memory


def test_attention_sums_to_one_over_what_is_present_and_absent_views_change_nothing() -> None:
    torch.manual_seed(0)
    head, memory = FindingsHead(16, 5, 0.3).eval(), make_memory()
    logits, attention = head(memory.features_BND, memory.present_BN)
    assert logits.shape == (3, 5) and attention.shape == (3, 5, 8)
    torch.testing.assert_close(attention.sum(-1), torch.ones(3, 5))
    longer = torch.cat([memory.features_BND, torch.full((3, 4, 16), 7.0)], 1)
    present = torch.cat([memory.present_BN, torch.zeros(3, 4, dtype=torch.bool)], 1)
    torch.testing.assert_close(head(longer, present)[0], logits)


def test_every_parameter_learns() -> None:
    head, memory = FindingsHead(16, 5, 0.0), make_memory()
    check_gradients(head, head(memory.features_BND, memory.present_BN)[0].square().sum())


def test_a_single_position_can_decide() -> None:
    """What mean pooling cannot do: one bright cell among many sets the logit."""
    torch.manual_seed(0)
    head = FindingsHead(2, 1, 0.0)
    with torch.no_grad():
        head.look.weight.copy_(torch.tensor([[20.0, 0.0]]))
        head.weight_FD.copy_(torch.tensor([[1.0, 0.0]]))
        head.mean.weight.zero_()
        head.mean.bias.zero_()
    features = torch.zeros(1, 50, 2)
    features[0, 33, 0] = 1.0
    logits, attention = head(features, torch.ones(1, 50, dtype=torch.bool))
    assert logits.item() > 0.99 and attention[0, 0].argmax() == 33
