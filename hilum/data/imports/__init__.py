"""Other people's layouts of chest X-ray collections, each read into the one manifest."""
