"""The pages: whole, self-contained, true to the draft's numbers, and safe whatever the texts hold."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hilum.page import demo_page, draft_page, films, scorecard
from hilum.page.compare import Comparison, Kind, compare, runs
from hilum.study import (
    DISCLAIMER,
    Draft,
    DrawnFinding,
    DrawnRegion,
    Finding,
    FindingEstimate,
    ModelCard,
    Projection,
    RegionMap,
    Report,
    Sentence,
    Side,
    State,
    Study,
    View,
)

VOID = {"meta", "input", "br", "img", "link", "hr"}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page(HTMLParser):
    """Tags with their attributes, the text, and whether every tag that opens is closed in turn."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        assert len(attrs) == len({name for name, _ in attrs}), f"an attribute twice in {tag}"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)

    def all(self, tag: str, cls: str | None = None) -> list[dict[str, str]]:
        return [a for t, a in self.tags if t == tag and (cls is None or cls in a.get("class", "").split())]

    @property
    def words(self) -> str:
        """The page's text; every run of white space, the narrow one before % too, is one space."""
        return " ".join(" ".join(self.text).split())


def grid_at(row: int, column: int, share: float, size: int = 7) -> tuple[tuple[float, ...], ...]:
    cells = np.full((size, size), 0.1 * share / (size * size - 1))
    cells[row, column] = 0.9 * share
    return tuple(tuple(map(float, line)) for line in cells)


def film(height: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows_HW, columns_HW = np.mgrid[:height, :width]
    return ((rows_HW + columns_HW) / (height + width) + rng.normal(0, 0.03, (height, width))).astype(
        np.float32
    )


LATERAL, FRONTAL = View("lat-2", Projection.LATERAL), View("pa-1", Projection.FRONTAL)
STUDY = Study(
    "CASE7",
    (LATERAL, FRONTAL),
    indication="Cough for two weeks.",
    comparison="None.",
    report=Report(
        "The heart is enlarged. There is a small right pleural effusion. No pneumothorax.",
        "Cardiomegaly.",
    ),
)
DRAFT = Draft(
    "CASE7",
    (
        Sentence(
            "The heart is enlarged.",
            "findings",
            -1.0,
            (
                RegionMap("pa-1", (100.0, 200.0, 300.5, 400.0), 0.75, grid_at(1, 5, 0.75), (0, 0, 800, 1000)),
                RegionMap("lat-2", (10.0, 20.0, 30.0, 40.0), 0.25, grid_at(3, 3, 0.25), (0, 0, 300, 400)),
            ),
        ),
        Sentence("There is an acute rib fracture.", "findings", -2.0),
        Sentence("No pneumothorax.", "impression", -0.1),
    ),
    {
        "Edema": FindingEstimate(0.031, State.ABSENT),
        "Cardiomegaly": FindingEstimate(0.87, State.PRESENT),
        "Lung Opacity": FindingEstimate(0.5, None),
    },
    ("This film is unusually dark.",),
    ModelCard("small-reader", "0123456789abcdef" * 4, "a made-up set", False),
)
FILMS = (film(400, 300, 1), (film(1000, 800, 2).clip(0, 1) * 255).astype(np.uint8))
SCORECARD = {
    "n": 200,
    "systems": {
        "floor:constant-bleu_4": {
            "image_truth_f1_macro": {"value": 0.1, "low": 0.08, "high": 0.12},
            "bleu_4": {"value": 0.2, "low": 0.19, "high": 0.21},
        },
        "model": {
            "image_truth_f1_macro": {"value": 0.5, "low": 0.45, "high": 0.55},
            "bleu_4": {"value": 0.17, "low": 0.16, "high": 0.18},
            "distinct": 77,
        },
        "ceiling:label-oracle": {"image_truth_f1_macro": {"value": 0.9, "low": 0.88, "high": 0.92}},
        "floor:nearest-image": {"image_truth_f1_macro": {"value": 0.3, "low": 0.28, "high": 0.33}},
    },
}


@pytest.fixture(scope="module")
def one() -> str:
    return draft_page(STUDY, DRAFT, FILMS)


@pytest.fixture(scope="module")
def many() -> str:
    return demo_page(
        [(STUDY, DRAFT, FILMS), (replace(STUDY, report=None), DRAFT, FILMS)],
        SCORECARD,
        notes=["A small note."],
    )


def test_a_page_needs_no_network(one: str, many: str) -> None:
    for html in (one, many):
        page = Page(html)
        links = [a[n] for _, a in page.tags for n in ("src", "href", "srcset", "action") if n in a]
        assert links
        assert all(link.startswith(("data:image/", "#")) for link in links)
        assert not page.all("link")
        assert not page.all("iframe")
        assert "@import" not in html
        assert not re.search(r"url\((?!data:)", html)
        assert not re.search(r"https?://", html)


def test_the_policy_admits_our_script_alone(one: str) -> None:
    policy = next(
        a["content"] for a in Page(one).all("meta") if a.get("http-equiv") == "Content-Security-Policy"
    )
    script = re.search(r"<script>(.*?)</script>", one, re.S)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_ids_are_unique_and_references_hold(many: str) -> None:
    page = Page(many)
    ids = Counter(a["id"] for _, a in page.tags if "id" in a)
    assert max(ids.values()) == 1
    for _, attributes in page.tags:
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in ids
        for name in ("aria-labelledby", "for"):
            if name in attributes:
                assert attributes[name] in ids


def test_it_can_be_read_without_seeing(one: str) -> None:
    page = Page(one)
    html = next(a for t, a in page.tags if t == "html")
    assert html["lang"] == "en"
    for svg in page.all("svg"):
        assert svg.get("aria-label") or svg.get("aria-hidden") == "true"
    radios = [a for a in page.all("input") if a["type"] == "radio"]
    assert len(radios) == len(DRAFT.sentences) + 1
    assert len({a["name"] for a in radios}) == 1
    assert [a for a in radios if "checked" in a] == radios[:1]
    assert page.all("div", "draft")[0]["role"] == "radiogroup"
    assert {"frontal: 75\u202f% of the attention", "lateral: 25\u202f% of the attention"} <= {
        a.get("aria-label", "") for a in page.all("svg")
    }


def test_every_word_is_there(one: str) -> None:
    words = Page(one).words
    for text in (
        DISCLAIMER, "Cough for two weeks.", "This film is unusually dark.", "small-reader", "0123456789ab",
        "a made-up set", "The heart", "acute rib fracture", "75 %", "0.87", "present", "undecided", "Edema",
        "small right pleural effusion", "Draft impression", "Reference findings",
    ):  # fmt: skip
        assert text in words, text
    assert "simulated" not in words
    assert words.index("Cardiomegaly 0.87") < words.index("Lung Opacity 0.50") < words.index("Edema 0.03")


def test_frontal_first_whatever_the_order_of_the_files(one: str) -> None:
    labels = [a["aria-label"] for a in Page(one).all("svg") if " film " in a.get("aria-label", "")]
    assert labels == ["frontal film pa-1", "lateral film lat-2"]


def test_films_shrink_and_boxes_stay_in_file_pixels(one: str) -> None:
    page = Page(one)
    stored = [a for a in page.all("image") if a["href"].startswith("data:image/jpeg")]
    assert [(a["width"], a["height"]) for a in stored] == [("800", "1000"), ("300", "400")]
    sizes = [Image.open(io.BytesIO(base64.b64decode(a["href"].split(",")[1]))).size for a in stored]
    assert sizes == [(512, 640), (300, 400)]
    views = [a["viewbox"] for a in page.all("svg") if " film " in a.get("aria-label", "")]
    assert views == ["0 0 800 1000", "0 0 300 400"]
    boxes = {(a["x"], a["y"], a["width"], a["height"]) for a in page.all("rect", "box")}
    assert {("100", "200", "200.5", "200"), ("10", "20", "20", "20")} <= boxes


def test_the_extent_places_the_map() -> None:
    letterboxed = replace(DRAFT.sentences[0].regions[0], extent=(-100.0, 0.0, 900.0, 1000.0))
    draft = replace(DRAFT, sentences=(replace(DRAFT.sentences[0], regions=(letterboxed,)),))
    heat = next(
        a
        for a in Page(draft_page(STUDY, draft, FILMS)).all("image")
        if a["href"].startswith("data:image/png")
    )
    assert (heat["x"], heat["y"], heat["width"], heat["height"]) == ("-100", "0", "1000", "1000")


def test_a_stretched_file_is_shown_in_the_film_s_own_aspect() -> None:
    tall = replace(FRONTAL, height=3000, width=1500)
    html = draft_page(replace(STUDY, views=(LATERAL, tall)), DRAFT, FILMS)
    figure = next(a for a in Page(html).all("svg") if a.get("aria-label") == "frontal film pa-1")
    assert figure["style"] == "aspect-ratio: 0.5000"
    assert figure["preserveaspectratio"] == "none"


def decoded_alpha(uri: str) -> np.ndarray:
    image = Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGBA")
    return np.asarray(image)[..., 3]


def test_an_even_attention_has_no_colour() -> None:
    assert decoded_alpha(films.heat_uri(((1 / 98,) * 7,) * 7, 98)).max() == 0


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 6), (6, 0), (1, 5)])
def test_the_strongest_cell_is_where_the_grid_has_it(row: int, column: int) -> None:
    alpha_HW = decoded_alpha(films.heat_uri(grid_at(row, column, 1.0), 49))
    rows, columns = np.nonzero(alpha_HW == alpha_HW.max())
    scale = alpha_HW.shape[0] / 7
    assert row <= rows.mean() / scale <= row + 1
    assert column <= columns.mean() / scale <= column + 1


def test_strength_is_one_scale_for_all() -> None:
    assert films.strength([0.0, 0.5, 1.0, films.FULL_LIFT, 100.0]).tolist() == [0, 0, 0, 1, 1]
    assert np.all(np.diff(films.strength(np.linspace(1, films.FULL_LIFT, 20))) > 0)
    assert films.strength(np.sqrt(films.FULL_LIFT)) == pytest.approx(0.5)


def test_float_and_bytes_make_the_same_picture() -> None:
    bytes_HW = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
    assert films.film_uri(bytes_HW) == films.film_uri(bytes_HW.astype(np.float64) / 255)
    back = np.asarray(Image.open(io.BytesIO(base64.b64decode(films.film_uri(bytes_HW).split(",")[1]))))
    assert np.abs(back.astype(int) - bytes_HW).mean() < 8


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros((4, 4), np.int16),
        np.full((4, 4), np.nan),
    ],
)
def test_what_is_no_film_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="film"):
        films.film_uri(bad)


def test_films_and_views_must_fit() -> None:
    with pytest.raises(ValueError, match="2 views, but 1 films"):
        draft_page(STUDY, DRAFT, FILMS[:1])
    with pytest.raises(ValueError, match="'lat-2'"):
        draft_page(replace(STUDY, views=(FRONTAL,)), DRAFT, FILMS[1:])


def test_simulated_pixels_are_named() -> None:
    views = tuple(replace(view, simulated=True) for view in STUDY.views)
    card = replace(DRAFT.model, simulated=True)
    badges = re.compile(r'<strong class="badge">(.*?)</strong>')
    drawn = draft_page(replace(STUDY, views=views), replace(DRAFT, model=card), FILMS)
    assert badges.findall(drawn) == ["simulated pixels"]
    real_film = draft_page(STUDY, replace(DRAFT, model=card), FILMS)
    assert badges.findall(real_film) == ["model trained on simulated pixels"]


def test_what_was_drawn_can_be_shown() -> None:
    truth = DrawnFinding("Nodule", "Nodule/left", (DrawnRegion("pa-1", (5.0, 6.0, 25.0, 36.0)),), Side.LEFT)
    page = Page(draft_page(replace(STUDY, truth=(truth,)), DRAFT, FILMS))
    assert ("5", "6", "20", "30") in {
        (a["x"], a["y"], a["width"], a["height"]) for a in page.all("rect", "truth")
    }
    assert "Nodule (left)" in page.words
    assert page.all("input", "show-drawn")


def test_no_reference_no_comparison() -> None:
    for study in (replace(STUDY, report=None), replace(STUDY, report=Report(" ", ""))):
        words = Page(draft_page(study, DRAFT, FILMS)).words
        assert "Reference" not in words
        assert "missed" not in words


def test_what_differs_is_marked(one: str) -> None:
    page = Page(one)
    marks = [(a["class"].split()[1], a["title"]) for a in page.all("span", "mark")]
    assert ("missed", "missed: Pleural Effusion") in marks
    assert ("invented", "invented: Fracture") in marks
    assert ("agree", "agree: Cardiomegaly") in marks
    assert not [title for _, title in marks if "Pneumothorax" in title]
    assert "both rule out Pneumothorax" in page.words
    words = set(re.findall(r'<span class="mark ([a-z-]+)"[^>]*>([^<]*)</span>', one))
    assert ("agree", "Cardiomegaly") in words
    assert ("missed", "effusion") in {(kind, text.split()[-1]) for kind, text in words}
    assert ("invented", "fracture") in {(kind, text.split()[-1]) for kind, text in words}


def test_the_disclaimer_stands_at_the_head_and_at_the_foot(one: str, many: str) -> None:
    for html in (one, many):
        assert html.count(DISCLAIMER) == 2
        assert html.index(DISCLAIMER) < html.index("<main>") < html.rindex(DISCLAIMER)


def test_the_even_share_is_that_of_all_views_together() -> None:
    """Spread evenly over two films nothing is coloured; the same grid alone would be no attention at all."""
    regions = tuple(replace(r, grid=((1 / 98,) * 7,) * 7, weight=0.5) for r in DRAFT.sentences[0].regions)
    draft = replace(DRAFT, sentences=(replace(DRAFT.sentences[0], regions=regions),))
    images = [a["href"] for a in Page(draft_page(STUDY, draft, FILMS)).all("image")]
    heats = [decoded_alpha(uri) for uri in images if uri.startswith("data:image/png")]
    assert [heat.max() for heat in heats] == [0, 0]
    skewed = tuple(replace(r, grid=((w / 49,) * 7,) * 7) for r, w in zip(regions, (0.9, 0.1), strict=True))
    draft = replace(DRAFT, sentences=(replace(DRAFT.sentences[0], regions=skewed),))
    images = [a["href"] for a in Page(draft_page(STUDY, draft, FILMS)).all("image")]
    heats = [decoded_alpha(uri) for uri in images if uri.startswith("data:image/png")]
    assert [heat.max() > 0 for heat in heats] == [True, False]


def test_an_empty_draft_of_a_study_without_films() -> None:
    draft = replace(DRAFT, sentences=(), findings={}, warnings=())
    page = Page(draft_page(replace(STUDY, views=()), draft, ()))
    assert "The model wrote nothing." in page.words
    assert not page.all("div", "warnings")
    assert not page.all("table", "findings")


NASTY = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style></title></svg><b>",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt; &amp; <!-- ]]>",
    "\u202e\x00\ufffe\U0001f9ea",
]


def dressed(word: str) -> tuple[Study, Draft]:
    """A study and a draft in which every text from outside is ``word``."""
    views = (View(f"{word}1", Projection.LATERAL), View(f"{word}2", Projection.FRONTAL))
    maps = tuple(RegionMap(v.id, (0, 0, 9, 9), 0.5, ((0.25, 0.25),), (0, 0, 9, 9)) for v in views)
    truth = DrawnFinding(word, word, (DrawnRegion(views[0].id, (1, 1, 2, 2)),), Side.LEFT, word, word)
    study = Study(word, views, word, word, word, Report(word, word), (word,), (truth,))
    sentences = (
        Sentence(word, "findings", -1.0, maps),
        Sentence(word, "impression", -1.0),
        Sentence(word, word, 0),
    )
    estimates = {word: FindingEstimate(0.5, None)}
    return study, Draft(word, sentences, estimates, (word,), ModelCard(word, word, word, True), word)


def skeleton(html: str) -> list[tuple[str, tuple[str, ...]]]:
    """Tags and attribute names, which no text from outside may change."""
    return [(tag, tuple(attributes)) for tag, attributes in Page(html).tags]


@pytest.mark.parametrize("word", NASTY)
def test_texts_from_outside_cannot_become_markup(word: str) -> None:
    pixels = (np.zeros((9, 9), np.uint8),) * 2
    plain, nasty = (draft_page(*dressed(text), pixels, title=text) for text in ("plain", word))
    assert skeleton(nasty) == skeleton(plain)
    scores = {"n": 1, "systems": {f"floor:{word}": {word: 0.5}, word: {word: 0.25}}}
    demo = demo_page([(*dressed(word), pixels)], scores, notes=[word], title=word)
    plain_scores = {"n": 1, "systems": {"floor:plain": {"plain": 0.5}, "plain": {"plain": 0.25}}}
    plain_demo = demo_page([(*dressed("plain"), pixels)], plain_scores, notes=["plain"], title="plain")
    assert skeleton(demo) == skeleton(plain_demo)


@settings(deadline=None, max_examples=40)
@given(st.text(min_size=1).filter(lambda text: text.strip() and not re.search(r"\w{3}", text)))
def test_no_text_changes_the_markup(word: str) -> None:
    pixels = (np.zeros((9, 9), np.uint8),) * 2
    assert skeleton(draft_page(*dressed(word), pixels, title=word)) == skeleton(
        draft_page(*dressed("plain"), pixels, title="plain")
    )


def said(name: str, state: State = State.PRESENT, side: Side | None = None) -> Finding:
    return Finding(name, state, side=side)


P, A, U = State.PRESENT, State.ABSENT, State.UNCERTAIN


@pytest.mark.parametrize(
    ("reference", "draft", "kind", "note"),
    [
        (said("X"), said("X"), Kind.AGREE, ""),
        (said("X", U), said("X"), Kind.AGREE, "reference uncertain, draft present"),
        (said("X", P, Side.LEFT), said("X", P, Side.LEFT), Kind.AGREE, ""),
        (said("X", P, Side.LEFT), said("X", P, Side.BILATERAL), Kind.AGREE, ""),
        (said("X", P, Side.LEFT), said("X", P, Side.RIGHT), Kind.OTHER_SIDE, "reference left, draft right"),
        (said("X", P, Side.LEFT), None, Kind.MISSED, "left"),
        (said("X"), said("X", A), Kind.MISSED, "the draft rules it out"),
        (None, said("X", U), Kind.INVENTED, "uncertain"),
        (said("X", A), said("X"), Kind.INVENTED, "the reference rules it out"),
        (said("X", A), said("X", A), Kind.BOTH_ABSENT, ""),
        (said("X", A), None, None, ""),
        (None, said("X", A), None, ""),
    ],
)
def test_compare(reference: Finding | None, draft: Finding | None, kind: Kind | None, note: str) -> None:
    found = compare({"X": reference} if reference else {}, {"X": draft} if draft else {})
    assert [(one.kind, one.note) for one in found] == ([] if kind is None else [(kind, note)])


def test_compare_puts_the_worst_first_and_leaves_no_finding_out() -> None:
    reference = {n: said(n) for n in ("Edema", "Fracture")} | {"Pneumonia": said("Pneumonia", P, Side.LEFT)}
    draft = {n: said(n) for n in ("Edema", "Lung Lesion", "No Finding")} | {
        "Pneumonia": said("Pneumonia", P, Side.RIGHT)
    }
    assert [(one.name, one.kind) for one in compare(reference, draft)] == [
        ("Pneumonia", Kind.OTHER_SIDE),
        ("Fracture", Kind.MISSED),
        ("Lung Lesion", Kind.INVENTED),
        ("Edema", Kind.AGREE),
    ]


def test_agreement_is_symmetrical() -> None:
    sides = [None, *Side]
    for state_a in (P, A, U):
        for state_b in (P, A, U):
            for a in sides:
                for b in sides:
                    there = compare({"X": said("X", state_a, a)}, {"X": said("X", state_b, b)})
                    back = compare({"X": said("X", state_b, b)}, {"X": said("X", state_a, a)})
                    swap = {Kind.MISSED: Kind.INVENTED, Kind.INVENTED: Kind.MISSED}
                    kinds = [swap.get(one.kind, one.kind) for one in there]
                    assert kinds == [one.kind for one in back]


_marks = st.lists(
    st.tuples(st.integers(-5, 40), st.integers(-5, 40), st.sampled_from(Kind), st.sampled_from(["a", "b"])),
    max_size=6,
).map(lambda marks: [(min(a, b), max(a, b), kind, name) for a, b, kind, name in marks])


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=30), _marks)
def test_runs_give_the_text_again(text: str, marks: list[tuple[int, int, Kind, str]]) -> None:
    cut = runs(text, marks)
    assert "".join(run.text for run in cut) == text
    order = [Kind.OTHER_SIDE, Kind.MISSED, Kind.INVENTED, Kind.AGREE]
    at = 0
    for run in cut:
        for place in range(at, at + len(run.text)):
            here = [k for low, high, k, _ in marks if low <= place < high and k is not Kind.BOTH_ABSENT]
            assert run.kind == (min(here, key=order.index) if here else None)
        at += len(run.text)


def test_a_comparison_knows_its_note() -> None:
    one = Comparison("X", Kind.MISSED, said("X", U, Side.RIGHT), None)
    assert one.note == "right, uncertain"


def test_the_scorecard_s_order_and_verdict() -> None:
    card = scorecard.table(SCORECARD)
    assert [(system.name, system.kind) for system in card.systems] == [
        ("model", "model"), ("nearest image", "floor"), ("constant bleu 4", "floor"), ("label oracle", "ceiling")
    ]  # fmt: skip
    assert [key for key, _ in card.columns] == ["image_truth_f1_macro", "bleu_4"]
    assert card.further == (("distinct", "distinct"),)
    assert card.best == {"image_truth_f1_macro": 0.5, "bleu_4": 0.2}
    assert card.verdict.endswith("The intervals do not overlap: the model is above every floor.")
    assert "the best floor (nearest image) has 0.300 (95 % interval 0.280 to 0.330)" in card.verdict


def test_the_lead_and_the_texts_are_told() -> None:
    card = {
        "n": 5,
        "systems": {
            "model": {"cider": {"value": 0.5, "low": 0.3, "high": 0.7}},
            "floor:random": {"cider": {"value": 0.4, "low": 0.2, "high": 0.6}},
        },
        "lift": {"model": {"cider": {"over": "floor:random", "value": 0.1, "low": 0.02, "high": 0.2}}},
        "texts": {"model": {"distinct": 7, "verbatim_from_train": 0.25}, "floor:random": {"distinct": 9}},
        "absent": {"meteor": "METEOR needs Java"},
    }
    table = scorecard.table(card)
    assert "the lead is +0.100 (+0.020 to +0.200)" in table.verdict
    assert table.verdict.endswith("The intervals overlap, but the lead's own interval is above zero.")
    words = Page(demo_page([], card)).words
    for text in ("7 25 %", "9 –", "Not computed: meteor (METEOR needs Java).", "0 studies, drafted"):
        assert text in words, text


@pytest.mark.parametrize(
    ("model", "floor", "ending"),
    [
        ((0.5, 0.4, 0.6), (0.3, 0.2, 0.39), "the model is above every floor."),
        (
            (0.5, 0.4, 0.6),
            (0.3, 0.2, 0.4),
            "this does not show that the model is better than its best floor.",
        ),
        ((0.1, 0.05, 0.15), (0.3, 0.2, 0.4), "The model is below its best floor."),
        ((0.5, None, None), (0.3, 0.2, 0.4), "No intervals were computed."),
        ((0.5, 0.4, 0.6), None, "No floor was scored beside it, so this number says little."),
    ],
)
def test_verdicts(model: tuple[float, ...], floor: tuple[float, ...] | None, ending: str) -> None:
    names = ("value", "low", "high")
    systems = {"model": {"cider": dict(zip(names, model, strict=True))}}
    if floor:
        systems["floor:random"] = {"cider": dict(zip(names, floor, strict=True))}
    assert scorecard.table({"systems": systems}).verdict.endswith(ending)


def test_the_plot_keeps_proportions() -> None:
    plot = scorecard.table(SCORECARD).plot
    xs = {dot.name: dot.x for dot in plot.dots}
    zero, one_fifth = plot.ticks[0][0], plot.ticks[1][0]
    assert (plot.ticks[0][1], plot.ticks[1][1]) == ("0.0", "0.2")
    for name, value in (("model", 0.5), ("nearest image", 0.3), ("label oracle", 0.9)):
        assert xs[name] == pytest.approx(zero + value / 0.2 * (one_fifth - zero), abs=0.2)
    assert plot.floor_x == xs["nearest image"]
    assert all(plot.left <= dot.x_low <= dot.x <= dot.x_high <= plot.right for dot in plot.dots)
    assert [dot.y for dot in plot.dots] == sorted({dot.y for dot in plot.dots})


@settings(deadline=None, max_examples=100)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5))
def test_every_dot_is_inside_the_plot(values: list[float]) -> None:
    systems = {f"floor:{place}": {"m": value} for place, value in enumerate(values)}
    plot = scorecard.table({"systems": systems}).plot
    assert all(plot.left - 0.1 <= dot.x <= plot.right + 0.1 for dot in plot.dots)
    assert 2 <= len(plot.ticks) <= 12


def test_what_is_no_number_is_no_score() -> None:
    systems = {
        "model": {"bleu_4": 0.5, "cider": float("nan"), "meteor": "no Java", "rouge_l": True, "bleu_1": None}
    }
    card = scorecard.table({"systems": systems})
    assert set(card.systems[0].scores) == {"bleu_4"}
    for empty in ({}, {"systems": {}}, {"systems": {"model": {"meteor": "no Java"}}}):
        with pytest.raises(ValueError, match="no system"):
            scorecard.table(empty)
    with pytest.raises(ValueError, match="no score cider"):
        scorecard.table({"systems": systems}, "cider")


def test_the_demo_page(many: str) -> None:
    page = Page(many)
    for text in (
        "A small note.",
        "200 test studies",
        "0.500 0.450–0.550",
        "2 studies, drafted",
        "nearest image floor",
    ):
        assert text in page.words, text
    assert page.all("line", "floor-line")
    assert len(page.all("line", "interval")) == 4
    assert [a["href"] for a in page.all("a")] == ["#study-0", "#study-1"]
    assert len(page.all("section", "study")) == 2


def test_twelve_studies_stay_small() -> None:
    noise = [np.random.default_rng(n).integers(0, 256, (256, 256), np.uint8) for n in range(2)]
    regions = tuple(replace(r, grid=grid_at(2, 3, r.weight, 14)) for r in DRAFT.sentences[0].regions)
    draft = replace(DRAFT, sentences=(replace(DRAFT.sentences[0], regions=regions),) * 10)
    html = demo_page([(STUDY, draft, noise)] * 12, SCORECARD)
    assert len(html.encode()) < 6_000_000


def chromium(folder: Path, html: str, *arguments: str) -> str:
    """What chromium prints about a page. No sandbox: tests may run as root."""
    assert CHROMIUM is not None
    source = folder / "page.html"
    source.write_text(html, encoding="utf-8")
    return subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
         f"--user-data-dir={folder / 'profile'}", *arguments, source.as_uri()],
        check=True, capture_output=True, text=True, timeout=120,
    ).stdout  # fmt: skip


def chosen(html: str, sentence: int) -> str:
    """The page with one sentence chosen, as if it had been tapped."""
    html = html.replace('name="sentence-0" checked>', 'name="sentence-0">')
    at = html.index("<input", html.index(f'class="sentence" data-n="{sentence}"'))
    return html[:at] + "<input checked" + html[at + len("<input") :]


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_choosing_a_sentence_colours_the_films_without_a_script(one: str, tmp_path: Path) -> None:
    """On the frontal film the drawn box gives the scale, and the warm spot lies at the grid's cell (1, 5)."""
    plain = re.sub(r"<script>.*?</script>", "", one, flags=re.S)
    pictures = []
    for number, html in enumerate((plain, chosen(plain, 0))):
        target = tmp_path / f"{number}.png"
        chromium(tmp_path, html, f"--screenshot={target}", "--window-size=1280,900")
        pictures.append(np.asarray(Image.open(target).convert("RGB")).astype(int)[:700, 43:340])
    clean, lit = pictures
    changed_HW = np.abs(lit - clean).max(axis=2) > 40
    rows, columns = np.nonzero(changed_HW & (lit[..., 2] - lit[..., 0] > 60))
    left, top, scale = columns.min(), rows.min(), np.ptp(columns) / 200.5
    assert np.ptp(rows) / 200 == pytest.approx(scale, rel=0.05)
    heat_HW = np.where(changed_HW, np.maximum(lit[..., 0] - lit[..., 2] - 60, 0), 0)
    heat_HW[top + round(300 * scale) + 40 :] = 0  # below the film stands the bar with the share
    heat_HW = heat_HW.astype(float)
    row, column = (np.average(axis, weights=heat_HW) for axis in np.indices(heat_HW.shape))
    assert (column - left) / scale == pytest.approx(5.5 / 7 * 800 - 100, abs=25)
    assert (row - top) / scale == pytest.approx(1.5 / 7 * 1000 - 200, abs=25)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_a_second_tap_and_escape_clear_the_films(one: str, tmp_path: Path) -> None:
    free = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", one)
    steps = """<script>
    const label = document.querySelector('.sentence[data-n="0"] .words');
    const input = document.querySelector('.sentence[data-n="0"] input');
    const seen = [];
    label.click(); seen.push(input.checked);
    label.click(); seen.push(input.checked);
    label.click(); seen.push(input.checked);
    input.dispatchEvent(new KeyboardEvent("keydown", {key: "Escape", bubbles: true})); seen.push(input.checked);
    document.title = "steps " + seen.join(" ");
    </script></body>"""
    printed = chromium(tmp_path, free.replace("</body>", steps), "--dump-dom")
    assert "<title>steps true false true false</title>" in printed
