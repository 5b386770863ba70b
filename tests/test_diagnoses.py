"""What a draft is coded with: the head has the say, the text adds what does not contradict it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hilum.diagnoses import ORDER, diagnoses, of_text
from hilum.study import Diagnosis, FindingEstimate, Side, State
from hilum.text import mesh

PRESENT = FindingEstimate(0.8, State.PRESENT)
OPEN = FindingEstimate(0.4, None)
ABSENT = FindingEstimate(0.1, State.ABSENT)
EFFUSION = "Pleural Effusion"
SIDED = frozenset({EFFUSION, "Lung Opacity"})


def one(text: str, estimate: FindingEstimate, *decided: str, name: str = EFFUSION) -> Diagnosis | None:
    found = {each.finding: each for each in diagnoses(text, {name: estimate}, decided, SIDED)}
    return found.get(name)


def test_the_head_gives_finding_side_and_probability_and_the_text_the_degree() -> None:
    found = one("There is a small left pleural effusion.", PRESENT, f"{EFFUSION}/left")
    assert found == Diagnosis(
        "Pleural Effusion/left/small", EFFUSION, Side.LEFT, None, "small", 0.8, "films and text"
    )


def test_a_text_that_names_another_side_or_denies_adds_nothing() -> None:
    for text in ("There is a small right pleural effusion.", "No pleural effusion.", "The heart is normal."):
        found = one(text, PRESENT, f"{EFFUSION}/left")
        assert found is not None
        assert (found.mesh, found.severity, found.source) == ("Pleural Effusion/left", None, "films")


def test_a_side_that_the_head_reads_and_has_not_decided_is_left_open() -> None:
    found = one("There is a small right pleural effusion.", PRESENT)
    assert found is not None
    assert (found.side, found.mesh) == (None, "Pleural Effusion/small")


def test_the_text_alone_counts_where_the_head_does_not_say_no() -> None:
    text = "Moderate right pleural effusion."
    assert one(text, ABSENT) is None
    found = one(text, OPEN)
    assert found is not None
    assert (found.mesh, found.source, found.probability) == ("Pleural Effusion/moderate", "text", 0.4)
    assert one("Possible pleural effusion.", OPEN) is None
    (unread,) = of_text(text)
    assert (unread.mesh, unread.probability) == ("Pleural Effusion/right/moderate", None)


def test_sites_are_coded_as_the_annotators_do() -> None:
    found = one("Patchy opacity in the left lung base.", PRESENT, "Lung Opacity/left", name="Lung Opacity")
    assert found is not None
    assert (found.mesh, found.site) == ("Opacity/lung/base/left", "base")
    for decided in ((), ("Lung Opacity/left",)):  # the middle lobe is the right lung's
        found = one("Patchy opacity in the middle lobe.", PRESENT, *decided, name="Lung Opacity")
        assert found is not None
        assert found.site is None
    found = one("Patchy opacity in the middle lobe.", PRESENT, "Lung Opacity/right", name="Lung Opacity")
    assert found is not None
    assert found.mesh == "Opacity/lung/middle lobe/right"


def test_what_has_no_one_descriptor_is_still_diagnosed() -> None:
    found = one("There is a pacemaker.", PRESENT, name="Support Devices")
    assert found is not None
    assert (found.mesh, found.source) == (None, "films and text")


def test_normal_stands_alone() -> None:
    nothing = {"No Finding": PRESENT, EFFUSION: ABSENT}
    assert [each.mesh for each in diagnoses("The lungs are clear.", nothing, (), SIDED)] == ["normal"]
    assert [each.mesh for each in of_text("The lungs are clear. No pleural effusion.")] == ["normal"]
    with_one = diagnoses("The lungs are clear.", {**nothing, EFFUSION: PRESENT}, (), SIDED)
    assert [each.mesh for each in with_one] == ["Pleural Effusion"]
    assert diagnoses("", {}, (), ()) == ()


_words = st.sampled_from(
    [
        "small",
        "left",
        "right",
        "effusion",
        "pleural",
        "no",
        "opacity",
        "lobe",
        "upper",
        "base",
        ".",
        "cardiomegaly",
    ]
)


@given(
    st.lists(_words, max_size=14).map(" ".join),
    st.dictionaries(st.sampled_from(ORDER), st.sampled_from([PRESENT, OPEN, ABSENT])),
    st.lists(
        st.sampled_from([f"{name}/{side}" for name in SIDED for side in ("left", "right")]), unique=True
    ),
)
def test_whatever_is_written_the_head_is_not_contradicted(
    text: str, estimates: dict[str, FindingEstimate], decided: list[str]
) -> None:
    found = diagnoses(text, estimates, decided, SIDED)
    names = [each.finding for each in found]
    assert len(set(names)) == len(names)
    assert not [name for name in names if estimates.get(name) == ABSENT]
    called = {name for name, estimate in estimates.items() if estimate == PRESENT} - {"No Finding"}
    assert called <= set(names)
    for each in found:
        assert each.mesh is None or mesh.parse(each.mesh).side is each.side
        if each.finding in SIDED and each.side is not None:
            assert any(one.startswith(f"{each.finding}/") for one in decided)
