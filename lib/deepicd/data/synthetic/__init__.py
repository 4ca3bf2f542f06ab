"""The synthetic corpus: patients, codes, findings and text from one model."""
