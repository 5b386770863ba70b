"""Which further kinds a descriptor asks for: what is coded in Open-i beyond the observations of ``hilum.text.mesh``.

The kinds named here are the phantom's own; none of them is an observation of the labeller, but for those in
``hilum.text.findings`` that a heading implies ("Heart Failure" draws a large heart and edema).
"""

from __future__ import annotations

from typing import NamedTuple

from hilum.text.mesh import MeshTerm


class _Rule(NamedTuple):
    kinds: tuple[str, ...]
    headings: frozenset[str]
    having: frozenset[str] = frozenset()
    """At least one of these is a qualifier; empty: whatever they are."""
    without: frozenset[str] = frozenset()


def _rule(kinds: str, headings: str, having: str = "", without: str = "") -> _Rule:
    parts = (frozenset(filter(None, text.split("|"))) for text in (headings, having, without))
    return _Rule(tuple(kinds.split("|")), *parts)


_VERTEBRAE = "thoracic vertebrae|lumbar vertebrae|cervical vertebrae|spine"
_NODES = "lymph nodes|paratracheal"
_RULES = (
    _rule("Edema", "pulmonary congestion"),
    _rule("Cardiomegaly|Edema", "heart failure"),
    _rule(
        "Support Devices",
        "surgical instruments|sutures|stents|medical device|spinal fusion|implanted medical device",
    ),
    _rule("Kyphosis", "kyphosis"),
    _rule("Blunted Costophrenic Angle", "costophrenic angle|sulcus|pleura", "blunted|obscured"),
    _rule("Calcified Lymph Nodes", "calcinosis", "lymph nodes|hilum|mediastinum|paratracheal"),
    _rule("Lung Calcification", "calcinosis", "lung|lingula|apex"),
    _rule("Vascular Calcification", "calcinosis|atherosclerosis", without="pleura|ribs|abdomen"),
    _rule("Lymphadenopathy", "sarcoidosis"),
    _rule("Lymphadenopathy", "lung|mediastinum|lymph nodes|trachea, carina|thickening|mass|density", _NODES),
    _rule("Prominent Hilum", "lung|markings|opacity", "hilum"),
    _rule("Bronchovascular Markings", "markings|thickening", "bronchovascular|prominent|lung"),
    _rule("Bronchovascular Markings", "blood vessels", "prominent"),
    _rule("Bronchiectasis", "bronchiectasis|cystic fibrosis|bronchitis|bronchiolitis"),
    _rule("Bronchiectasis", "thickening", "bronchi"),
    _rule("Flattened Diaphragm", "diaphragm", "flattened"),
    _rule("Obscured Border", "diaphragm|heart|lung|cardiac shadow|aorta", "obscured"),
    _rule("Azygos Lobe", "lung", "azygos lobe"),
    _rule("Vertebral Deformity", "deformity|dislocations", _VERTEBRAE),
    _rule("Bone Deformity", "deformity|ribs", without="heart|lung|mediastinum|diaphragm"),
    _rule("Osteopenia", "bone diseases, metabolic|osteoporosis"),
    _rule("Bone Sclerosis", "sclerosis|expansile bone lesions"),
    _rule("Bone Sclerosis", "density|granuloma|opacity", "ribs|clavicle|humerus|scapula|" + _VERTEBRAE),
    _rule("Shoulder Arthropathy", "arthritis|shoulder|humerus|osteophyte|bone and bones"),
    _rule("Shoulder Arthropathy", "dislocations", "shoulder"),
    _rule("Obstructive Lung Disease", "pulmonary disease, chronic obstructive"),
    _rule("Hyperlucent Lung", "lung, hyperlucent"),
    _rule("Bulla", "blister"),
    _rule("Bulla", "cysts|lucency", "lung|apex|upper lobe"),
    _rule("Cavitation", "cavitation|tuberculosis"),
    _rule("Foreign Body", "foreign bodies"),
    _rule("Nipple Shadow", "nipple shadow"),
    _rule("Pericardial Effusion", "pericardial effusion"),
    _rule("Chamber Enlargement", "heart atria|heart ventricles"),
    _rule("Chamber Enlargement", "cardiac shadow|heart", "prominent|enlarged"),
    _rule("Pulmonary Artery Enlargement", "pulmonary artery|hypertension, pulmonary"),
    _rule("Aortic Aneurysm", "aortic aneurysm"),
    _rule("Aortic Aneurysm", "aorta|aorta, thoracic", "enlarged|prominent"),
    _rule("Epicardial Fat", "epicardial fat"),
    _rule("Epicardial Fat", "density|opacity", "cardiophrenic angle"),
    _rule("Volume Loss", "volume loss|pneumonectomy|hypovolemia"),
    _rule("Mediastinal Shift", "shift"),
    _rule("Subcutaneous Emphysema", "subcutaneous emphysema|mediastinal emphysema"),
    _rule("Mastectomy", "mastectomy"),
    _rule("Breast Implant", "breast implants"),
    _rule("Pectus Deformity", "funnel chest|pectus carinatum"),
    _rule("Pneumoperitoneum", "pneumoperitoneum|colonic interposition"),
    _rule("Contrast Medium", "contrast media"),
)


def further_kinds(term: MeshTerm) -> tuple[str, ...]:
    """The kinds that the first rule for ``term`` names; none where no rule fits."""
    heading, words = term.heading.lower(), {word.lower() for word in term.qualifiers}
    for rule in _RULES:
        if heading in rule.headings and (not rule.having or rule.having & words) and not rule.without & words:
            return rule.kinds
    return ()
