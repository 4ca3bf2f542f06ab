"""Data sources: behind one door all give the same raw tables."""

from deepicd.common.faces import face

HOMES = {
    "ADMISSION_COLUMNS": "raw_tables",
    "DIAGNOSIS_COLUMNS": "raw_tables",
    "NOTE_COLUMNS": "raw_tables",
    "RawTables": "raw_tables",
    "SOURCES": "opening",
    "open_source": "opening",
}
__getattr__, __dir__, __all__ = face(__name__, HOMES)
