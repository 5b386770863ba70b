"""Made sources in the layouts of other people, small: the shape of the real ones, words of our own."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

from hilum.data import manifest
from tests.openi_made import film


def write_files(folder: Path, files: Mapping[str, bytes | str]) -> Path:
    """``files`` by path below ``folder``, which is returned."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return folder


def reasons(root: Path) -> dict[str, str]:
    """Why what was left out of the data set in ``root`` was left out, by its name."""
    return {item.what: item.reason for item in manifest.read_left_out(root)}


def zipped(path: Path, files: Mapping[str, bytes | str]) -> Path:
    """The same as a zip."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


KAGGLE: dict[str, bytes | str] = {
    "indiana_reports.csv": (
        "uid,MeSH,Problems,image,indication,comparison,findings,impression\n"
        "1,normal,normal,Xray Chest PA and Lateral,Cough,None.,Lungs are clear.,Nothing acute.\n"
        '2,Pleural Effusion/left;Cardiomegaly/mild,x,PA,,,"Large effusion, left.\nHeart large.",\n'
        "3,No Indexing,,PA,,,,\n"
        "x4,normal,,PA,,,Clear.,\n"
        "5,normal,,PA,,,Clear.\n"
        "6,normal,,PA,,,Clear.,Clear.\n"
    ),
    "indiana_projections.csv": (
        "uid,filename,projection\n1,1_IM-0001-4001.dcm.png,Frontal\n1,1_IM-0001-3001.dcm.png,Lateral\n"
        "2,2_IM-0652-1001.dcm.png,Frontal\n3,3_IM-1384-1001.dcm.png,Frontal\n7,7_IM-1-1.dcm.png,Frontal\n"
        "2,3_IM-1384-1001.dcm.png,Frontal\n1,1_IM-0001-3001.dcm.png,Lateral\n"
    ),
    "images/images_normalized/1_IM-0001-4001.dcm.png": film(1),
    "images/images_normalized/1_IM-0001-3001.dcm.png": film(2),
    "images/images_normalized/2_IM-0652-1001.dcm.png": film(3),
    "images/images_normalized/3_IM-1384-1001.dcm.png": film(4)[:-30],
    "images/images_normalized/9_IM-0001-1001.dcm.png": film(5),
}

ANNOTATION = {
    "train": [
        {"id": "CXR1_IM-0001", "report": "Lungs are clear.", "split": "train",
         "image_path": ["CXR1_IM-0001/0.png", "CXR1_IM-0001/1.png"]},
        {"id": "CXR2_1_IM-0002", "report": "Large heart.", "image_path": ["CXR2_1_IM-0002/0.png"], "split": "train"},
    ],
    "val": [
        {"id": "CXR3_IM-0003-1001", "report": "Effusion.", "image_path": ["CXR3_IM-0003-1001/0.png"], "split": "val"},
    ],
    "test": [
        {"id": "CXR4_IM-0004", "report": " Nodule. ", "split": "test",
         "image_path": ["../../CXR1_IM-0001/0.png", "CXR4_IM-0004/1.png"]},
        {"id": "CXR5_IM-0005", "report": 7, "image_path": []},
    ],
}  # fmt: skip
R2GEN: dict[str, bytes | str] = {
    "iu_xray/annotation.json": json.dumps(ANNOTATION),
    "iu_xray/images/CXR1_IM-0001/0.png": film(1),
    "iu_xray/images/CXR1_IM-0001/1.png": film(2),
    "iu_xray/images/CXR2_1_IM-0002/0.png": film(3),
    "iu_xray/images/CXR3_IM-0003-1001/0.png": film(4),
    "iu_xray/images/CXR4_IM-0004/1.png": film(5),
    "iu_xray/images/CXR4_IM-0004/2.png": film(6),
}

_REPORT = "                                 FINAL REPORT\n EXAMINATION:  CHEST (PA AND LAT)\n\n INDICATION:  {}\n\n" \
    " COMPARISON:  None.\n\n FINDINGS: \n\n {}\n\n IMPRESSION: \n\n {}\n"  # fmt: skip
MIMIC: dict[str, bytes | str] = {
    "mimic-cxr-2.0.0-metadata.csv.gz": gzip.compress(
        b"dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns\n"
        b"aaa-1,10000032,50414267,CHEST (PA AND LAT),PA,3056,2544\n"
        b"aaa-2,10000032,50414267,CHEST (PA AND LAT),LATERAL,3056,2544\n"
        b"bbb-1,10000032,53189527,CHEST,AP,,\n"
        b"ccc-1,10000764,57375967,CHEST,LPO,2000,2000\n"
        b"ddd-1,10000898,50771383,CHEST,PA,2000,2000\n"
        b"ccc-1,10000764,57375967,CHEST,PA,2000,2000\n"
        b"../x,10000764,57375967,CHEST,PA,2000,2000\n"
        b"eee-1,10000999,50771383,CHEST,PA,2000,2000\n"
    ),
    "mimic-cxr-2.0.0-split.csv.gz": gzip.compress(
        b"dicom_id,study_id,subject_id,split\naaa-1,50414267,10000032,train\naaa-2,50414267,10000032,train\n"
        b"bbb-1,53189527,10000032,train\nccc-1,57375967,10000764,validate\nddd-1,50771383,10000898,test\n"
        b"zzz-1,59999999,10009999,test\nddd-1,50771383,10000898,dev\n"
    ),
    "mimic-cxr-2.0.0-chexpert.csv.gz": gzip.compress(
        b"subject_id,study_id,Atelectasis,Cardiomegaly,Edema,No Finding,Pleural Effusion\n"
        b"10000032,50414267,,,,1.0,0.0\n10000032,53189527,-1.0,1.0,,,\n10000764,57375967,2,,,,\n"
        b"10000032,50414267,1.0,,,,\n"
    ),
    "mimic-cxr-2.0.0-negbio.csv": "subject_id,study_id,Cardiomegaly\n10000032,53189527,1.0\n10000898,50771383,0.0\n",
    "files/p10/p10000032/s50414267.txt": _REPORT.format("Cough.", "The lungs are clear.", "Nothing acute."),
    "files/p10/p10000032/s53189527.txt": " FINAL REPORT\n HISTORY:  Fall.\n\n FINDINGS:  Large heart.\n",
    "files/p10/p10000764/s57375967.txt": b"IMPRESSION: caf\xe9",
    "files/p10/p10000764/s11111111.txt": "IMPRESSION: of no film",
    "files/p10/p10000032/s50414267/aaa-1.jpg": film(1, kind="JPEG"),
    "files/p10/p10000032/s50414267/aaa-2.jpg": film(2, kind="JPEG"),
    "files/p10/p10000032/s53189527/bbb-1.jpg": film(3, kind="JPEG"),
    "files/p10/p10000764/s57375967/ccc-1.jpg": film(4, kind="JPEG"),
    "files/p10/p10000898/s50771383/ddd-1.jpg": film(5, kind="JPEG"),
}

NIH: dict[str, bytes | str] = {
    "Data_Entry_2017.csv": (
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n"
        "00000001_000.png,Cardiomegaly|Effusion,0,1,058Y,M,PA,2682,2749,0.143,0.143,\n"
        "00000001_001.png,Infiltration,1,1,058Y,M,AP,2500,2048,0.168,0.168,\n"
        "00000002_000.png,No Finding,0,2,081Y,M,PA,2500,2048,0.171,0.171,\n"
        "00000003_000.png,Hernia,0,3,081Y,F,PA,2582,2991,0.143,0.143,\n"
        "00000004_000.png,Gout,0,4,082Y,M,AP,2500,2048,0.168,0.168,\n"
        "00000002_000.png,No Finding,0,2,081Y,M,PA,2500,2048,0.171,0.171,\n"
        "../1.png,No Finding,0,2,081Y,M,PA,2500,2048,0.171,0.171,\n"
        "00000005_000.png,No Finding|Mass,0,5,081Y,M,PA,2500,2048,0.171,0.171,\n"
    ),
    "train_val_list.txt": "00000001_000.png\n00000001_001.png\n00000003_000.png\n00009999_000.png\n",
    "test_list.txt": "00000002_000.png\n",
    "images_001/images/00000001_000.png": film(1),
    "images_001/images/00000001_001.png": film(2),
    "images_002/images/00000002_000.png": film(3),
    "images_002/images/00000004_000.png": film(4),
}

COVID: dict[str, bytes | str] = {
    "metadata.csv": (
        "patientid,offset,sex,age,finding,view,modality,folder,filename,doi, url,license,clinical_notes\n"
        "2,0,M,65,Pneumonia/Viral/COVID-19,PA,X-ray,images,a-2020.jpeg,d,u,CC BY,On January 22 a man was\n"
        "2,0,M,65,Pneumonia/Viral/COVID-19,L,X-ray,images,b-2020.jpeg,d,u,CC BY,On January 22 a man was\n"
        "2,3,M,65,Pneumonia/Viral/COVID-19,AP Supine,X-ray,images,c-2020.jpeg,d,u,,\n"
        "2,3,M,65,Pneumonia/Viral/COVID-19,Axial,CT,volumes,v.nii.gz,d,u,,\n"
        "7,,F,,No Finding,PA,X-ray,images,d.png,d,u,CC0,\n"
        "7,,F,,todo,AP Erect,X-ray,images,e.png,d,u,CC0,\n"
        "8,0,F,,Tuberculosis,PA,X-ray,images,gone.png,d,u,CC0,\n"
        ",0,F,,Tuberculosis,PA,X-ray,images,anon.png,d,u,CC0,\n"
        "9,0,F,,Tuberculosis,PA,X-ray,images,../../etc/passwd,d,u,CC0,\n"
    ),
    "images/a-2020.jpeg": film(1, kind="JPEG"),
    "images/b-2020.jpeg": film(2, kind="JPEG"),
    "images/c-2020.jpeg": film(3, kind="JPEG"),
    "images/d.png": film(4),
    "images/e.png": film(5),
    "annotations/lungVAE-masks/a-2020_mask.png": film(6),
}
