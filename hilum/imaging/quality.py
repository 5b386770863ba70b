"""Is this picture a chest film, and as it should be? Its view, and whether it is turned, inverted, mirrored, cropped.

Nothing is ever changed here: a film that looks wrong is said to look wrong, and a person decides. The answers come
from a small network that has seen simulated films alone (``hilum.imaging.quality_network``); the thresholds below
were chosen on real films of Open-i's training part, so that what is said is rarely false. ``docs/quality.md`` says
how often it is right on other real films, and what it misses.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from hilum.imaging.film import Film
from hilum.imaging.quality_network import ANSWERS, Thumbnail, answers, channels, thumbnail
from hilum.study import Projection

FILM_BELOW, CERTAIN_BELOW = 0.5, -4.0
"""Scores (logits) below which a picture does not look like a chest film, and certainly is none: of the films that the
thresholds were chosen on, 0.7 % lie below the first and none below -2.3."""
VIEW_SURE = 0.5
"""How far the score must lie from 0 for a view to be named: 0.8 % of those films are nearer."""
TURN_SURE, INVERTED_ABOVE, MIRRORED_ABOVE, CROPPED_ABOVE = 2.0, 1.0, 1.2, 2.7
"""Scores above which a warning is given: on those films as they are 0.5 %, 0.1 %, 0.5 % and 2 % of the time, some of
them rightly."""

FLAT_RANGE, BLANK_RANGE = 64, 8
"""Greys (of 256) between the 1st and 99th percentile of the thumbnail below which a film has hardly any contrast, and
none: on real films it is never below 100."""
DARK_BELOW, BRIGHT_ABOVE = 100, 160
"""Greys: the 99th percentile of a film that is too dark lies below the one, the 1st of one that is too bright above
the other. On real films the 99th is never below 148, the 1st never above 149."""
MOST_WHITE, MOST_BLACK = 0.25, 0.65
"""Shares of the thumbnail that are plain white or plain black: on real films never above 0.08 and 0.45; laterals of
slim patients leave much of the film black."""


class Suspicion(StrEnum):
    """What may be wrong with a picture that is to be read as a chest film."""

    BLANK = "blank"
    FLAT = "hardly any contrast"
    DARK = "too dark"
    BRIGHT = "too bright"
    SATURATED = "saturated"
    NO_FILM = "no chest film"
    TURNED = "turned"
    INVERTED = "inverted"
    MIRRORED = "mirrored"
    CROPPED = "cropped"
    OTHER_VIEW = "another view"


@dataclass(frozen=True, slots=True)
class Scores:
    """What the network says, as logits averaged over the turns and mirror images of a film.

    ``film``, ``lateral``, ``inverted`` and ``cropped`` answer one question each; ``turns`` holds a logit for each of
    0, 90, 180 and 270 degrees counter-clockwise; ``mirrored`` is 0 where the film and its mirror image look alike.
    """

    film: float
    lateral: float
    turns: tuple[float, float, float, float]
    inverted: float
    mirrored: float
    cropped: float


@dataclass(frozen=True, slots=True)
class Quality:
    """What is to be said of one picture. Confidences are in [0, 1] and not calibrated: 0.5 is undecided.

    ``projection`` is ``UNKNOWN`` where the view is not sure; ``turned`` is by how many degrees the film was turned
    counter-clockwise from upright (0, 90, 180 or 270); ``mirrored`` is None where it cannot be told (lateral films).
    """

    film: float
    projection: Projection
    lateral: float
    turned: int
    upright: float
    inverted: float
    mirrored: float | None
    cropped: float
    suspicions: tuple[Suspicion, ...]
    warnings: tuple[str, ...]
    """A line for each of ``suspicions``."""
    refusal: str = ""
    """Why it should not be read at all: it is blank, or certainly no chest film. Empty otherwise."""


def assess(film: Film, stated: Projection | None = None) -> Quality:
    """What is to be said of ``film``; ``stated`` is the view that it is taken for (None: what the file says).

    Its aspect does not matter: a film stretched to a square is judged like the film itself.
    """
    return assess_thumbnail(thumbnail(film.pixels_HW), film.projection if stated is None else stated)


def assess_thumbnail(thumb_hw: Thumbnail, stated: Projection = Projection.UNKNOWN) -> Quality:
    """As ``assess``, of the film with this thumbnail."""
    return judge(scores(thumb_hw), exposure(thumb_hw), stated)


def exposure(thumb_hw: Thumbnail) -> Suspicion | None:
    """What the greys of a thumbnail say of the exposure, the window or the export; None where they are in order."""
    low, high = np.percentile(thumb_hw, (1, 99))
    if high - low < BLANK_RANGE:
        return Suspicion.BLANK
    if high < DARK_BELOW:
        return Suspicion.DARK
    if low > BRIGHT_ABOVE:
        return Suspicion.BRIGHT
    if high - low < FLAT_RANGE:
        return Suspicion.FLAT
    if np.mean(thumb_hw >= 254) > MOST_WHITE or np.mean(thumb_hw <= 1) > MOST_BLACK:
        return Suspicion.SATURATED
    return None


def scores(thumb_hw: Thumbnail) -> Scores:
    """The network's answers on a thumbnail: seen in all four turns, mirrored too, and put together again.

    Turning a film turns the scores of ``turns`` in step and leaves the other scores as they are; so does mirroring,
    which changes the sign of ``mirrored``.
    """
    seen_HWC = channels(thumb_hw)
    looks = [(turn, mirror) for turn in range(4) for mirror in (False, True)]
    batch_BHWC = np.stack(
        [np.rot90(seen_HWC[:, ::-1] if mirror else seen_HWC, turn) for turn, mirror in looks]
    )
    logits = dict(zip(looks, answers(batch_BHWC), strict=True))
    column = {name: place for place, name in enumerate(ANSWERS)}
    turns = np.zeros(4)
    for (turn, mirror), row in logits.items():
        for quarter in range(4):
            # the film's own turn, seen in a picture that was mirrored, then turned further
            there = (turn - quarter if mirror else turn + quarter) % 4
            turns[quarter] += row[column["turn 0"] + there] / len(looks)
    upright = -int(turns.argmax()) % 4

    def mean(name: str) -> float:
        return float(np.mean([row[column[name]] for row in logits.values()]))

    pair = [logits[upright, False], logits[-upright % 4, True]]
    return Scores(
        film=mean("film"),
        lateral=float(np.mean([row[column["lateral"]] for row in pair])),
        turns=(float(turns[0]), float(turns[1]), float(turns[2]), float(turns[3])),
        inverted=mean("inverted"),
        mirrored=float(pair[0][column["mirrored"]] - pair[1][column["mirrored"]]) / 2,
        cropped=float(np.mean([row[column["cropped"]] for row in pair])),
    )


def judge(seen: Scores, light: Suspicion | None, stated: Projection) -> Quality:
    """The words for what was measured."""
    lateral = seen.lateral > 0
    projection = Projection.UNKNOWN
    if abs(seen.lateral) > VIEW_SURE and seen.film > FILM_BELOW:
        projection = Projection.LATERAL if lateral else Projection.FRONTAL
    best = int(np.argmax(seen.turns))
    found: list[Suspicion] = [] if light is None else [light]
    if light is Suspicion.BLANK:
        pass  # nothing more can be said
    elif seen.film < FILM_BELOW:
        found = [Suspicion.NO_FILM]  # and whatever else is odd about it is of no interest
    else:
        signs = {
            Suspicion.TURNED: best != 0 and seen.turns[best] - seen.turns[0] > TURN_SURE,
            Suspicion.INVERTED: seen.inverted > INVERTED_ABOVE,
            Suspicion.MIRRORED: not lateral and seen.mirrored > MIRRORED_ABOVE,
            Suspicion.CROPPED: seen.cropped > CROPPED_ABOVE,
            Suspicion.OTHER_VIEW: Projection.UNKNOWN not in (projection, stated) and projection != stated,
        }
        found += [sign for sign, there in signs.items() if there]
    refusal = ""
    if light is Suspicion.BLANK:
        refusal = "the picture is blank"
    elif seen.film < CERTAIN_BELOW:
        refusal = "this is no chest radiograph"
    say = {
        **_SAYINGS, Suspicion.TURNED: f"it looks {_TURNS[best]}",
        Suspicion.OTHER_VIEW: f"it looks like a {projection} film, but is taken for a {stated} one",
    }  # fmt: skip
    return Quality(
        film=_share(seen.film),
        projection=projection,
        lateral=_share(seen.lateral),
        turned=90 * best,
        upright=float(np.exp(seen.turns[0] - np.logaddexp.reduce(seen.turns))),
        inverted=_share(seen.inverted),
        mirrored=None if lateral else _share(seen.mirrored),
        cropped=_share(seen.cropped),
        suspicions=tuple(found),
        warnings=tuple(say[suspicion] for suspicion in found),
        refusal=refusal,
    )


_TURNS = ("upright", "turned by 90° counter-clockwise", "upside down", "turned by 90° clockwise")
_SAYINGS = {
    Suspicion.BLANK: "it is blank",
    Suspicion.FLAT: "it shows hardly any contrast",
    Suspicion.DARK: "it is too dark to be read",
    Suspicion.BRIGHT: "it is too bright to be read",
    Suspicion.SATURATED: "much of it is plain black or plain white: details are lost",
    Suspicion.NO_FILM: "it does not look like a chest radiograph",
    Suspicion.INVERTED: "its greys look inverted (air white, bone black)",
    Suspicion.MIRRORED: "it looks mirrored, the heart on the other side (or is it situs inversus?)",
    Suspicion.CROPPED: "a part of the chest seems to lie outside of it",
}


def _share(logit: float) -> float:
    return float(1 / (1 + np.exp(-logit)))
