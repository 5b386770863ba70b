"""Who says what of whom: the clauses of a sentence, and the state of every mention in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hilum.study import State
from hilum.text.labeller.phrases import Match
from hilum.text.labeller.tables import Meaning, Role, verbs

_SEPARATORS = frozenset({",", "and", ":"})
_ORGANS = (Role.ORGAN, Role.SPOKEN)
_NAMES = (Role.MENTION, Role.SIGN, *_ORGANS)
_NO_CUES = (*_NAMES, Role.NOT, Role.MISREAD)
_SAYINGS = (Role.NORMAL, Role.STABLE, Role.ENLARGED, Role.BORDERLINE)
_JOINED_WITHIN = 4
"""How many words may stand between "or" and what it joins."""


class Mention(NamedTuple):
    """One mention of an observation: ``words[first:last]`` and what is said of it."""

    observation: str
    first: int
    last: int
    state: State
    clause: tuple[int, int]
    evidence: tuple[int, int]
    """From the mention to the cue that decides its state: the words that say so."""


def mentions(
    words: Sequence[str], found: Sequence[Match[Meaning]], *, unstated: State | None = None
) -> list[Mention]:
    """The mentions of one sentence with their states, in order.

    ``found`` is what the tables' phrases matched in ``words``. ``unstated`` is the state of an organ that is
    named without a word on its size or shape; ``None`` means that it does not count as a mention.
    """
    named = _named(found)
    misread = [match for match in found if match.meaning.role is Role.MISREAD]
    if not named and not misread:
        return []
    cues = _cues(found)
    clauses = _clauses(words, named, cues)
    result: list[Mention] = []
    for clause in clauses:
        inside = [cue for cue in cues if clause[0] <= cue.first < clause[1]]
        here = [match for match in named if clause[0] <= match.first < clause[1]]
        joined = _alternatives(here, inside)
        for match in here:
            state, deciding = _state(match, inside, joined)
            if state is None and match.meaning.role is not Role.SPOKEN:
                state = unstated
            if state is not None:
                first, last = match.first, match.last
                evidence = _hull(match, [cue for cue in inside if cue.meaning.role is deciding])
                result.append(Mention(match.meaning.observation, first, last, state, clause, evidence))
    for match in misread:
        name, state = match.meaning.observation, match.meaning.state
        result = [
            m for m in result if m.observation != name or m.last <= match.first or match.last <= m.first
        ]
        if state is not None:
            place = (match.first, match.last)
            result.append(Mention(name, *place, state, place, place))
    return result


def _named(found: Sequence[Match[Meaning]]) -> list[Match[Meaning]]:
    """Mentions and organs: the longest of each observation at a place, less what ``not`` takes back."""
    taken = [m for m in found if m.meaning.role is Role.NOT]
    end: dict[str, int] = {}
    result: list[Match[Meaning]] = []
    for match in sorted(found, key=lambda m: (m.first, -m.last)):
        if match.meaning.role not in _NAMES:
            continue
        name = match.meaning.observation
        if match.first < end.get(name, 0):
            continue
        if any(
            t.meaning.observation == name and t.first < match.last and match.first < t.last for t in taken
        ):
            continue
        end[name] = match.last
        result.append(match)
    return result


def _cues(found: Sequence[Match[Meaning]]) -> list[Match[Meaning]]:
    """Cues, none inside a longer one."""
    result: list[Match[Meaning]] = []
    longest = sorted(
        (m for m in found if m.meaning.role not in _NO_CUES),
        key=lambda m: (m.first, -m.last),
    )
    start = end = -1
    for cue in longest:
        if cue.last <= end and (cue.first, cue.last) != (start, end):
            continue
        if cue.meaning.role is not Role.TURN:
            start, end = cue.first, cue.last
        result.append(cue)
    return result


def _clauses(
    words: Sequence[str], named: Sequence[Match[Meaning]], cues: Sequence[Match[Meaning]]
) -> list[tuple[int, int]]:
    """Cuts a sentence where a new statement begins.

    Always at a cue of the table ``break``. At a comma or "and" where a statement stands on both sides: a
    finite verb, or an organ with a word on its size or shape. "No effusion, nodule or mass is seen" is one
    statement: "is seen" belongs to "no".
    """
    last_or = max((cue.first for cue in cues if cue.meaning.role is Role.ALTERNATIVE), default=-1)
    last_name = max(match.first for match in named) if named else -1
    starts = {
        cue.first
        for cue in cues
        if cue.meaning.role is Role.BREAK
        or (cue.meaning.role is Role.TURN and last_or < cue.first < last_name)
    }
    held = {i for match in (*named, *cues) for i in range(match.first + 1, match.last)}
    commas = {i for i, word in enumerate(words) if word in _SEPARATORS and i not in held}
    edges = sorted({0, *starts, *commas})
    finite, existential = verbs()
    cuts = [0]
    spoken = denied = described = False  # of the clause so far: has it a verb, a denial, an organ described
    for first, last in zip(edges, [*edges[1:], len(words)], strict=True):
        here = [cue.meaning for cue in cues if first <= cue.first < last]
        verb = next((i for i in range(first, last) if words[i] in finite), None)
        subject = verb is not None and verb > first + 1 and words[first + 1] != "or"
        exists = verb is not None and any(word in existential for word in words[verb:last])
        organ = any(m.meaning.role in _ORGANS for m in named if first <= m.first < last)
        describes = organ and any(m.role in _SAYINGS for m in here)
        denies = any(m.role is Role.NEGATION and m.before for m in here)
        states = subject and (spoken or described or (denied and not exists))
        contrasts = (describes and (described or spoken or denied)) or (denies and described)
        if first > 0 and (first in starts or states or contrasts):
            cuts.append(first)
            spoken = denied = described = False
        spoken, denied, described = spoken or verb is not None, denied or denies, described or describes
    return [*zip(cuts, [*cuts[1:], len(words)], strict=True)]


def _alternatives(named: Sequence[Match[Meaning]], cues: Sequence[Match[Meaning]]) -> set[int]:
    """Where the mentions begin that an "or" or a "versus" joins."""
    joined: set[int] = set()
    for cue in cues:
        if cue.meaning.role is not Role.ALTERNATIVE:
            continue
        after = next((m for m in named if m.first >= cue.last), None)
        if after is not None and after.first - cue.last <= _JOINED_WITHIN:
            joined.add(after.first)
        before = max((m for m in named if m.last <= cue.first), key=lambda m: m.last, default=None)
        if before is not None and cue.first - before.last <= _JOINED_WITHIN:
            joined.add(before.first)
    return joined


def _governs(cue: Match[Meaning], match: Match[Meaning]) -> bool:
    if cue.first < match.last and match.first < cue.last:
        return False
    return cue.meaning.before if cue.first < match.first else cue.meaning.after


def _state(
    match: Match[Meaning], cues: Sequence[Match[Meaning]], joined: set[int]
) -> tuple[State | None, Role | None]:
    """The state of a mention, ``None`` for an organ of which nothing is said, and the role that decides it."""
    near = _about(match, cues)
    governing = {cue.meaning.role for cue in cues if _governs(cue, match)}
    denied = any(_governs(cue, match) and cue.meaning.role is Role.NEGATION for cue in near)
    if Role.FIRST in governing:
        return State.UNCERTAIN, Role.FIRST
    if match.meaning.role in _ORGANS:
        return _organ_state({cue.meaning.role for cue in near}, denied, Role.UNCERTAINTY in governing)
    if denied:
        return State.ABSENT, Role.NEGATION
    if Role.UNCERTAINTY in governing:
        return State.UNCERTAIN, Role.UNCERTAINTY
    if match.first in joined:
        return State.UNCERTAIN, Role.ALTERNATIVE
    return State.UNCERTAIN if match.meaning.role is Role.SIGN else State.PRESENT, None


def _about(match: Match[Meaning], cues: Sequence[Match[Meaning]]) -> list[Match[Meaning]]:
    """Cues on the same side of every "with" as the mention: "stable heart with a tortuous aorta"."""
    withs = [cue.first for cue in cues if cue.meaning.role is Role.WITH]
    low = max((at for at in withs if at < match.first), default=-1)
    high = min((at for at in withs if at > match.first), default=1 << 30)
    return [cue for cue in cues if low < cue.first < high]


def _organ_state(near: set[Role], denied: bool, doubted: bool) -> tuple[State | None, Role | None]:
    if Role.NORMAL in near:
        return State.ABSENT, Role.NORMAL
    if denied:
        return State.ABSENT, Role.NEGATION
    if Role.BORDERLINE in near:
        return State.UNCERTAIN, Role.BORDERLINE
    if Role.ENLARGED in near:
        return State.UNCERTAIN if doubted else State.PRESENT, Role.ENLARGED
    if Role.STABLE in near:
        return State.UNCERTAIN, Role.STABLE
    return None, None


def _hull(match: Match[Meaning], cues: Sequence[Match[Meaning]]) -> tuple[int, int]:
    """From the mention to the nearest of ``cues``."""
    nearest = min(cues, key=lambda cue: max(match.first - cue.last, cue.first - match.last), default=match)
    return min(match.first, nearest.first), max(match.last, nearest.last)
