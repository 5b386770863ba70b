from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score

from hilum import objectives
from hilum.data import batches
from hilum.data.films import Films, load_films
from hilum.models.report_model import ReportModel
from hilum.text.tokenizer import PAD
from tests import made


@pytest.fixture(scope="module")
def model() -> ReportModel:
    return made.untrained_run().model


@pytest.fixture
def batch(tmp_path: Path, model: ReportModel) -> tuple[batches.Batch, Films]:
    dataset = made.dataset(tmp_path, 8)
    films = load_films(dataset, made.SIDE, model.grid, tmp_path / "cache")
    tokenizer = made.untrained_run().tokenizer
    examples = [
        batches.example(study, films, tokenizer, objectives.texts(study), 30) for study in dataset.studies
    ]
    return batches.collate(examples, films.cells_MG), films


def test_varied_views_keep_one_and_never_gain_any(batch: tuple[batches.Batch, Films]) -> None:
    one, _ = batch
    alone = untold = 0
    for seed in range(40):
        varied = objectives.vary(one, torch.Generator().manual_seed(seed))
        there, kept = one.cells_BIG.any(-1), varied.cells_BIG.any(-1)
        assert (kept <= there).all() and kept.any(1).all()
        alone += int(((there.sum(1) == 2) & (kept.sum(1) == 1)).sum())
        told = varied.projection_BI == one.projection_BI
        assert (told | (varied.projection_BI == 2)).all()
        untold += int((~told[kept]).sum())
    assert 0.08 < alone / (40 * 4) < 0.25 and untold > 0
    same = objectives.vary(one, torch.Generator().manual_seed(3))
    again = objectives.vary(one, torch.Generator().manual_seed(3))
    assert (same.cells_BIG == again.cells_BIG).all() and (same.projection_BI == again.projection_BI).all()


def test_some_studies_are_shown_without_their_background(batch: tuple[batches.Batch, Films]) -> None:
    one, _ = batch
    asked_BS = torch.randint(5, 9, (len(one.studies), 4))
    asking = replace(one, background_BS=asked_BS)
    gone = 0
    for seed in range(60):
        varied = objectives.vary(asking, torch.Generator().manual_seed(seed))
        kept_B = (varied.background_BS == asked_BS).all(1)
        assert (kept_B | (varied.background_BS == PAD).all(1)).all()
        gone += int((~kept_B).sum())
        plain = objectives.vary(one, torch.Generator().manual_seed(seed))
        assert (plain.cells_BIG == varied.cells_BIG).all() and plain.background_BS.shape[1] == 0
    assert 0.08 < gone / (60 * len(one.studies)) < 0.25


def test_the_coverage_is_of_the_films_alone(batch: tuple[batches.Batch, Films]) -> None:
    one, films = batch
    run = made.untrained_run(background=("indication",))
    mark = len(run.tokenizer)
    asked_BS = torch.tensor([[mark, 5, 6]]).expand(len(one.studies), -1)
    features = objectives.film_reader(run.model, films.pixels_MHW)(one.rows_BI, None)
    memory, _ = run.model.remember(features, one.cells_BIG, one.projection_BI, None, asked_BS)
    films_N = one.cells_BIG[0].numel()
    attention = run.model.decoder(one.tokens_BT[:, :-1], memory)[1]
    said_BT = (one.tokens_BT[:, 1:] != PAD).unsqueeze(-1)
    missing = (1 - (attention * said_BT).sum(1))[:, :films_N].square() * memory.present_BN[:, :films_N]
    wanted = (missing.sum(1) / memory.present_BN[:, :films_N].sum(1)).mean()
    whole, none = (
        objectives.report_loss(run.model, memory, one.tokens_BT, weight, films=films_N)
        for weight in (1.0, 0.0)
    )
    torch.testing.assert_close(whole - none, wanted)


def test_films_and_cached_features_read_the_same(
    batch: tuple[batches.Batch, Films], model: ReportModel, tmp_path: Path
) -> None:
    one, films = batch
    cached = objectives.cached_features(model, films, tmp_path / "cache")
    with torch.no_grad():
        seen = objectives.film_reader(model, films.pixels_MHW)(one.rows_BI, None)
    read = objectives.feature_reader(cached)(one.rows_BI, None)
    torch.testing.assert_close(read, seen, atol=2e-3, rtol=2e-3)
    assert (read[one.rows_BI < 0] == 0).all()


def test_the_cache_of_features_knows_the_weights_that_made_it(
    batch: tuple[batches.Batch, Films], tmp_path: Path
) -> None:
    _, films = batch
    model = made.untrained_run().model
    objectives.cached_features(model, films, tmp_path / "cache")
    before = set((tmp_path / "cache").glob("features-*"))
    objectives.cached_features(model, films, tmp_path / "cache")
    assert set((tmp_path / "cache").glob("features-*")) == before
    with torch.no_grad():
        next(model.encoder.parameters()).add_(0.1)
    objectives.cached_features(model, films, tmp_path / "cache")
    assert len(set((tmp_path / "cache").glob("features-*"))) == 2


def test_a_frozen_encoder_is_read_out_of_its_cached_maps(
    batch: tuple[batches.Batch, Films], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, films = batch
    free = made.untrained_run().model
    model = ReportModel(replace(free.config, trainable=0)).eval()
    model.load_state_dict(free.state_dict())
    cache = tmp_path / "cache"
    straight = objectives.film_reader(model, films.pixels_MHW)(one.rows_BI, None)
    from_pixels = objectives.cached_features(model, films, tmp_path / "other")
    read = objectives.encoder_reader(model, films, cache)
    monkeypatch.setattr(model, "look", None)  # from here on nothing is looked at
    torch.testing.assert_close(read(one.rows_BI, torch.Generator()), straight, atol=1e-3, rtol=1e-3)
    assert (read(one.rows_BI, None)[one.rows_BI < 0] == 0).all()
    model.zero_grad()
    read(one.rows_BI, None).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.neck.parameters())
    assert all(parameter.grad is None for parameter in model.encoder.parameters())
    features = objectives.cached_features(model, films, cache)
    assert np.abs(features.astype(np.float32) - from_pixels.astype(np.float32)).max() < 2e-3


NO_SIDES = torch.zeros(3, dtype=torch.bool)


def test_unknown_findings_never_count() -> None:
    logits = torch.tensor([[2.0, -1.0, 3.0], [0.5, 0.0, -2.0]], requires_grad=True)
    wanted = torch.tensor([[1.0, torch.nan, 0.0], [torch.nan, torch.nan, 1.0]])
    loss = objectives.findings_loss(logits, wanted, NO_SIDES)
    known = [(2.0, 1.0), (3.0, 0.0), (-2.0, 1.0)]
    by_hand = np.mean([np.log1p(np.exp(-z)) if y else np.log1p(np.exp(z)) for z, y in known])
    assert loss.item() == pytest.approx(by_hand, rel=1e-5)
    loss.backward()
    assert (logits.grad[wanted.isnan()] == 0).all()  # type: ignore[index]
    nothing = objectives.findings_loss(logits, torch.full_like(wanted, torch.nan), NO_SIDES)
    assert nothing.item() == 0.0


def test_sides_have_a_mean_of_their_own() -> None:
    sided_F = torch.tensor([False, False, False, True, True])
    logits = torch.tensor([[2.0, -1.0, 3.0, 0.7, -0.2], [0.5, 0.0, -2.0, 0.0, 0.0]])
    wanted = torch.tensor([[1.0, 0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 1.0, torch.nan, torch.nan]])
    loss = objectives.findings_loss(logits, wanted, sided_F)
    findings = objectives.findings_loss(logits[:, :3], wanted[:, :3], NO_SIDES)
    sides = objectives.findings_loss(logits[:1, 3:], wanted[:1, 3:], NO_SIDES[:2])
    assert loss.item() == pytest.approx(findings.item() + objectives.SIDES * sides.item(), rel=1e-5)


def test_padding_does_not_count_as_words(batch: tuple[batches.Batch, Films], model: ReportModel) -> None:
    one, films = batch
    memory, _ = model.remember(
        objectives.film_reader(model, films.pixels_MHW)(one.rows_BI, None), one.cells_BIG, one.projection_BI
    )
    loss = objectives.report_loss(model, memory, one.tokens_BT, 0.0)
    longer = objectives.report_loss(model, memory, F.pad(one.tokens_BT, (0, 7), value=PAD), 0.0)
    torch.testing.assert_close(loss, longer)
    with_coverage = objectives.report_loss(model, memory, one.tokens_BT, 1.0)
    assert with_coverage > loss


def test_findings_score_is_scikit_learns_over_what_is_known() -> None:
    rng = np.random.default_rng(0)
    wanted = rng.integers(0, 2, (40, 3)).astype(np.float32)
    wanted[rng.random((40, 3)) < 0.2] = np.nan
    wanted[:, 2] = 0.0  # no positive: cannot be scored
    given = rng.random((40, 3)).astype(np.float32)
    scores = objectives.findings_score(given, wanted, ["a", "b", "c"])
    known = [~np.isnan(wanted[:, i]) for i in range(2)]
    areas = [roc_auc_score(wanted[k, i], given[k, i]) for i, k in enumerate(known)]
    assert scores["score"] == pytest.approx(np.mean(areas)) and scores["findings"] == 2.0
    assert objectives.findings_score(given, np.zeros_like(wanted), ["a", "b", "c"])["score"] == 0.0


def test_the_score_of_sides_is_the_share_of_one_sided_ones_whose_likelier_side_is_right() -> None:
    names = ["a", "b", "a/left", "a/right", "b/left", "b/right"]
    wanted = np.array(
        [[1, 1, 1, 0, 0, 1], [1, 1, 1, 1, 0, 1], [0, 1, np.nan, np.nan, 1, 0], [1, 0, 0, 1, np.nan, np.nan]],
        np.float32,
    )
    given = np.array(
        [[0.5, 0.5, 0.6, 0.3, 0.6, 0.7], [0.5, 0.5, 0.0, 0.9, 0.9, 0.1], [0.5, 0.5, 0.9, 0.1, 0.2, 0.1],
         [0.5, 0.5, 0.6, 0.5, 0.9, 0.1]], np.float32,
    )  # fmt: skip
    scores = objectives.findings_score(np.tile(given, (3, 1)), np.tile(wanted, (3, 1)), names)
    assert scores["sides"] == pytest.approx(3 / 5)  # two-sided and unknown ones do not count
    assert scores["findings"] == 2.0


def test_thresholds_separate_what_can_be_separated() -> None:
    probability = np.array(
        [[0.9, 0.1], [0.8, 0.2], [0.7, 0.9], [0.2, 0.8], [0.1, 0.7], [0.05, 0.6]], np.float32
    )
    wanted = np.array([[1, 1], [1, 0], [1, np.nan], [0, np.nan], [0, 0], [0, 0]], np.float32)
    chosen = objectives.thresholds(probability, wanted, ["a", "b"])
    assert chosen["a"] == pytest.approx((0.45, 0.45))
    assert "b" not in chosen  # one known positive: never called


def test_a_finding_whose_calls_are_mostly_wrong_is_never_called() -> None:
    probability = np.linspace(0.9, 0.1, 40, dtype=np.float32)[:, None]
    wanted = np.zeros((40, 1), np.float32)
    wanted[[9, 22, 35]] = 1  # no threshold makes a quarter of the calls right
    assert objectives.thresholds(probability, wanted, ["a"]) == {}
    wanted[1] = 1
    assert objectives.thresholds(probability, wanted, ["a"])["a"][1] > probability[2, 0]


def test_the_margin_is_where_the_sides_can_be_told_apart() -> None:
    names = ["a", "b", "a/left", "a/right"]
    chosen = {"a": (0.1, 0.4), "b": (0.1, 0.4)}

    def margin(*rows: tuple[float, float, float, float, float]) -> float | None:
        """Rows of: probability of a, of its left, of its right; truly left, truly right."""
        given = np.array([[a, 0.5, left, right] for a, left, right, _, _ in rows], np.float32)
        wanted = np.array([[1, np.nan, left, right] for *_, left, right in rows], np.float32)
        return objectives.side_margin(given, wanted, names, chosen)

    far, near = (0.9, 0.9, 0.1, 1, 0), (0.9, 0.5, 0.4, 1, 0)
    wrong, both = (0.9, 0.6, 0.2, 0, 1), (0.9, 0.6, 0.2, 1, 1)
    near_by, far_by = np.log(1.5), 2 * np.log(9)
    between = (far_by + np.log(1.5 * 4)) / 2
    assert margin(far, far) == margin(far, near) == 0.0
    assert margin(far, near, wrong) == pytest.approx(between, rel=1e-4)  # none beyond the wrong one
    assert margin(far, near, both) == 0.0  # it lies on that side, too
    assert margin(*[far] * 18, near, wrong) == 0.0  # one of twenty may be
    beyond = (0.9, 0.45, 0.4, 0, 1)
    assert margin(far, near, beyond) == pytest.approx((near_by + np.log(0.45 / 0.55 * 1.5)) / 2, rel=1e-3)
    assert margin(wrong) is None
    assert margin((0.3, *wrong[1:]), near) == 0.0  # not called: not counted
    assert margin((0.9, 0.6, 0.2, np.nan, np.nan)) is None


def test_decisions_are_the_logits_of_the_thresholds() -> None:
    logits = objectives.decisions({"b": (0.1, 0.2)}, ["a", "b"])
    torch.testing.assert_close(torch.sigmoid(logits), torch.tensor([0.5, 0.2]))


def test_perfect_drafts_score_one(batch: tuple[batches.Batch, Films], tmp_path: Path) -> None:
    said = objectives.report_states("there is a left pleural effusion .", "cardiomegaly .")
    assert said["Pleural Effusion"] == "present" and said["Cardiomegaly"] == "present"


def test_the_head_is_shown_where_findings_were_drawn(tmp_path: Path) -> None:
    """The loss is minus the logarithm of what each view's attention has inside, over the views that show it."""
    data = made.dataset(tmp_path, 3)
    names = ("Cardiomegaly", "Pleural Effusion", "Pleural Effusion/left")
    places = objectives.drawn_places(data, data.studies, names, made.SIDE, 4)
    assert set(places) == {study.id for study in data.studies if study.truth} == {"1", "2"}
    left = places["1"]  # frontal and lateral; drawn in the frontal alone, x 42 to 54, y 34 to 46 of 64
    assert left.shape == (2, 2, 16) and left[0].sum() == 0 and left[1, 1].sum() == 0
    cells = left[1, 0].view(4, 4)
    assert (cells[2, 2:] == 1.0).all() and cells[0].sum() == cells[:, :2].sum() == 0 and 0 < cells[1, 2] < 0.1

    attention = torch.zeros(2, 3, 32)
    attention[1, 1, 10], attention[1, 1, 0], attention[1, 1, 20] = (
        0.3,
        0.1,
        0.6,
    )  # 0.75 of the frontal view's is inside
    seen = torch.ones(2, 2, 16, dtype=torch.bool)
    loss = objectives.places_loss(attention, ("0", "1"), places, seen)
    assert loss.item() == pytest.approx(-np.log(0.75), abs=1e-5)
    seen[1, 0] = False  # the view that shows it is not shown to the model
    assert objectives.places_loss(attention, ("0", "1"), places, seen).item() == 0.0

    scores = torch.zeros(1, 3, 32, requires_grad=True)
    objectives.places_loss(torch.softmax(scores, -1), ("1",), places, seen[:1]).backward()  # type: ignore[no-untyped-call]
    assert scores.grad is not None
    assert scores.grad[0, 1, 10] < 0 < scores.grad[0, 1, 0] and (scores.grad[0, 0] == 0).all()


def test_words_that_state_a_finding_weigh_more(
    batch: tuple[batches.Batch, Films], model: ReportModel
) -> None:
    """Twice the weight is the same as the same tokens counted twice."""
    one, films = batch
    model.eval()
    memory, _ = model.remember(
        objectives.film_reader(model, films.pixels_MHW)(one.rows_BI, None), one.cells_BIG, one.projection_BI
    )
    stating_BT = one.stating_BT
    assert stating_BT.any() and not stating_BT[:, 0].any()

    def loss(weight_BT: torch.Tensor | None) -> torch.Tensor:
        return objectives.report_loss(model, memory, one.tokens_BT, 0.0, weight_BT=weight_BT)

    said_BT, stating_BT = objectives.word_weights(one.tokens_BT), stating_BT[:, 1:]
    stated, others = loss(stating_BT * said_BT), loss(~stating_BT * said_BT)
    many, few = (stating_BT * said_BT).sum(), (~stating_BT * said_BT).sum()
    twice_BT = objectives.word_weights(one.tokens_BT, one.stating_BT, 2.0)
    torch.testing.assert_close(loss(twice_BT), (2 * many * stated + few * others) / (2 * many + few))
    torch.testing.assert_close(loss(None), (many * stated + few * others) / (many + few))


def test_unknown_codes_never_count() -> None:
    logits = torch.tensor([[2.0, -1.0], [0.5, 3.0]])
    known = torch.tensor([[1.0, torch.nan], [torch.nan, torch.nan]])
    torch.testing.assert_close(
        objectives.codes_loss(logits, known), torch.nn.functional.softplus(torch.tensor(-2.0))
    )
    assert objectives.codes_loss(logits, torch.full((2, 2), torch.nan)) == 0
