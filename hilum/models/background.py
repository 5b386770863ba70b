"""The background of a study, what was asked and known before its films were taken, read beside the films.

As in *Learning to Summarize Radiology Findings* (Zhang et al., arXiv 1809.04698), where the indication is read by an
encoder of its own; here its words are further positions that the decoder attends to.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hilum.models.dropout import Dropout
from hilum.models.memory import Memory
from hilum.models.text_encoder import BothWays, PairBag
from hilum.text.tokenizer import PAD

BAG = 64
"""Width of what the background adds to the condition."""


class BackgroundEncoder(nn.Module):
    """The words of a background as positions behind those of the films, and their bag as a part of the condition.

    Ids are those of ``hilum.data.batches.background``: words below ``vocabulary``, the mark of section k at
    ``vocabulary`` + k. A learnt vector is added to every position, so that a word is never taken for a place on a
    film.
    """

    def __init__(self, vocabulary: int, sections: int, embedding: int, width: int, dropout: float) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary + sections, embedding)
        self.read = BothWays(embedding, width)
        self.norm = nn.LayerNorm(width)
        self.kind_D = nn.Parameter(0.02 * torch.randn(width))
        self.bag = PairBag(vocabulary + sections, BAG)
        self.dropout = Dropout(dropout)

    def forward(self, memory: Memory, background_BS: Tensor | None) -> Memory:
        """``memory`` with S further positions and ``BAG`` further numbers in its condition.

        ``background_BS`` is padded with PAD, None where nothing is known of any study. A study without a background
        has no present position among the S, and zeros in its condition: nothing of it reaches the decoder.
        """
        if background_BS is None or background_BS.shape[1] == 0:
            nothing_BA = memory.condition_BC.new_zeros(len(memory.condition_BC), BAG)
            return memory._replace(condition_BC=torch.cat([memory.condition_BC, nothing_BA], -1))
        words_BS = background_BS != PAD
        read_BSD, _ = self.read(self.dropout(self.embed(background_BS)), words_BS.sum(1))
        features_BSD = self.dropout(self.norm(read_BSD)) + self.kind_D
        return Memory(
            torch.cat([memory.features_BND, features_BSD], 1),
            torch.cat([memory.present_BN, words_BS], 1),
            torch.cat([memory.condition_BC, self.dropout(self.bag(background_BS))], -1),
        )
