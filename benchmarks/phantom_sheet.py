"""Contact sheets of the phantom, for people to look at.

python benchmarks/phantom_sheet.py --out sheet.png                 three degrees beside the normal
python benchmarks/phantom_sheet.py --out sheet.png --data DIR -n 40   studies of a data set with MeSH codes
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum import atomic
from hilum.imaging.phantom import render

_TABLE = """
Cardiomegaly | Cardiomegaly/borderline | Cardiomegaly/moderate | Cardiomegaly/severe
Pleural Effusion | Pleural Effusion/left/small | Pleural Effusion/right/moderate | Pleural Effusion/left/large
Lung Opacity | Opacity/lung/base/left/mild | Airspace Disease/lung/middle lobe/right | Opacity/lung/upper lobe/left/severe
Lung Opacity | Opacity/lung/base/bilateral/streaky | Markings/lung/interstitial | Opacity/lung/lower lobe/left/patchy
Consolidation | Consolidation/lung/lower lobe/left | Pneumonia/upper lobe/right | Consolidation/lung/base/bilateral
Atelectasis | Pulmonary Atelectasis/base/left/mild | Pulmonary Atelectasis/base/bilateral | Pulmonary Atelectasis/lower lobe/right
Lung Lesion | Nodule/lung/upper lobe/right/small | Nodule/lung/lingula | Mass/lung/upper lobe/right/large
Granuloma | Calcified Granuloma/lung/upper lobe/left | Calcified Granuloma/lung/base/right | Calcified Granuloma/scattered/multiple
Pneumothorax | Pneumothorax/apex/right/small | Pneumothorax/left/moderate | Pneumothorax/right/large
Hyperinflation | Lung/hyperdistention/mild | Lung/hyperdistention | Lung/hyperdistention/severe
Hypoinflation | Lung/hypoinflation/mild | Lung/hypoinflation | Lung/hypoinflation/severe
Elevated Diaphragm | Diaphragm/right/elevated/mild | Diaphragm/left/elevated | Diaphragmatic Eventration/right
Scoliosis | Scoliosis/thoracic vertebrae/right/mild | Scoliosis/thoracic vertebrae/left | Scoliosis/severe
Tortuous Aorta | Aorta/tortuous/mild | Aorta, Thoracic/tortuous | Aorta, Thoracic/tortuous/severe
Aortic Calcification | Atherosclerosis/aorta/mild | Calcinosis/aorta | Atherosclerosis/aorta/severe
Enlarged Cardiomediastinum | Mediastinum/prominent/mild | Mediastinum/prominent | Mediastinum/enlarged/severe
Edema | Pulmonary Congestion/mild | Pulmonary Edema/interstitial | Pulmonary Edema/severe
Emphysema | Emphysema/mild | Emphysema | Pulmonary Emphysema/severe
Scarring | Cicatrix/lung/base/left | Cicatrix/lung/apex/bilateral | Cicatrix/lung/upper lobe/right
Pleural Other | Thickening/pleura/right | Thickening/pleura/apex/bilateral | Thickening/pleura/left
Hiatal Hernia | Hernia, Hiatal/small | Hernia, Hiatal/moderate | Hernia, Hiatal/large
Degenerative Spine | Thoracic Vertebrae/degenerative/mild | Spine/degenerative | Thoracic Vertebrae/degenerative/severe
Fracture | Fractures, Bone/ribs/left/healed | Fractures, Bone/ribs/right/multiple | Fractures, Bone/thoracic vertebrae
Support Devices | Implanted Medical Device/left | Catheters, Indwelling/right | Catheters, Indwelling/left
Support Devices | Surgical Instruments/mediastinum | Surgical Instruments/abdomen/right | Tube, Inserted/trachea, carina
Support Devices | Implanted Medical Device/aortic valve | Spinal Fusion/thoracic vertebrae | Medical Device
Support Devices | Tube, Inserted/abdomen | Tube, Inserted/thorax/right | Implanted Medical Device/shoulder/left
Blunted Costophrenic Angle | Costophrenic Angle/left/blunted/mild | Costophrenic Angle/right/blunted | Costophrenic Angle/bilateral/blunted
Calcified Lymph Nodes | Calcinosis/lung/hilum/lymph nodes/right | Calcinosis/mediastinum/lymph nodes | Calcinosis/lung/hilum/lymph nodes/bilateral
Lung Calcification | Calcinosis/lung/lingula | Calcinosis/lung/right | Calcinosis/lung/scattered/multiple
Vascular Calcification | Calcinosis/blood vessels | Atherosclerosis | Calcinosis/coronary vessels
Lymphadenopathy | Lung/hilum/lymph nodes/right/enlarged/mild | Lung/hilum/lymph nodes/bilateral/enlarged | Sarcoidosis
Prominent Hilum | Lung/hilum/left/prominent/mild | Lung/hilum/bilateral/prominent | Lung/hilum/right/enlarged/severe
Pulmonary Artery Enlargement | Pulmonary Artery/enlarged/mild | Pulmonary Artery/enlarged | Hypertension, Pulmonary/severe
Bronchovascular Markings | Markings/bronchovascular/mild | Markings/bronchovascular | Markings/bronchovascular/severe
Bronchiectasis | Bronchiectasis/middle lobe/right | Bronchiectasis/upper lobe/bilateral | Bronchiectasis/bilateral/severe
Flattened Diaphragm | Diaphragm/bilateral/flattened/mild | Diaphragm/flattened | Diaphragm/flattened/severe
Obscured Border | Diaphragm/left/obscured | Heart/right/obscured | Lung/apex/bilateral/obscured
Azygos Lobe | Lung/azygos lobe | Lung/azygos lobe/right | Lung/azygos lobe/small
Obstructive Lung Disease | Pulmonary Disease, Chronic Obstructive/mild | Pulmonary Disease, Chronic Obstructive | Pulmonary Disease, Chronic Obstructive/severe
Hyperlucent Lung | Lung, Hyperlucent/left/mild | Lung, Hyperlucent | Lung, Hyperlucent/upper lobe/right/severe
Bulla | Blister/lung/upper lobe/right/small | Cysts/lung/upper lobe/left | Blister/lung/upper lobe/bilateral/severe
Cavitation | Cavitation/lung/apex/right/small | Cavitation/lung/upper lobe/left | Cavitation/lung/upper lobe/right/severe
Pericardial Effusion | Pericardial Effusion/mild | Pericardial Effusion | Pericardial Effusion/severe
Chamber Enlargement | Heart Atria/left/enlarged | Heart Atria/right/enlarged | Heart Ventricles/left/enlarged
Epicardial Fat | Epicardial Fat/left/prominent/mild | Epicardial Fat/right/prominent | Epicardial Fat/left/prominent/severe
Volume Loss | Volume Loss/lung/left/mild | Volume Loss/lung/right | Pneumonectomy/lung/upper lobe/left/severe
Mediastinal Shift | Shift/mediastinum/left/mild | Shift/mediastinum/right | Shift/mediastinum/right/severe
Aortic Aneurysm | Aorta/prominent | Aortic Aneurysm/mild | Aortic Aneurysm/severe
Kyphosis | Kyphosis/mild | Kyphosis/thoracic vertebrae | Kyphosis/severe
Vertebral Deformity | Deformity/thoracic vertebrae/mild | Deformity/thoracic vertebrae | Deformity/thoracic vertebrae/multiple/severe
Bone Deformity | Deformity/ribs/left | Deformity/clavicle/right | Deformity/ribs/right/multiple
Bone Sclerosis | Sclerosis/thoracic vertebrae/mild | Sclerosis/humerus/right | Density/ribs/left/severe
Osteopenia | Bone Diseases, Metabolic/mild | Osteoporosis | Bone Diseases, Metabolic/severe
Shoulder Arthropathy | Arthritis/mild | Shoulder/bilateral/degenerative | Shoulder/right/degenerative/severe
Foreign Body | Foreign Bodies/thorax/left | Foreign Bodies/abdomen | Foreign Bodies/multiple
Nipple Shadow | Nipple Shadow/left | Nipple Shadow/bilateral | Nipple Shadow
Mastectomy | Mastectomy/left | Mastectomy/right | Mastectomy/bilateral
Breast Implant | Breast Implants/left | Breast Implants/right | Breast Implants/bilateral
Subcutaneous Emphysema | Subcutaneous Emphysema/thorax/left | Subcutaneous Emphysema/neck/bilateral | Subcutaneous Emphysema/thorax/right/severe
Pectus Deformity | Funnel Chest/mild | Funnel Chest/severe | Pectus Carinatum
Pneumoperitoneum | Pneumoperitoneum/small | Pneumoperitoneum | Pneumoperitoneum/large
Contrast Medium | Contrast Media/abdomen | Contrast Media/abdomen/left | Contrast Media/esophagus
"""  # noqa: E501
EXAMPLES = tuple(
    (kind, tuple(descriptors))
    for kind, *descriptors in (row.split(" | ") for row in _TABLE.strip().splitlines())
)
"""A kind, and a descriptor for each of three degrees, or of three sites where it has no degrees."""

FRONT = (
    "normal", "Cardiomegaly/moderate", "Pleural Effusion/right/moderate", "Consolidation/lung/lower lobe/left",
    "Mass/lung/upper lobe/right", "Pneumothorax/left/moderate", "Implanted Medical Device/left", "Aorta/tortuous",
    "Pulmonary Atelectasis/base/bilateral", "Surgical Instruments/mediastinum", "Lung/hyperdistention",
    "Diaphragm/right/elevated",
)  # fmt: skip
"""What the picture in the documentation shows."""

BAR = 16
"""Height of a caption, in pixels."""


def tile(study_id: str, descriptors: Sequence[str], size: int, boxes: bool) -> NDArray[np.uint8]:
    """Both films side by side over a caption, (size + BAR, 2 size, 3)."""
    study = render(study_id, descriptors, max(size, 256))
    films = {"frontal": study.frontal_HW, "lateral": study.lateral_HW}
    shown = {view: cv2.cvtColor(film, cv2.COLOR_GRAY2BGR) for view, film in films.items()}
    if boxes:
        for finding in study.truth:
            for region in finding.regions:
                x0, y0, x1, y1 = (round(value) for value in region.box)
                cv2.rectangle(shown[region.view], (x0, y0), (x1 - 1, y1 - 1), (80, 220, 255), 1)
    pair = np.hstack(
        [cv2.resize(film, (size, size), interpolation=cv2.INTER_AREA) for film in shown.values()]
    )
    caption = np.full((BAR, pair.shape[1], 3), 24, np.uint8)
    text = f"{study_id}: {'; '.join(descriptors)}"[: int(pair.shape[1] / 5.6)]
    cv2.putText(caption, text, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (230, 230, 230), 1, cv2.LINE_AA)
    return np.vstack([pair, caption])


def contact_sheet(
    studies: Sequence[tuple[str, Sequence[str]]], columns: int, size: int = 256, boxes: bool = False
) -> NDArray[np.uint8]:
    """The studies (id, descriptors) as a sheet of ``columns`` film pairs a row, BGR."""
    tiles = [tile(study_id, descriptors, size, boxes) for study_id, descriptors in studies]
    while len(tiles) % columns:
        tiles.append(np.zeros_like(tiles[0]))
    return np.vstack([np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)])


def main() -> None:
    """Writes the sheet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="PNG or JPEG")
    parser.add_argument("--data", type=Path, help="a data set whose studies have MeSH codes")
    parser.add_argument("-n", type=int, default=40, help="how many studies of --data")
    parser.add_argument("--kind", help="only the rows of this kind")
    parser.add_argument("--front", action="store_true", help="the small sheet of the documentation, in grey")
    parser.add_argument("--columns", type=int, default=0)
    parser.add_argument("--size", type=int, default=256, help="pixels of a film on the sheet")
    parser.add_argument("--boxes", action="store_true", help="draw the truth's boxes")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if arguments.front:
        studies: list[tuple[str, Sequence[str]]] = [(f"F{index}", [d]) for index, d in enumerate(FRONT)]
        columns, arguments.size = 3, 160
    elif arguments.data:
        from hilum.data import manifest

        pool = [
            study
            for study in manifest.read(arguments.data).studies
            if study.mesh and "No Indexing" not in study.mesh
        ]
        pool.sort(key=lambda study: hashlib.sha256(study.id.encode()).digest())
        studies = [(study.id, study.mesh) for study in pool[: arguments.n]]
        columns = arguments.columns or 4
    else:
        rows = [row for row in EXAMPLES if arguments.kind in (None, row[0])]
        studies = [(f"P{index}", [d]) for index, (_, row) in enumerate(rows) for d in ("normal", *row)]
        columns = arguments.columns or 4
    sheet = contact_sheet(studies, columns, arguments.size, arguments.boxes)
    shown = cv2.cvtColor(sheet, cv2.COLOR_BGR2GRAY) if arguments.front else sheet
    with atomic.replacing(arguments.out) as temporary:
        quality = (
            [cv2.IMWRITE_JPEG_QUALITY, 85]
            if arguments.out.suffix in (".jpg", ".jpeg")
            else [cv2.IMWRITE_PNG_COMPRESSION, 9]
        )
        cv2.imwrite(str(temporary), shown, quality)


if __name__ == "__main__":
    main()
