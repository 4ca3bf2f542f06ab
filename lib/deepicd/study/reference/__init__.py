"""What finished runs found, kept in a small folder with a page of tables.

`python -m deepicd.study.reference --help` says what can be kept.
"""
