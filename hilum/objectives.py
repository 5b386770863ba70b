"""What the model is trained on and judged by while it learns: readers, losses, validation scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score
from torch import Tensor

from hilum.data.batches import PROJECTION_INDEX, Batch, Example, collate, in_chunks
from hilum.decoding import SearchConfig, greedy
from hilum.imaging.augment import Draws
from hilum.models.attention import coverage_penalty
from hilum.models.decoders import Learner
from hilum.models.memory import Memory
from hilum.models.report_model import ReportModel
from hilum.operating import MIN_POSITIVES
from hilum.places import places_count, places_loss
from hilum.readers import Reader
from hilum.study import Projection, State, Study
from hilum.text.findings import FURTHER, OBSERVATIONS, Reading, label
from hilum.text.normal import normalise
from hilum.text.tokenizer import PAD, Tokenizer

SCORED = tuple(name for name in (*OBSERVATIONS, *FURTHER) if name != "No Finding")
SIDES = 0.25
"""Weight of the sides' own loss beside that of the findings."""
ALONE = 0.15
UNTOLD = 0.15
"""Shares of the studies that are shown with one view alone, and without their projections, while learning."""
UNASKED = 0.15
"""Share of the studies that are shown without their background, so that a reader of it can do without."""


def texts(study: Study) -> tuple[str, str]:
    """Findings and impression of the reference, in normal form."""
    if study.report is None:
        return "", ""
    return normalise(study.report.findings), normalise(study.report.impression)


def has_films(study: Study) -> bool:
    """Whether there is a film to look at."""
    return any(view.file is not None for view in study.views)


def learnable(study: Study) -> bool:
    """Whether there is a film to look at and a word to learn."""
    return has_films(study) and any(texts(study))


def learnable_of(by_id: Mapping[str, Study], ids: Sequence[str]) -> list[Study]:
    """The ``learnable`` ones among the studies ``ids`` that are there, in that order."""
    return [by_id[name] for name in ids if name in by_id and learnable(by_id[name])]


def vary(batch: Batch, generator: torch.Generator) -> Batch:
    """Some studies with a single view, some whose projections are not told, some without their background: so that
    all of these are learnt.

    A view that is dropped keeps its row: it is masked after it was seen, so that batches of equal size ask for
    equal memory.
    """
    there_BI = batch.rows_BI >= 0
    alone_B1 = torch.rand(len(batch.studies), 1, generator=generator) < ALONE
    chosen_B = (torch.rand(there_BI.shape, generator=generator) * there_BI).argmax(1)
    chosen_BI = F.one_hot(chosen_B, there_BI.shape[1]).bool()
    kept_BI = there_BI & (chosen_BI | ~alone_B1)
    untold_B1 = torch.rand(len(batch.studies), 1, generator=generator) < UNTOLD
    unknown = PROJECTION_INDEX[Projection.UNKNOWN]
    background_BS = batch.background_BS
    if background_BS.shape[1]:
        unasked_B1 = torch.rand(len(batch.studies), 1, generator=generator) < UNASKED
        background_BS = background_BS.masked_fill(unasked_B1, PAD)
    return replace(
        batch,
        background_BS=background_BS,
        cells_BIG=batch.cells_BIG & kept_BI.unsqueeze(-1),
        projection_BI=batch.projection_BI.masked_fill(~kept_BI | untold_B1, unknown),
    )


@dataclass(frozen=True, slots=True)
class Counts:
    """Over how much the losses of a batch are means. A part of a batch divides by the counts of the whole, so that
    the losses (and the gradients) of its parts add up to those of the whole, however it is divided."""

    studies: int
    tokens: int
    words: float
    """The tokens, each counted by its weight."""
    findings: int
    """Known findings; ``sides``: known sides, ``codes``: known codes. (NaN is not known.)"""
    sides: int
    codes: int

    @classmethod
    def of(cls, batch: Batch, sided_F: Tensor, emphasis: float = 1.0) -> Counts:
        """Of a whole batch. ``sided_F`` as in ``FindingsHead``, ``emphasis`` as in ``decoder_loss``."""
        known_F = (~batch.findings_BF.isnan()).sum(0)
        sides = int(known_F[sided_F.to(known_F.device)].sum())
        tokens = int((batch.tokens_BT[:, 1:] != PAD).sum())
        words = float(word_weights(batch.tokens_BT, batch.stating_BT, emphasis).sum())
        codes = int((~batch.codes_BC.isnan()).sum())
        return cls(len(batch.studies), tokens, words, int(known_F.sum()) - sides, sides, codes)


def word_weights(tokens_BT: Tensor, stating_BT: Tensor | None = None, emphasis: float = 1.0) -> Tensor:
    """How much each token after the first counts in the loss of words, (B, T - 1): 0 where there is none,
    ``emphasis`` in a sentence that states a finding (``stating_BT``), otherwise 1."""
    weight_BT = (tokens_BT[:, 1:] != PAD).float()
    return weight_BT if stating_BT is None else weight_BT * (1.0 + (emphasis - 1.0) * stating_BT[:, 1:])


PartLoss = Callable[[slice], Tensor]
"""The loss of some studies of a batch: over parts that make up the batch it adds up to the loss of the batch."""


def encoder_loss(
    model: ReportModel, batch: Batch, read: Reader, generator: torch.Generator, drawn: Draws | None,
    places: Mapping[str, Tensor] | None = None, places_weight: float = 0.0,
) -> PartLoss:  # fmt: skip
    """Findings read off films that are augmented by what was ``drawn`` for those of the batch, in their order (None:
    as they are); with ``drawn_places``, ``places_weight`` times ``places_loss`` besides. What ``generator`` draws is
    drawn for the whole batch."""
    films_B = (batch.rows_BI >= 0).sum(1)
    varied = vary(batch, generator)
    counts = Counts.of(batch, model.sided_F)
    places = places if places_weight else None
    shown = 0 if places is None else places_count(batch.studies, places, varied.cells_BIG)

    def of_part(studies: slice) -> Tensor:
        first = int(films_B[: studies.start].sum())
        films = slice(first, first + int(films_B[studies].sum()))
        features_BIGD = read(batch.rows_BI[studies], None if drawn is None else drawn.part(films))
        some = varied.part(studies).to(model.device)
        logits_BF, attention_BFN, placed_BND = model.read_findings(
            features_BIGD, some.cells_BIG, some.projection_BI
        )
        loss = findings_loss(logits_BF, some.findings_BF, model.sided_F, counts)
        if some.codes_BC.shape[1]:
            loss = loss + codes_loss(
                model.read_codes(placed_BND, some.cells_BIG), some.codes_BC, counts.codes
            )
        if places is None:
            return loss
        looked = places_loss(attention_BFN, some.studies, places, some.cells_BIG, shown)
        return loss + places_weight * looked

    return of_part


def codes_loss(logits_BC: Tensor, codes_BC: Tensor, count: int | None = None) -> Tensor:
    """Binary cross-entropy, mean over what is known (NaN is not); 0 where nothing is. ``count`` of the batch of which
    this is a part; its own unless given."""
    known_BC = ~codes_BC.isnan()
    losses_BC = F.binary_cross_entropy_with_logits(
        logits_BC.float(), codes_BC.nan_to_num(0.0), reduction="none"
    )
    total = (losses_BC * known_BC).sum()
    return total / (known_BC.sum().clamp_min(1) if count is None else max(count, 1))


def findings_loss(
    logits_BF: Tensor, findings_BF: Tensor, sided_F: Tensor, counts: Counts | None = None
) -> Tensor:
    """Binary cross-entropy, mean over what is known (NaN is not), plus ``SIDES`` times the same of the sides.

    ``sided_F`` as in ``FindingsHead``. The sides have a mean of their own: few findings have a known side, and
    among all the findings that are absent theirs would hardly be heard. ``counts`` of the batch of which this is a
    part; its own unless given.
    """
    known_BF = ~findings_BF.isnan()
    losses_BF = F.binary_cross_entropy_with_logits(
        logits_BF.float(), findings_BF.nan_to_num(0.0), reduction="none"
    )

    def mean(of_F: Tensor, count: int | None) -> Tensor:
        counted_BF = known_BF & of_F
        total = (losses_BF * counted_BF).sum()
        return total / (counted_BF.sum().clamp_min(1) if count is None else max(count, 1))

    findings, sides = (None, None) if counts is None else (counts.findings, counts.sides)
    return mean(~sided_F, findings) + SIDES * mean(sided_F, sides)


def decoder_loss(
    model: ReportModel, batch: Batch, read: Reader, generator: torch.Generator, *,
    told: float, coverage: float, findings: float, emphasis: float = 1.0,
) -> PartLoss:  # fmt: skip
    """Words, coverage and (weight ``findings``) findings; a share ``told`` of the studies is told the truth, and
    words of sentences that state a finding weigh ``emphasis`` times the others.

    What is drawn at random is drawn for the whole batch, but for what the decoder draws while it learns (where hard
    attention looks): that is drawn part by part.
    """
    varied = vary(batch, generator)
    told_B1 = torch.rand(len(batch.studies), 1, generator=generator) < told
    counts = Counts.of(batch, model.sided_F, emphasis)

    def of_part(studies: slice) -> Tensor:
        features_BIGD = read(batch.rows_BI[studies], None)
        some = varied.part(studies).to(model.device)
        told_BF = some.findings_BF.masked_fill(~told_B1[studies].to(model.device), torch.nan)
        memory, logits_BF = model.remember(
            features_BIGD, some.cells_BIG, some.projection_BI, told_BF, some.background_BS
        )
        films = some.cells_BIG[0].numel()
        loss = report_loss(
            model, memory, some.tokens_BT, coverage, generator, films=films, counts=counts,
            weight_BT=word_weights(some.tokens_BT, some.stating_BT, emphasis),
        )  # fmt: skip
        if not findings:
            return loss
        return loss + findings * findings_loss(logits_BF, some.findings_BF, model.sided_F, counts)

    return of_part


def report_loss(
    model: ReportModel, memory: Memory, tokens_BT: Tensor, coverage: float,
    generator: torch.Generator | None = None, *, films: int | None = None, counts: Counts | None = None,
    weight_BT: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Cross-entropy a token plus ``coverage`` times the doubly stochastic penalty plus what the decoder adds. The
    mean over the tokens is weighted by ``weight_BT`` (``word_weights``; evenly unless given).

    The penalty is over the first ``films`` positions (None: all): a film is to be looked at everywhere, a background
    is not. How much of a word's attention falls on either does not matter to it: what falls on the films is brought
    to 1. Else it would hold all of it there, since a report has fewer words than a film has cells. ``generator``
    draws what the decoder draws while it learns; torch's own where None. ``counts`` of the batch of which this is a
    part; its own unless given.
    """
    learner: Learner = model.decoder
    logits_BTV, attention_BTN, own = learner.teach(tokens_BT, memory, generator)
    goal_BT = tokens_BT[:, 1:]
    each_BT = F.cross_entropy(logits_BTV.float().transpose(1, 2), goal_BT, ignore_index=PAD, reduction="none")
    weight_BT = word_weights(tokens_BT) if weight_BT is None else weight_BT
    words = (each_BT * weight_BT).sum() / weight_BT.sum()
    seen_BTN, there_BN = attention_BTN[..., :films].float(), memory.present_BN[:, :films]
    if seen_BTN.shape[-1] < attention_BTN.shape[-1]:
        seen_BTN = seen_BTN / seen_BTN.sum(-1, keepdim=True).clamp_min(1e-6)
    penalty = coverage * coverage_penalty(seen_BTN, goal_BT != PAD, there_BN)
    if counts is None:
        return words + penalty + own
    # Means over the words, or the studies, of this part: as much of the batch's as it has of these.
    own = own * ((goal_BT != PAD).sum() / counts.tokens)
    return words * (weight_BT.sum() / counts.words) + own + penalty * (len(tokens_BT) / counts.studies)


@torch.no_grad()
def head_outputs(
    model: ReportModel, examples: Sequence[Example], cells_MG: NDArray[np.bool_], read: Reader
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The head's probabilities and the targets (NaN unknown), each (studies, F)."""
    model.eval()
    probabilities, wanted = [], []
    for chunk in in_chunks(len(examples), 32):
        batch = collate([examples[index] for index in chunk], cells_MG).to(model.device)
        features_BIGD = read(batch.rows_BI, None)
        logits_BF, _, _ = model.read_findings(features_BIGD, batch.cells_BIG, batch.projection_BI)
        probabilities.append(torch.sigmoid(logits_BF.float()).cpu().numpy())
        wanted.append(batch.findings_BF.cpu().numpy())
    return np.concatenate(probabilities), np.concatenate(wanted)


def findings_score(
    probabilities_SF: NDArray[np.float32], wanted_SF: NDArray[np.float32], names: Sequence[str]
) -> dict[str, float]:
    """``auroc`` and ``ap`` (average precision), macro over findings with at least three known positives and
    negatives, and ``score``, the mean of both: what a few positives of a rare finding do to its AUROC moves it half
    as much.

    ``sides``: of all that lies on one side, the share whose likelier side is the right one (0 without any).
    """
    areas, precisions, sides = [], [], []
    for name, probability, wanted in zip(names, probabilities_SF.T, wanted_SF.T, strict=True):
        known = ~np.isnan(wanted)
        if name.endswith("/left"):
            other = names.index(f"{name.removesuffix('/left')}/right")
            one_sided = wanted + wanted_SF[:, other] == 1  # NaN, unknown, is not equal to 1
            read_left = probability > probabilities_SF[:, other]
            sides += (read_left == (wanted == 1))[one_sided].tolist()
        positives = int((wanted[known] == 1).sum())
        if "/" not in name and min(positives, int(known.sum()) - positives) >= MIN_POSITIVES:
            areas.append(float(roc_auc_score(wanted[known], probability[known])))
            precisions.append(float(average_precision_score(wanted[known], probability[known])))
    if not areas:
        return {"score": 0.0, "auroc": 0.0, "ap": 0.0, "sides": 0.0, "findings": 0.0}
    auroc, ap = float(np.mean(areas)), float(np.mean(precisions))
    return {
        "score": (auroc + ap) / 2, "auroc": auroc, "ap": ap,
        "sides": float(np.mean(sides)) if sides else 0.0, "findings": float(len(areas)),
    }  # fmt: skip


def report_states(findings: str, impression: str) -> Mapping[str, State]:
    """What a report in normal form says of each observation it mentions."""
    labelled = label(f"{findings} {impression}", further=True, reading=Reading.PLAIN)
    return {name: finding.state for name, finding in labelled.items()}


def writing_score(
    model: ReportModel, examples: Sequence[Example], cells_MG: NDArray[np.bool_], read: Reader,
    tokenizer: Tokenizer, search: SearchConfig, references: Sequence[Mapping[str, State]],
) -> dict[str, float]:  # fmt: skip
    """``drafts_score`` of ``greedy_drafts``."""
    return drafts_score(greedy_drafts(model, examples, cells_MG, read, tokenizer, search), references)


@torch.no_grad()
def greedy_drafts(
    model: ReportModel, examples: Sequence[Example], cells_MG: NDArray[np.bool_], read: Reader,
    tokenizer: Tokenizer, search: SearchConfig,
) -> list[tuple[str, str]]:  # fmt: skip
    """Findings and impression of the greedy draft of each study, in normal form."""
    model.eval()
    drafts: list[tuple[str, str]] = []
    for chunk in in_chunks(len(examples), 64):
        batch = collate([examples[index] for index in chunk], cells_MG).to(model.device)
        memory, _ = model.remember(
            read(batch.rows_BI, None), batch.cells_BIG, batch.projection_BI, None, batch.background_BS
        )
        drafts += [tokenizer.decode_report(found.tokens) for found in greedy(model.decoder, memory, search)]
    return drafts


def drafts_score(
    drafts: Sequence[tuple[str, str]], references: Sequence[Mapping[str, State]]
) -> dict[str, float]:
    """Labels the drafts: ``score`` is the F1 of *present* against the references' labels, the mean of macro (over
    observations present in at least three references) and micro; ``distinct`` counts different drafts."""
    said = [report_states(*draft) for draft in drafts]
    wanted_SF, said_SF = (
        np.array([[states.get(name) is State.PRESENT for name in SCORED] for states in some])
        for some in (references, said)
    )
    enough_F = wanted_SF.sum(0) >= MIN_POSITIVES
    micro = float(f1_score(wanted_SF, said_SF, average="micro", zero_division=0))
    macro = 0.0  # where no finding is present often enough
    if enough_F.any():
        macro = float(
            f1_score(wanted_SF[:, enough_F], said_SF[:, enough_F], average="macro", zero_division=0)
        )
    return {"score": (micro + macro) / 2, "micro": micro, "macro": macro, "distinct": float(len(set(drafts)))}
