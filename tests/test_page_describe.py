"""The data report as a reader meets it: self-contained, every figure explained, nothing that runs from the text."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum import cli
from hilum.data import splits
from hilum.data.describe import describe, describe_folder
from hilum.data.description import Description
from hilum.data.manifest import DatasetInfo, LeftOut
from hilum.page import charts
from hilum.page.captions import captions, describe_text, percent
from hilum.page.describe import describe_page, pairs
from hilum.study import DISCLAIMER, Report, Study, View
from hilum.text import corpus
from tests import made

INFO = DatasetInfo("made", "made for a test", "Apache-2.0", simulated=False)
SENTENCES = (
    "Left effusion.",
    "Clear lungs.",
    "XXXX pain.",
    "Cardiomegaly and edema.",
    "<script>alert(1)</script>",
    "",
)


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> Description:
    root = tmp_path_factory.mktemp("described")
    made.dataset(root, 30)
    return describe_folder(root)


@pytest.fixture(scope="module")
def page(description: Description) -> str:
    return describe_page(description)


class _Reader(HTMLParser):
    """Collects what a page would fetch or run, and whether its elements close in order."""

    VOID = frozenset({"meta", "br", "wbr", "input", "link", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.scripts = 0
        self.open: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.scripts += tag == "script"
        for name, value in attrs:
            if name in ("src", "href", "srcset", "data", "action", "poster") or name.startswith("on"):
                self.fetched.append(f"{tag} {name}={value}")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def read(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    assert not reader.open
    return reader


def test_nothing_is_fetched_and_only_the_sorter_runs(page: str) -> None:
    reader = read(page)
    assert reader.fetched == [] and reader.scripts == 1
    assert "default-src 'none'" in page
    assert not re.search(r"https?://|@import|url\(", page)


def test_it_says_its_counts_and_what_it_is_for(description: Description, page: str) -> None:
    text = read(page).text
    assert text.count(DISCLAIMER) == 2
    assert "30 studies have codes" in text and "simulated films" in text
    for said in captions(description).values():
        assert " ".join(said.split()) in text
    for heading in (
        "Sections and views", "Image sizes", "Lengths", "Words", "Findings in the reports",
        "MeSH codes", "Drawn into the simulated films", "Duplicates", "Vocabulary", "Splits", "Blanks",
    ):  # fmt: skip
        assert heading in text, heading


def test_every_chart_names_its_axes_and_is_named(page: str) -> None:
    drawn = re.findall(r'<svg class="(?:chart|cloud)[^>]*>.*?</svg>', page, re.DOTALL)
    assert len(drawn) >= 8
    for one in drawn:
        assert re.search(r'role="img" aria-label="[^"]{5,}"', one)
        assert one.startswith('<svg class="cloud') or re.search(r'class="axis"[^>]*>[a-z]', one)


def test_left_out_is_said() -> None:
    left_out = [LeftOut(f"CXR{number}", "its film is not at hand") for number in range(7)]
    text = read(describe_page(describe(INFO, [Study("1")], (), left_out))).text
    assert "Left out of it: 7 files and studies" in text
    assert "its film is not at hand 7 CXR0, CXR1, CXR2, CXR3, CXR4" in text


@pytest.mark.parametrize(
    "studies",
    [
        [],
        [Study("1")],
        [Study("1", report=Report("Clear lungs.", ""))],
        [Study(str(n), (View("v"),), report=Report("", "")) for n in range(3)],
    ],
    ids=["none", "empty", "one", "films only"],
)
def test_little_to_show(studies: list[Study]) -> None:
    ids = tuple(study.id for study in studies)
    empty = splits.Split("clean", (), (), ids, splits.digest((), (), ids))
    text = read(describe_page(describe(INFO, studies, [empty]))).text
    assert "None" not in text and "nan" not in text.split()
    assert "its training part is empty" in text
    assert "No study has MeSH codes." in text


@settings(max_examples=15)
@given(
    st.lists(
        st.builds(
            Study, id=st.text(min_size=1, max_size=9), indication=st.sampled_from(SENTENCES), mesh=st.lists(
                st.text(max_size=12), max_size=2).map(tuple), views=st.lists(
                st.builds(View, st.text(max_size=3), height=st.none() | st.integers(1, 10**6), width=st.just(7)),
                max_size=2).map(tuple),
            report=st.builds(Report, st.sampled_from(SENTENCES), st.sampled_from(SENTENCES) | st.text(max_size=9)),
        ), max_size=6, unique_by=lambda study: study.id,
    ), st.text(max_size=20),
)  # fmt: skip
def test_any_manifest_makes_a_page(studies: list[Study], name: str) -> None:
    info = DatasetInfo(name, "<b>x</b>", "&", simulated=True)
    reader = read(describe_page(describe(info, studies)))
    assert reader.fetched == [] and reader.scripts == 1
    assert "<b>x</b>" in reader.text


def test_pairs_are_shares_of_the_row(description: Description) -> None:
    found = pairs(description)
    labels = {one.name: index for index, one in enumerate(description.labels.observations)}
    assert found.names == ("Pleural Effusion",) and found.counts == (20,) and found.shares == ((None,),)
    studies = [
        Study(str(n), report=Report("Cardiomegaly." + " Pulmonary edema." * (n < 2), "")) for n in range(5)
    ]
    found = pairs(describe(INFO, studies))
    assert found.names == ("Cardiomegaly", "Edema") and found.counts == (5, 2)
    assert found.shares == ((None, 0.4), (1.0, None))
    assert labels["No Finding"] == 0


def test_the_cloud_is_the_same_every_time_and_its_largest_word_the_commonest(
    description: Description,
) -> None:
    first, again = charts.cloud(description.words), charts.cloud(description.words)
    assert first is not None and first == again
    assert first.words[0].text == description.words[0].words
    assert first.words[0].size == max(word.size for word in first.words)
    for word in first.words:
        assert word.x >= 0 and word.x + word.length <= first.width + 2 and word.y <= first.height


def test_without_wordcloud_the_page_says_how_to_get_it(
    description: Description, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wordcloud", None)
    monkeypatch.setattr("hilum.page.describe.find_spec", lambda name: None)
    text = read(describe_page(description)).text
    assert "pip install 'hilum[describe]'" in text and "Commonest phrases" in text


def test_a_histogram_is_drawn_to_scale() -> None:
    found = charts.histogram(corpus.distribution([1, 1, 1, 1, 2, 2, 4]), "words", "reports")
    assert found is not None and [column.says for column in found.columns] == ["1: 4", "2: 2", "3: 0", "4: 1"]
    heights = [column.height for column in found.columns]
    assert heights[0] == 2 * heights[1] == 4 * heights[3] > 0 == heights[2]
    assert all(column.y + column.height == pytest.approx(found.frame.bottom) for column in found.columns)
    assert charts.histogram(corpus.distribution([]), "", "") is None


def test_curves_reach_their_ends() -> None:
    found = charts.curves({"a": [(1, 0.1), (10, 0.5)], "b": [(1, 1)]}, "x", "y", share=True)
    assert found is not None and [line.name for line in found.lines] == ["a"]
    assert found.lines[0].end_x == pytest.approx(found.frame.right)
    assert found.lines[0].end_y == pytest.approx(found.frame.top)
    assert all(text.endswith(" %") for _, text in found.frame.y_ticks)
    assert charts.curves({"a": [(1, 1)]}, "x", "y") is None


@given(st.floats(0, 1e9), st.integers(2, 9))
def test_ticks_are_few_and_inside(high: float, most: int) -> None:
    ticks = charts._ticks(0, high, most)
    assert 1 <= len(ticks) <= max(most + 1, 2) and ticks[0] == 0
    assert all(0 <= tick <= max(high, 1) for tick in ticks)


def test_percent() -> None:
    assert (percent(1, 8), percent(0, 5), percent(1, 0)) == ("12.5\u202f%", "0.0\u202f%", "–")


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str | Path
) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["hilum", "data", "describe", *map(str, words)])
    try:
        cli.main()
        status = 0
    except SystemExit as leaving:
        status = int(leaving.code or 0)
    said = capsys.readouterr()
    return status, said.out, said.err


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made.dataset(tmp_path / "data", 6)
    status, out, _ = run(
        monkeypatch, capsys, tmp_path / "data", "--html", tmp_path / "d.html", "--json", tmp_path / "d.json"
    )
    found = describe_folder(tmp_path / "data")
    assert status == 0 and out == describe_text(found) + "\n" and "6 studies" in out
    assert (tmp_path / "d.html").read_text(encoding="utf-8") == describe_page(found)
    assert '"studies": 6' in (tmp_path / "d.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "out", "said"),
    [
        ("folder", "d.html", "no such folder"),
        ("manifest", "d.html", "no dataset.json"),
        ("line", "d.html", "line 7"),
        ("split", "d.html", "not a split"),
        ("left", "d.html", "line 1"),
        ("nothing", "none/d.html", "no such folder"),
        ("nothing", "data", "it is a folder"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(
    spoil: str,
    out: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = tmp_path / "data"
    if spoil != "folder":
        made.dataset(data, 6)
    if spoil == "manifest":
        (data / "dataset.json").unlink()
    elif spoil == "line":
        with (data / "studies.jsonl").open("a") as lines:
            lines.write('{"id": 5}\n')
    elif spoil == "split":
        (data / "splits/clean.json").write_text("{}")
    elif spoil == "left":
        (data / "left_out.jsonl").write_text("?\n")
    status, printed, err = run(
        monkeypatch, capsys, data, "--json", tmp_path / "d.json", "--html", tmp_path / out
    )
    assert status == 2 and printed == ""
    lines = err.strip().splitlines()
    assert lines[0].startswith("hilum: error: ") and said in err and len(lines) <= 2
    assert "Traceback" not in err
    assert not (tmp_path / "d.json").exists() and not list(tmp_path.glob("*.html"))
