from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hilum import rewards, training
from hilum.checkpoints import load, read_info
from hilum.configuration import StageConfig
from hilum.decoding import Hypothesis, SearchConfig, sample, sequence_log_prob
from hilum.errors import InputError
from hilum.metrics import nlg
from hilum.models import decoders
from hilum.models.decoders import SoftAttentionRNN
from hilum.models.memory import Memory
from hilum.recipes import RECIPES, tiny
from hilum.rewards import Judge, RewardConfig
from hilum.study import State, Study
from hilum.text.findings import NO_FINDING, Reading, label
from hilum.text.normal import normalise
from hilum.text.tokenizer import END, IMPRESSION, PAD, START, UNKNOWN
from tests import made
from tests.contracts import make_memory

LONGEST = 3
WORDS = 7
"""The special tokens and two words: END, IMPRESSION and these two can be drawn."""
CAN_BE_DRAWN = (END, IMPRESSION, 5, 6)


@pytest.fixture
def decoder() -> SoftAttentionRNN:
    torch.manual_seed(3)
    made_decoder = SoftAttentionRNN(WORDS, 8, 2, 6, 10, 6, 0.0).double().eval()
    with torch.no_grad():
        made_decoder.out.weight.mul_(3.0)
    return made_decoder


def memory_of(studies: int) -> Memory:
    memory = make_memory(studies=studies, positions=4, width=8, condition=2, seed=5)
    return Memory(memory.features_BND.double(), memory.present_BN, memory.condition_BC.double())


def every_draft() -> Tensor:
    """Every draft of at most ``LONGEST`` tokens, as ``draw`` would give it, (all, 1 + LONGEST)."""
    rows = []
    for length in range(LONGEST):
        for words in itertools.product(CAN_BE_DRAWN[1:], repeat=length):
            rows.append([START, *words, END, *[PAD] * (LONGEST - length - 1)])
    rows += [[START, *words] for words in itertools.product(CAN_BE_DRAWN[1:], repeat=LONGEST)]
    return torch.tensor(rows)


def worth(tokens_RT: Tensor) -> Tensor:
    """Some reward of a draft (R): how often 5 stands in it, and whether 6 ends it."""
    return (tokens_RT == 5).sum(1).double() + 1.5 * (
        (tokens_RT == 6) & (torch.arange(tokens_RT.shape[1]) == 2)
    ).any(1)


def gradient(decoder: nn.Module, of: Tensor) -> Tensor:
    decoder.zero_grad()
    of.backward()
    return torch.cat(
        [parameter.grad.flatten() for parameter in decoder.parameters() if parameter.grad is not None]
    )


def exact(decoder: SoftAttentionRNN, memory: Memory) -> tuple[Tensor, float]:
    """The gradient of minus the expected reward, and the expected reward, by adding up every draft."""
    drafts = every_draft()
    log_R = rewards.log_prob(decoder, memory, drafts)
    assert log_R.exp().sum().item() == pytest.approx(1.0, abs=1e-9)
    expected = (log_R.exp() * worth(drafts)).sum()
    return gradient(decoder, -expected), expected.item()


def test_the_policy_gradient_is_that_of_all_drafts_added_up(decoder: SoftAttentionRNN) -> None:
    """The mean of many drawn gradients lies within its own error of the exact one; so does the mean reward."""
    memory = memory_of(1)
    wanted, expected = exact(decoder, memory)
    drawn, seen = [], []
    for seed in range(250):
        tokens_RT = rewards.draw(decoder, memory, 8, LONGEST, torch.Generator().manual_seed(seed))
        reward_BK = worth(tokens_RT).view(1, 8)
        loss = rewards.policy_loss(rewards.log_prob(decoder, memory, tokens_RT), reward_BK)
        drawn.append(gradient(decoder, loss))
        seen.append(reward_BK.mean().item())
    every = torch.stack(drawn)
    error = every.std(0) / len(drawn) ** 0.5
    apart = (every.mean(0) - wanted) / error.clamp_min(1e-12)
    assert apart.abs().max() < 5.0 and apart.square().mean() < 1.6
    assert (wanted.abs() > 5 * error).any(), "so few draws say nothing"
    assert np.mean(seen) == pytest.approx(expected, abs=5 * np.std(seen) / len(seen) ** 0.5)


def test_leaving_one_out_is_unbiased_and_scatters_less(decoder: SoftAttentionRNN) -> None:
    """Over all pairs of drafts, weighed by their probability, the gradient is the exact one; the mean that counts
    the sample itself gives half of it."""
    memory, drafts = memory_of(1), every_draft()
    wanted, _ = exact(decoder, memory)
    with torch.no_grad():
        probability_R = rewards.log_prob(decoder, memory, drafts).exp()
    reward_R = worth(drafts)
    pair_RR = probability_R.unsqueeze(0) * probability_R.unsqueeze(1)
    first, second = torch.meshgrid(torch.arange(len(drafts)), torch.arange(len(drafts)), indexing="ij")
    reward_PK = torch.stack([reward_R[first.flatten()], reward_R[second.flatten()]], 1)

    def over_all(advantage_PK: Tensor) -> Tensor:
        weight_PK = pair_RR.flatten().unsqueeze(1) * advantage_PK / 2
        weight_R = torch.zeros(len(drafts), dtype=torch.float64)
        weight_R.index_add_(0, first.flatten(), weight_PK[:, 0]).index_add_(
            0, second.flatten(), weight_PK[:, 1]
        )
        return gradient(decoder, -(weight_R * rewards.log_prob(decoder, memory, drafts)).sum())

    torch.testing.assert_close(over_all(rewards.advantages(reward_PK)), wanted)
    with_itself = reward_PK - reward_PK.mean(1, keepdim=True)
    torch.testing.assert_close(over_all(with_itself), wanted / 2)


def test_advantages_by_hand() -> None:
    torch.testing.assert_close(
        rewards.advantages(torch.tensor([[1.0, 0.0, 2.0], [5.0, 5.0, 5.0]])),
        torch.tensor([[0.0, -1.5, 1.5], [0.0, 0.0, 0.0]]),
    )


def test_drafts_are_drawn_as_often_as_the_policy_says(decoder: SoftAttentionRNN) -> None:
    memory, drafts = memory_of(2), every_draft()
    tokens_RT = rewards.draw(decoder, memory, 6000, LONGEST, torch.Generator().manual_seed(0))
    for study in range(2):
        one = memory.select(torch.tensor([study]))
        probability = rewards.log_prob(decoder, one, drafts).exp().tolist()
        said = tokens_RT[study * 6000 : (study + 1) * 6000]
        for draft, likely in zip(drafts, probability, strict=True):
            share = (said == draft).all(1).double().mean().item()
            assert share == pytest.approx(likely, abs=5 * (likely * (1 - likely) / 6000) ** 0.5 + 1e-9)


def test_log_probabilities_are_those_of_each_step_and_of_the_search(decoder: SoftAttentionRNN) -> None:
    memory = memory_of(3)
    tokens_RT = rewards.draw(decoder, memory, 4, 5, torch.Generator().manual_seed(1))
    again = rewards.draw(decoder, memory, 4, 5, torch.Generator().manual_seed(1))
    assert torch.equal(tokens_RT, again) and len(tokens_RT) == 12
    whole_R = rewards.log_prob(decoder, memory, tokens_RT)
    state, by_step = decoder.start(memory, 4), torch.zeros(12, dtype=torch.float64)
    with torch.no_grad():
        for position in range(tokens_RT.shape[1] - 1):
            logits, _, state = decoder.step(tokens_RT[:, position], state, memory)
            goal = tokens_RT[:, position + 1]
            said = rewards.policy(logits).gather(1, goal.where(goal != PAD, END).unsqueeze(1)).squeeze(1)
            by_step += said * (goal != PAD)
    torch.testing.assert_close(whole_R.detach().float(), by_step.float())
    # The search's own samples: what is never drawn is left out here, so the policy gives each step more.
    search = SearchConfig(samples=5, max_tokens=5, temperature=1.0)
    drawn: list[list[Hypothesis]] = sample(decoder.float(), memory_float(memory), search)
    for study, found in enumerate(drawn):
        one = memory_float(memory).select(torch.tensor([study]))
        for hypothesis in found:
            tokens = torch.tensor([[START, *hypothesis.tokens, *([END] if hypothesis.finished else [])]])
            own = sequence_log_prob(decoder, one, tokens)
            assert own.sum().item() == pytest.approx(hypothesis.log_prob, abs=1e-4)
            logits, _ = decoder(tokens[:, :-1], one)
            kept = torch.logsumexp(torch.log_softmax(logits, -1)[..., list(CAN_BE_DRAWN)], -1).sum()
            policy = rewards.log_prob(decoder, one, tokens).item()
            assert policy == pytest.approx(hypothesis.log_prob - kept.item(), abs=1e-4)


def memory_float(memory: Memory) -> Memory:
    return Memory(memory.features_BND.float(), memory.present_BN, memory.condition_BC.float())


def test_what_is_never_drawn_is_never_drawn(decoder: SoftAttentionRNN) -> None:
    with torch.no_grad():
        decoder.out.bias[[PAD, START, UNKNOWN]] = 50.0
    tokens_RT = rewards.draw(decoder, memory_of(2), 50, 6, torch.Generator().manual_seed(2))
    for row in tokens_RT.tolist():
        said = row[1 : row.index(END) if END in row else None]
        assert row[0] == START and not {PAD, START, UNKNOWN} & set(said)
        assert set(row[len(said) + 2 :]) <= {PAD}


KNOWN = (
    "there is a left pleural effusion . the heart is enlarged .",
    "the lungs are clear . no pleural effusion . normal chest .",
    "the lungs are clear . the heart is normal .",
    "right lower lobe opacity . there is a left pleural effusion .",
)


def test_cider_d_is_that_of_the_scorecard() -> None:
    judge = Judge(RewardConfig(), KNOWN)
    references = nlg.References(KNOWN)
    drafts = [*KNOWN[1:], "the lungs are clear . the heart is enlarged . unheard of ."]
    by_report = [nlg.count(references, [*KNOWN[:n], drafts[n], *KNOWN[n + 1 :]]) for n in range(len(KNOWN))]
    for number, statistics in enumerate(by_report):
        row = statistics.compute(statistics.stats_NS[number])
        assert judge.cider_d(drafts[number], KNOWN[number]) == pytest.approx(float(row["cider_d"]))
    assert judge.cider_d("", KNOWN[0]) == 0.0


@pytest.mark.parametrize("reference", KNOWN)
def test_nothing_is_worth_more_than_the_reference(reference: str) -> None:
    config = RewardConfig(cider=0.2, f1=0.5, found=1.0, price=0.25)
    judge = Judge(config, KNOWN)
    most = 10 * config.cider + config.f1 + (config.found if rewards.statements(reference) else 0.0)
    assert judge.reward(reference, reference) == pytest.approx(most)
    for other in (*KNOWN, "", "pneumothorax . scoliosis ."):
        assert judge.reward(other, reference) < most or other == reference


def test_statements_and_what_they_are_worth() -> None:
    said = rewards.statements("there is a left pleural effusion . possible pneumonia . no pneumothorax .")
    assert said == {"Pleural Effusion", "Pleural Effusion/left"}
    wanted = frozenset({"Pleural Effusion", "Pleural Effusion/right", "Cardiomegaly"})
    assert rewards.f1(said, wanted) == pytest.approx(2 * 1 / 5)
    assert rewards.found(said, wanted, 0.25) == pytest.approx((1 - 0.25) / 3)
    assert rewards.f1(frozenset(), frozenset()) == 1.0 and rewards.f1(said, frozenset()) == 0.0
    assert rewards.found(frozenset(), frozenset(), 0.25) == 0.0
    assert rewards.found(said, frozenset(), 0.25) == -0.5


def test_sentence_by_sentence_states_what_the_whole_report_does(openi_studies: list[Study]) -> None:
    """On the first real reports: labels are kept a sentence, and nothing is lost by it."""
    for study in openi_studies[:250]:
        if study.report is None:
            continue
        text = rewards.joined((normalise(study.report.findings), normalise(study.report.impression)))
        whole = label(text, further=True, reading=Reading.PLAIN)
        present = {name for name, one in whole.items() if one.state is State.PRESENT and name != NO_FINDING}
        assert {name for name in rewards.statements(text) if "/" not in name} == present, text


def test_one_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="1 samples"):
        RewardConfig(samples=1)


def test_the_reward_rises_and_only_the_decoder_learns(tmp_path: Path) -> None:
    """From a finished run, whose films are read as before."""
    data = tmp_path / "data"
    made.dataset(data, 45)
    base = replace(
        tiny(),
        encoder=None,
        told=0.0,
        decoder=StageConfig(epochs=3, batch_size=8, rate=5e-3),
        save_seconds=60.0,
    )
    beamless = replace(base, search=replace(base.search, beams=0))  # as of a run that drafts from evidence
    training.train(beamless, data, tmp_path / "base")
    config = replace(
        base, name="rewarded", reward=RewardConfig(cider=0.1, found=1.0, samples=6, words=0.0),
        reward_stage=StageConfig(epochs=6, batch_size=9, rate=1e-2, weight_decay=0.0, patience=6),
    )  # fmt: skip
    info = training.train(config, data, tmp_path / "run", start=tmp_path / "base")
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert {line["stage"] for line in log} == {"reward"} and log[0]["epoch"] == 0
    assert max(line["reward"] for line in log[1:]) > log[0]["reward"] + 0.1
    assert read_info(tmp_path / "run").weights_sha256 == info.weights_sha256 and info.name == "rewarded"
    assert read_info(tmp_path / "base").search.beams == 0 and info.search == base.search
    untouched = [load(tmp_path / name).model.state_dict() for name in ("base", "run")]
    for name, before in untouched[0].items():
        assert name.startswith("decoder.") or torch.equal(before, untouched[1][name]), name
    assert not list((tmp_path / "run").glob("best*"))


def test_a_reward_stage_that_was_stopped_continues_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    made.dataset(data, 30)
    config = replace(
        tiny(), encoder=None, decoder=replace(tiny().decoder, epochs=1), reward=RewardConfig(samples=2),
        reward_stage=StageConfig(epochs=2, batch_size=6, rate=1e-3), save_seconds=1e9,
    )  # fmt: skip
    training.train(config, data, tmp_path / "whole")
    saved = torch.save
    for stop_at in (("reward", 0), ("reward", 1)):

        def killed(state: dict[str, object], path: Path, at: tuple[str, int] = stop_at) -> None:
            progress = state.get("progress")
            if isinstance(progress, dict) and (progress["stage"], progress["epoch"] - 1) == at:
                raise KeyboardInterrupt
            saved(state, path)

        monkeypatch.setattr(torch, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            training.train(config, data, tmp_path / "killed", resume=True)
        monkeypatch.setattr(torch, "save", saved)
    training.train(config, data, tmp_path / "killed", resume=True)
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "killed")]
    assert weights[0] == weights[1]


def test_a_start_of_other_data_or_without_a_reward_is_refused(tmp_path: Path) -> None:
    made.dataset(tmp_path / "data", 30)
    run = made.run_folder(tmp_path / "run")
    rewarded = replace(tiny(), reward=RewardConfig())
    with pytest.raises(InputError, match="no reward stage"):
        training.train(tiny(), tmp_path / "data", tmp_path / "out", start=run)
    with pytest.raises(InputError, match="other data"):
        training.train(rewarded, tmp_path / "data", tmp_path / "out", start=run)
    assert not (tmp_path / "out").exists()


def test_recipes_with_a_reward() -> None:
    for name in ("openi-reward", "phantom-reward"):
        config = RECIPES[name]()
        assert config.reward is not None and config.name == name
        assert replace(config, name="", reward=None) == replace(
            RECIPES[name.replace("-reward", "-decoder")](), name=""
        )


@pytest.mark.parametrize("name", decoders.NAMES)
def test_every_decoder_learns_from_what_it_draws(name: str) -> None:
    torch.manual_seed(0)
    decoder = decoders.build(
        name, vocabulary=WORDS, width=8, condition=2, embedding=8, hidden=10, attention=6, layers=1, heads=2,
        dropout=0.5,
    ).eval()  # fmt: skip
    memory = memory_float(memory_of(2))
    tokens_RT = rewards.draw(decoder, memory, 3, 6, torch.Generator().manual_seed(0))
    log_R = rewards.log_prob(decoder, memory, tokens_RT)
    for row, tokens in enumerate(tokens_RT.tolist()):
        one, alone = memory.select(torch.tensor([row // 3])), [token for token in tokens if token != PAD]
        state, total = decoder.start(one), 0.0
        for read, said in itertools.pairwise(alone):
            with torch.no_grad():
                logits, _, state = decoder.step(torch.tensor([read]), state, one)
            total += rewards.policy(logits)[0, said].item()
        assert log_R[row].item() == pytest.approx(total, abs=1e-4)
    rewards.policy_loss(log_R, torch.rand(2, 3)).backward()
    assert all(
        torch.isfinite(parameter.grad).all()
        for parameter in decoder.parameters()
        if parameter.grad is not None
    )
