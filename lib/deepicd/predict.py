"""Command line: one note or a folder of notes in, JSON lines out.

Research only: never for diagnosis, decision support, triage or unsupervised
coding.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from deepicd import icd
from deepicd.errors import UserError

NOTICE = (
    "Research only: never for diagnosis, decision support, triage or "
    "unsupervised coding."
)


def read_notes(path: str | Path) -> dict[str, str]:
    """Read one text file, or every ``.txt`` file of a folder.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    dict
        File name → text, sorted by name.

    Raises
    ------
    UserError
        When nothing is there, a file is empty or not UTF-8.
    """
    path = Path(path)
    files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    if not files or not files[0].exists():
        raise UserError(
            found=f"no note at {path}",
            expected="a text file, or a folder with .txt files",
            do="check the path",
        )
    return {file.name: _read(file) for file in files}


def _read(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError as error:
        raise UserError(
            found=f"{file} is not UTF-8 (byte {error.start})",
            expected="UTF-8 text",
            do="convert the file",
        ) from error
    if not text:
        raise UserError(
            found=f"{file} is empty", expected="an admission note", do="fill the file"
        )
    return text


def agreement(codes: list, level: str, tree) -> tuple[str | None, float]:
    """Most frequent answer at a level and the share of samples that give it.

    Parameters
    ----------
    codes : list of str or None
        One per sample; None counts as a sample that agrees with nothing.
    level : str

    Returns
    -------
    (str or None, float)

    Examples
    --------
    >>> tree = icd.load_tree()
    >>> agreement(["I21.11", "I21.19", None, "J18.9"], "category", tree)
    ('I21', 0.5)
    """
    votes = Counter(tree.at(code, level) for code in codes if code)
    if not votes:
        return None, 0.0
    winner, count = votes.most_common(1)[0]
    return winner, count / len(codes)


def describe(name: str, answers, tree, threshold: float) -> dict:
    """Put the samples of one note into one record.

    Parameters
    ----------
    name : str
        Of the note.
    answers : DataFrame
        Rows of `deepicd.generate.predict` for this note; sample 0 is greedy.
    threshold : float
        Below this agreement on the full code the record abstains.

    Returns
    -------
    dict
        note, code, title, path, agreement by level, abstains, reasoning.
    """
    from deepicd.prompts import parse_completion

    codes = answers["code"].tolist()
    code, share = agreement(codes, "full", tree)
    chosen = answers[answers["code"] == code] if code else answers
    levels = {lv: agreement(codes, lv, tree) for lv in icd.LEVELS}
    return {
        "note": name,
        "code": code,
        "title": tree.title(code) if code else None,
        "path": list(tree.path(code)) if code else None,
        "agreement": {
            lv: {"answer": a, "share": round(s, 3)} for lv, (a, s) in levels.items()
        },
        "abstains": code is None or share < threshold,
        "reasoning": parse_completion(chosen["completion"].iloc[0]).think,
        "samples": len(codes),
        "notice": NOTICE,
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; gives the exit status."""
    given = _arguments().parse_args(arguments)
    try:
        notes = read_notes(given.note)
        _answer(notes, given)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _answer(notes: dict[str, str], given) -> None:
    import pandas as pd

    from deepicd import generate, models

    model, tokenizer = models.load(given.model)
    frame = pd.DataFrame({"note_id": list(notes), "note": list(notes.values())})
    tree = icd.load_tree()
    found = generate.predict(
        model,
        frame,
        given.samples,
        tokenizer=tokenizer,
        seed=given.seed,
        instruction=given.instruction,
        max_new_tokens=given.max_new_tokens,
        tree=tree,
    )
    for name, answers in found.groupby("note_id", sort=False):
        record = describe(name, answers, tree, given.threshold)
        print(json.dumps(record, ensure_ascii=False))


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("deepicd.predict", description=NOTICE)
    parser.add_argument("note", help="a text file or a folder with .txt files")
    parser.add_argument("--model", required=True, help="model folder or hub name")
    parser.add_argument("--samples", type=int, default=8, help="answers a note")
    parser.add_argument("--threshold", type=float, default=0.5, help="abstain below")
    parser.add_argument("--instruction", default="brief", choices=("brief", "full"))
    parser.add_argument("--max-new-tokens", type=int, default=96)
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    sys.exit(main())
