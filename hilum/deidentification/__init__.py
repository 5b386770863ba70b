"""De-identification: clean DICOM out of identified DICOM, and what is not promised"""
