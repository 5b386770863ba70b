"""Whether a map names what the model went by: cells are taken away in its order, and the model reads again.

Two ways to take a cell away. From the *memory*: the cell is masked, as padding is, for the findings head and for
the decoder; nothing is put in its place, but its neighbours have seen what it showed. From the *film*: its pixels
are blurred until nothing of the size of a finding is left, and the encoder sees the film anew; that is nearer to
"were it not there", and costs an encoder pass a step. Two scores: the logit of a *finding*, and the log-probability
of the words of a *sentence* after those before it, with all that the findings head decides decided anew at every
step, as it is in a draft.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from hilum.data.batches import in_chunks
from hilum.explain import Span
from hilum.metrics import faithfulness
from hilum.metrics.faithfulness import Areas
from hilum.models.report_model import ReportModel
from hilum.reporter import Reporter, Seen
from hilum.study import Study
from hilum.text.tokenizer import START

Score = Callable[[Seen], Tensor]
"""What is asked of R versions of one study: (R,)."""
Cover = Callable[[NDArray[np.bool_]], Seen]
"""One study with only the cells kept (R, N): R versions of it."""
BLUR = 0.1
"""The standard deviation of the blur, as a share of the film's side: about one and a half cells."""
ROWS = 48
"""So many versions are read at once."""


def of_finding(reporter: Reporter, name: str) -> Score:
    """The logit of the finding ``name``. Raises ValueError where the head does not know it."""
    model = reporter.run.model
    index = model.config.findings.index(name)

    def score(seen: Seen) -> Tensor:
        return model.read_findings(*seen)[0][:, index]

    return score


def of_sentence(reporter: Reporter, study: Study, tokens: Sequence[int], span: Span) -> Score:
    """The log-probability of the tokens ``span`` of a draft (after its start mark), given those before."""
    read_T = torch.tensor([START, *tokens[: span.stop - 1]], dtype=torch.long)
    said_T = torch.tensor(tokens[span.start : span.stop], dtype=torch.long)
    read_T, said_T = (part.to(reporter.run.model.device) for part in (read_T, said_T))

    def score(seen: Seen) -> Tensor:
        versions = seen.cells_BIG.shape[0]
        memory = reporter.remember([study] * versions, seen).memory
        logits_RTV, _ = reporter.run.model.decoder.forward(read_T.expand(versions, -1), memory)
        log_probs_RTV = torch.log_softmax(logits_RTV[:, span.start :].float(), -1)
        return log_probs_RTV.gather(-1, said_T.expand(versions, -1).unsqueeze(-1)).sum((1, 2))

    return score


def from_memory(seen: Seen) -> Cover:
    """Masks the cells of the one study in ``seen``."""
    features_1IGD, cells_1IG, projection_1I = seen

    def cover(kept_RN: NDArray[np.bool_]) -> Seen:
        kept_RIG = torch.from_numpy(kept_RN).to(cells_1IG.device).view(-1, *cells_1IG.shape[1:])
        versions = len(kept_RIG)
        return Seen(
            features_1IGD.expand(versions, -1, -1, -1),
            cells_1IG & kept_RIG,
            projection_1I.expand(versions, -1),
        )

    return cover


def from_film(model: ReportModel, images_IHW: Tensor, seen: Seen) -> Cover:
    """Blurs the cells out of the films of the one study in ``seen``: float in [0, 1], in the order of its views."""
    views, side, _ = images_IHW.shape
    blurred_IHW = blurred(images_IHW, BLUR * side)

    def cover(kept_RN: NDArray[np.bool_]) -> Seen:
        versions = len(kept_RN)
        kept_RIgg = torch.from_numpy(kept_RN).to(images_IHW).view(versions, views, model.grid, model.grid)
        kept_RIHW = F.interpolate(kept_RIgg, size=(side, side), mode="nearest")
        films_MHW = torch.lerp(blurred_IHW, images_IHW, kept_RIHW).flatten(0, 1)
        features_RIGD = model.see(films_MHW).view(versions, views, model.grid**2, -1)
        return Seen(
            features_RIGD, seen.cells_BIG.expand(versions, -1, -1), seen.projection_BI.expand(versions, -1)
        )

    return cover


def blurred(images_IHW: Tensor, deviation: float) -> Tensor:
    """The films under a Gaussian blur, their edges continued outwards."""
    reach = min(round(3 * deviation), images_IHW.shape[-1] - 1)
    weights = torch.exp(
        -0.5 * (torch.arange(-reach, reach + 1, device=images_IHW.device) / deviation).square()
    )
    weights = weights / weights.sum()
    padded = F.pad(images_IHW.unsqueeze(1), (reach,) * 4, mode="replicate")
    down = F.conv2d(padded, weights.view(1, 1, -1, 1))
    return F.conv2d(down, weights.view(1, 1, 1, -1)).squeeze(1)


@torch.no_grad()
def areas(
    score: Score, cover: Cover, map_N: NDArray[np.floating], present_N: NDArray[np.bool_], views: int,
    rng: np.random.Generator, *, steps: int, draws: int, spare: int,
) -> Areas:  # fmt: skip
    """The areas under the curves of ``map_N`` (N = ``views`` × a square grid), beside ``draws`` random orders and as
    many random places. ``spare`` cells stay to the last: 1 where a study without any cannot be read."""
    cells = len(map_N)
    present_N = present_N.astype(np.bool_)
    gone = faithfulness.steps(int(present_N.sum()), steps, spare=spare)
    side = round((cells / views) ** 0.5)
    shaped_IHW = np.asarray(map_N, np.float64).reshape(views, side, side)
    order = faithfulness.by_importance(shaped_IHW.ravel(), present_N)
    kept = [faithfulness.deleting(order, gone, cells), faithfulness.inserting(order, gone, cells)]
    for _ in range(draws):
        elsewhere = faithfulness.moved(shaped_IHW, rng).ravel()
        order = faithfulness.by_importance(elsewhere, present_N)
        kept += [
            faithfulness.deleting(faithfulness.at_random(present_N, rng), gone, cells),
            faithfulness.deleting(order, gone, cells),
            faithfulness.inserting(order, gone, cells),
        ]
    kept_RN = np.concatenate(kept)
    values_R = np.concatenate(
        [
            score(cover(kept_RN[chunk.start : chunk.stop])).cpu().numpy()
            for chunk in in_chunks(len(kept_RN), ROWS)
        ]
    ).astype(np.float64)
    curves = [faithfulness.area(curve) for curve in (values_R - values_R[0]).reshape(len(kept), -1)]
    chance = np.reshape(curves[2:], (draws, 3)).mean(0)
    return Areas(curves[0], curves[1], *(float(one) for one in chance))
