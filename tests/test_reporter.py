from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hilum import checkpoints, objectives
from hilum.data.manifest import Dataset
from hilum.decoding import SearchConfig, sample
from hilum.errors import ImageError, InputError, RunError
from hilum.imaging.phantom import render
from hilum.metrics.frequencies import Frequencies
from hilum.reporter import REAL_MODEL, SIMULATED_MODEL, Reporter
from hilum.retrieval import Bank, RetrievalConfig
from hilum.study import DISCLAIMER, Draft, Projection, State, Study, View
from hilum.text.normal import normalise
from tests import made


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return made.dataset(tmp_path_factory.mktemp("data"), 12)


@pytest.fixture(scope="module")
def reporter(data: Dataset) -> Reporter:
    return made.untrained_reporter()


def same(one: Draft, two: Draft) -> None:
    assert [s.text for s in one.sentences] == [s.text for s in two.sentences]
    for a, b in zip(one.sentences, two.sentences, strict=True):
        assert a.log_prob == pytest.approx(b.log_prob, abs=1e-3)
        for left, right in zip(a.regions, b.regions, strict=True):
            assert left.view == right.view and left.box == right.box and left.extent == right.extent
            np.testing.assert_allclose(left.grid, right.grid, atol=1e-4)
    for name, estimate in one.findings.items():
        assert estimate.probability == pytest.approx(two.findings[name].probability, abs=1e-3)


def test_a_data_set_at_once_equals_study_by_study(data: Dataset, reporter: Reporter) -> None:
    for study, draft in zip(data.studies, reporter.report_all(data, data.studies), strict=True):
        assert draft.study == study.id
        same(draft, reporter.report(study, data.root))


def test_a_draft_is_plain_and_complete(data: Dataset, reporter: Reporter) -> None:
    study = data.studies[1]
    draft = reporter.report(study, data.root)
    assert draft.disclaimer == DISCLAIMER and draft.model.simulated
    assert draft.sentences and set(draft.findings) == {"Cardiomegaly", "Pleural Effusion"}
    for sentence in draft.sentences:
        assert [region.view for region in sentence.regions] == ["1-frontal", "1-lateral"]
        assert sum(region.weight for region in sentence.regions) == pytest.approx(1.0, abs=1e-4)
        assert sentence.log_prob < 0
        for region in sentence.regions:
            x0, y0, x1, y1 = region.box
            assert 0 <= x0 < x1 <= made.SIDE and 0 <= y0 < y1 <= made.SIDE


def test_the_order_of_the_files_changes_nothing(data: Dataset, reporter: Reporter) -> None:
    study = data.studies[1]
    same(
        reporter.report(study, data.root), reporter.report(replace(study, views=study.views[::-1]), data.root)
    )


def test_warnings_say_what_a_reader_must_know(data: Dataset, reporter: Reporter) -> None:
    study = data.studies[1]
    real = replace(study, views=tuple(replace(view, simulated=False) for view in study.views))
    assert SIMULATED_MODEL in reporter.report(real, data.root).warnings
    assert SIMULATED_MODEL not in reporter.report(study, data.root).warnings
    lateral = replace(study, views=study.views[1:])
    assert any("Only lateral" in warning for warning in reporter.report(lateral, data.root).warnings)
    unknown = replace(study, views=(replace(study.views[0], projection=Projection.UNKNOWN),))
    assert any("Projection not known" in warning for warning in reporter.report(unknown, data.root).warnings)
    run = reporter.run
    trained_on_real = Reporter(checkpoints.Run(replace(run.info, simulated=False), run.model, run.tokenizer))
    assert REAL_MODEL in trained_on_real.report(study, data.root).warnings
    short = replace(run.info, search=SearchConfig(beams=1, max_tokens=1))
    cut = Reporter(checkpoints.Run(short, run.model, run.tokenizer)).report(study, data.root)
    assert any("cut at the longest" in warning for warning in cut.warnings)


def test_thresholds_call_findings(data: Dataset, reporter: Reporter) -> None:
    run, study = reporter.run, data.studies[0]
    for thresholds, wanted in (((0.0, 0.0), State.PRESENT), ((1.1, 1.2), State.ABSENT), ((0.0, 1.2), None)):
        info = replace(run.info, thresholds={"Cardiomegaly": thresholds})
        draft = Reporter(checkpoints.Run(info, run.model, run.tokenizer)).report(study, data.root)
        assert draft.findings["Cardiomegaly"].state is wanted
        assert draft.findings["Pleural Effusion"].state is None


def test_one_to_five_films(data: Dataset, reporter: Reporter) -> None:
    with pytest.raises(InputError, match="0 films"):
        reporter.report(Study("none"), data.root)
    view = data.studies[0].views[0]
    six = tuple(replace(view, id=str(number)) for number in range(6))
    with pytest.raises(InputError, match="6 films"):
        reporter.report(Study("six", six), data.root)
    five = reporter.report(Study("five", six[:5]), data.root)
    assert len(five.sentences[0].regions) == 5


def test_an_unreadable_film_is_named(data: Dataset, reporter: Reporter, tmp_path: Path) -> None:
    (tmp_path / "film.png").write_bytes(b"not a picture")
    view = replace(data.studies[0].views[0], file="film.png")
    with pytest.raises(ImageError, match=r"film\.png"):
        reporter.report(Study("bad", (view,)), tmp_path)


def test_left_and_right_stay_apart_in_the_features(data: Dataset, reporter: Reporter) -> None:
    """The model sees a film as it lies: turning it over changes what it sees."""
    film = torch.from_numpy(made.film(1, made.Side.LEFT)).float() / 255.0
    with torch.no_grad():
        seen, turned = reporter.run.model.see(torch.stack([film, film.flip(-1)]))
    assert (seen - turned).abs().max() > 1e-3


def test_image_features_have_length_one(data: Dataset, reporter: Reporter) -> None:
    own, generic = reporter.own_features(data, data.studies), reporter.generic_features(data, data.studies)
    assert own.shape == (12, reporter.run.info.model.width) and generic.shape == (12, 320)
    for features in (own, generic):
        np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1.0, atol=1e-5)


def test_samples_are_chosen_by_what_the_head_decides(data: Dataset, reporter: Reporter) -> None:
    run = reporter.run
    search = SearchConfig(beams=2, max_tokens=12, length_power=1.0, samples=24, temperature=1.5)
    said = {}
    for thresholds in (
        {"Pleural Effusion": (0.0, 0.0), "Cardiomegaly": (2.0, 2.0)},
        {"Pleural Effusion": (2.0, 2.0)},
    ):
        info = replace(run.info, search=search, thresholds=thresholds)
        chosen = Reporter(checkpoints.Run(info, run.model, run.tokenizer))
        together = chosen.report_all(data, data.studies)
        for study, draft in zip(data.studies[:4], together, strict=False):
            same(draft, chosen.report(study, data.root))
        texts = [f"{draft.findings_text} {draft.impression}" for draft in together]
        states = [objectives.report_states(text, "").get("Pleural Effusion") for text in texts]
        said[thresholds["Pleural Effusion"]] = states.count(State.PRESENT)
    assert said[0.0, 0.0] > said[2.0, 2.0]


def test_no_word_speaks_of_a_side_that_the_head_has_not_decided(data: Dataset) -> None:
    run = made.untrained_run()
    assert run.model.each()[0].head.side is not None
    with torch.no_grad():
        run.model.each()[0].head.side.bias.copy_(
            torch.tensor([9.0, -9.0])
        )  # sure of the left, wherever it looks
    search = SearchConfig(beams=2, max_tokens=12, length_power=1.0, samples=24, temperature=1.5)
    said = {}
    for margin in (None, 0.0):
        for samples in (0, 24):
            info = replace(
                run.info, search=replace(search, samples=samples), side_margin=margin,
                thresholds={"Pleural Effusion": (0.0, 0.0), "Cardiomegaly": (2.0, 2.0)},
            )  # fmt: skip
            chosen = Reporter(checkpoints.Run(info, run.model, run.tokenizer))
            drafts = chosen.report_all(data, data.studies)
            said[margin, samples] = [f"{draft.findings_text} {draft.impression}".lower() for draft in drafts]
    # Of this model the words are "left" alone; where nothing was decided, no draft holds it.
    assert not any("left" in text for samples in (0, 24) for text in said[None, samples])
    assert any("left" in text for text in said[0.0, 24])


def test_a_model_that_reads_the_background_looks_at_it_and_maps_the_films_alone(data: Dataset) -> None:
    reading = Reporter(made.untrained_run(background=("indication", "comparison")))
    studies = [
        replace(study, indication="The heart.", comparison="XXXX")
        if number % 2
        else replace(study, indication="")
        for number, study in enumerate(data.studies)
    ]
    together = reading.report_all(data, studies)
    for study, draft in zip(studies, together, strict=True):
        same(draft, reading.report(study, data.root))
        assert not any("Not read" in warning for warning in draft.warnings)
        for sentence in draft.sentences:
            assert sum(region.weight for region in sentence.regions) == pytest.approx(1.0, abs=1e-4)
            assert (0 < sentence.background_weight < 1) == bool(study.indication)
    asked = reading.report(replace(studies[0], indication="No left heart."), data.root)
    assert asked.sentences[0].log_prob != pytest.approx(together[0].sentences[0].log_prob, abs=1e-3)


def test_what_is_given_and_not_read_is_said(data: Dataset, reporter: Reporter) -> None:
    study = replace(data.studies[1], indication="", history="", comparison="None.")
    for given, wanted in (
        ({}, []), ({"indication": "Cough."}, ["indication"]), ({"history": "Smoker."}, ["history"]),
        ({"indication": "Cough.", "history": "Smoker."}, ["indication and the history"]),
    ):  # fmt: skip
        warnings = reporter.report(replace(study, **given), data.root).warnings
        said = [warning for warning in warnings if "Not read" in warning]
        assert len(said) == len(wanted) and all(f"the {name}." in said[0] for name in wanted)
    reading = Reporter(made.untrained_run(background=("indication",)))
    warnings = reading.report(replace(study, indication="Cough.", history="Smoker."), data.root).warnings
    assert next(warning for warning in warnings if "Not read" in warning).endswith("the history.")


def test_drafts_are_chosen_by_consensus_alone_and_together(data: Dataset, reporter: Reporter) -> None:
    run = reporter.run
    search = SearchConfig(
        beams=2, max_tokens=12, length_power=1.0, samples=12, temperature=1.5, nucleus=0.95,
        consensus=(("cider_d", 1.0), ("rouge_l", 1.0), ("head", 0.5)), consistent=True,
    )  # fmt: skip
    thresholds = {"Pleural Effusion": (0.3, 0.9), "Cardiomegaly": (0.9, 0.95)}
    info = replace(run.info, search=search, thresholds=thresholds)
    with pytest.raises(RunError, match="frequencies"):
        Reporter(checkpoints.Run(info, run.model, run.tokenizer))
    counted = Frequencies.of(["the heart is normal .", "there is a left pleural effusion .", "the heart ."])
    chosen = Reporter(checkpoints.Run(info, run.model, run.tokenizer, counted))
    for study, draft in zip(data.studies[:4], chosen.report_all(data, data.studies[:4]), strict=True):
        same(draft, chosen.report(study, data.root))
        said = objectives.report_states(normalise(f"{draft.findings_text} {draft.impression}"), "")
        if not any("could not be mended" in warning for warning in draft.warnings):
            for name, state in said.items():
                estimate = draft.findings.get(name)
                assert estimate is None or {state, estimate.state} != {State.PRESENT, State.ABSENT}


def test_without_beams_evidence_drafts_alone(data: Dataset) -> None:
    """The draft is the evidence's own, and its words are explained by the decoder as any are."""
    run = made.untrained_run()
    texts = [("the heart is normal .", "the lungs are clear ."), ("there is a left pleural effusion .", "")]
    bank = Bank.of(texts * 3, np.random.default_rng(0).uniform(0.1, 0.9, (6, 4)))
    info = replace(
        run.info, search=replace(run.info.search, beams=0), retrieval=RetrievalConfig(ridge=1.0),
        thresholds={"Pleural Effusion": (0.3, 0.6), "Cardiomegaly": (0.3, 0.6)},
    )  # fmt: skip
    ready = Reporter(replace(run, info=info, bank=bank))
    for study, draft in zip(data.studies[:3], ready.report_all(data, data.studies[:3]), strict=True):
        same(draft, ready.report(study, data.root))
        _, logits_BF, _, heads = ready.remember([study], ready.seen(data, [study]))
        assert ready._evidence is not None
        tokens = ready._evidence.draft(logits_BF[0].detach().double().numpy(), heads[0])
        alone = run.tokenizer.decode_report(tokens)
        assert (normalise(draft.findings_text), normalise(draft.impression)) == alone
        assert all(sentence.log_prob < 0 and sentence.regions for sentence in draft.sentences)


def test_without_beams_samples_are_all_there_is_to_choose_from(data: Dataset) -> None:
    run = made.untrained_run()
    search = replace(run.info.search, beams=0, samples=1)
    ready, some = Reporter(replace(run, info=replace(run.info, search=search))), data.studies[:4]
    memory, _, _, heads = ready.remember(some, ready.seen(data, some))
    banned_BV = torch.stack([ready._banned(head.called) for head in heads])
    for draft, drawn in zip(
        ready.report_all(data, some), sample(run.model.decoder, memory, search, banned_BV), strict=True
    ):
        findings, _ = run.tokenizer.decode_report(drawn[0].tokens)
        assert normalise(draft.findings_text) == normalise(findings)


@pytest.mark.parametrize("beams", [0, -1])
def test_a_run_with_nothing_to_draft_from_is_refused_in_one_line(beams: int) -> None:
    run = made.untrained_run()
    info = replace(run.info, search=replace(run.info.search, beams=beams))
    with pytest.raises(RunError, match=f"{beams} beams, and nothing else to draft from") as refused:
        Reporter(replace(run, info=info))
    assert "\n" not in str(refused.value)


def simulated_view(folder: Path, name: str, film: np.ndarray, projection: Projection) -> View:
    assert cv2.imwrite(str(folder / f"{name}.png"), film)
    return View(name, projection, f"{name}.png", simulated=True)


def test_what_looks_wrong_about_a_film_is_a_warning(reporter: Reporter, tmp_path: Path) -> None:
    """Turned, inverted, of another view: said, and the film is read as it is."""
    made_of = render("looked at", ["normal"], 160)

    def warnings(film: np.ndarray, projection: Projection) -> str:
        view = simulated_view(tmp_path, "film", film, projection)
        return "\n".join(reporter.report(Study("s", (view,)), tmp_path, any_picture=False).warnings)

    sound = warnings(made_of.frontal_HW, Projection.FRONTAL)
    assert "film.png" not in sound
    assert "film.png: it looks turned by 90° clockwise" in warnings(
        np.rot90(made_of.frontal_HW, 3), Projection.FRONTAL
    )
    assert "film.png: its greys look inverted" in warnings(255 - made_of.frontal_HW, Projection.FRONTAL)
    called = warnings(made_of.lateral_HW, Projection.FRONTAL)
    assert "film.png: it looks like a lateral film, but is taken for a frontal one" in called
    told_by_nobody = warnings(made_of.lateral_HW, Projection.UNKNOWN)
    assert "it looks lateral, and is read so" in told_by_nobody and "Only lateral films" in told_by_nobody
    assert "Projection not known" not in told_by_nobody


def test_what_is_certainly_no_film_is_refused_unless_asked_for(reporter: Reporter, tmp_path: Path) -> None:
    page = np.full((300, 300), 255, np.uint8)
    for row in range(20, 290, 20):
        cv2.putText(page, "Not a film, but words.", (10, row), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 0)
    study = Study("s", (simulated_view(tmp_path, "page", page, Projection.FRONTAL),))
    with pytest.raises(ImageError, match=r"page\.png: this is no chest radiograph; .*--any-picture"):
        reporter.report(study, tmp_path, any_picture=False)
    drafted = reporter.report(study, tmp_path)
    assert any("does not look like a chest radiograph" in warning for warning in drafted.warnings)


def test_where_no_report_is_in_known_words_the_decoder_drafts(data: Dataset) -> None:
    run = made.untrained_run()
    bank = Bank.of([("unheard of words .", "none known .")] * 4, np.full((4, 4), 0.5))
    search = replace(run.info.search, beams=0)
    info = replace(run.info, search=search, retrieval=RetrievalConfig(ridge=1.0))
    ready = Reporter(replace(run, info=info, bank=bank))
    one = Reporter(replace(run, info=replace(run.info, search=replace(search, beams=1))))
    for draft, greedy in zip(
        ready.report_all(data, data.studies[:3]), one.report_all(data, data.studies[:3]), strict=True
    ):
        assert draft.sentences and [s.text for s in draft.sentences] == [s.text for s in greedy.sentences]
