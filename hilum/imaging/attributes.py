"""The attributes of a DICOM header that are read: these, and none besides.

Names, dates and numbers of a patient are not even parsed. What of these reaches a film, and so a page or a cache, is
said by ``hilum.imaging.film.Film``.
"""

from __future__ import annotations

OBJECT = ("SOPClassUID", "Modality", "BodyPartExamined", "PresentationIntentType")
"""What kind of object it is."""

POSITION = ("ViewPosition", "ViewCodeSequence", "PatientOrientation", "Laterality", "ImageLaterality")
"""Which view it is, and which side of the patient is where."""

LAYOUT = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)
"""How the pixels are stored."""

SPACING = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio")
"""How large a pixel is: in the order in which they are believed."""

GREYS = (
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "ModalityLUTSequence",
    "RescaleSlope",
    "RescaleIntercept",
    "VOILUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "PresentationLUTShape",
    "PixelIntensityRelationship",
    "PixelIntensityRelationshipSign",
)
"""What the stored values look like."""

SHUTTER = (
    "ShutterShape",
    "ShutterLeftVerticalEdge",
    "ShutterRightVerticalEdge",
    "ShutterUpperHorizontalEdge",
    "ShutterLowerHorizontalEdge",
    "CenterOfCircularShutter",
    "RadiusOfCircularShutter",
    "VerticesOfThePolygonalShutter",
)
"""Which part of the picture is to be shown."""

READ = (*OBJECT, *POSITION, *LAYOUT, *SPACING, *GREYS, *SHUTTER)
"""All of them, by keyword (PS3.6); Pixel Data itself comes besides."""
