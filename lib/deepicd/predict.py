"""Command line: one note or a folder of notes in; JSON lines, text or a page out.

An answer comes with its sources: the notes of the tabular list that bear on its code
and category, and where they are given, the nearest training cases and the step that a
verifier doubts.

Research only: never for diagnosis, decision support, triage or unsupervised
coding.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from deepicd.common.errors import UserError
from deepicd.common.files import read_json

NOTICE = (
    "Research only: never for diagnosis, decision support, triage or "
    "unsupervised coding."
)
ARGUMENTS, SFT = "arguments.json", "04_train_sft"
TRAINED = ("style", "instruction", "max_new_tokens", "task", "candidates", "history")
LONGEST_ANSWER = 512
"""Tokens of an answer of a model that was not trained here."""


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
        When nothing is there, a file is empty, not UTF-8 or no text.
    """
    path = Path(path)
    files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        held = f", which holds {_kinds(path)}" if path.is_dir() else ""
        raise UserError(
            f"no note at {path}{held}",
            "a text file, or a folder with .txt files",
            "check the path; one note a file, ending in .txt",
        )
    return {file.name: _read(file) for file in files}


def _kinds(folder: Path) -> str:
    suffixes = Counter(f.suffix or "no suffix" for f in folder.iterdir() if f.is_file())
    named = [f"{count} {suffix}" for suffix, count in suffixes.most_common(3)]
    return ", ".join(named) + " files" if named else "no files"


def _read(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise UserError(
            f"{file} is not UTF-8 (byte {error.start})",
            "UTF-8 text",
            "convert the file",
        ) from error
    except PermissionError as error:
        raise UserError(
            f"{file} may not be read",
            "a file that you may read",
            "change its permissions",
        ) from error
    if "\0" in text:
        raise UserError(
            f"{file} is no text",
            "an admission note as plain text",
            "export the note as text",
        )
    if not text:
        raise UserError(f"{file} is empty", "an admission note", "fill the file")
    return text


def settings_of(model: str | Path) -> dict:
    """Style, instruction, task and so on that a model was trained with here.

    Read from `arguments.json` beside the model, or of the SFT stage beside that;
    empty for other models. A model asked in other words answers worse.
    """
    stage = Path(model).resolve().parent
    for file in (stage / ARGUMENTS, stage.parent / SFT / ARGUMENTS):
        known = read_json(file) if file.is_file() else {}
        if "instruction" in known:
            return {name: known[name] for name in TRAINED if name in known}
    return {}


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
    >>> from deepicd.icd import load_tree
    >>> tree = load_tree()
    >>> agreement(["I21.11", "I21.19", None, "J18.9"], "category", tree)
    ('I21', 0.5)
    """
    votes = Counter(tree.at(code, level) for code in codes if code)
    if not votes:
        return None, 0.0
    winner, count = votes.most_common(1)[0]
    return winner, count / len(codes)


def describe(
    name: str, note: str, answers, tree, threshold: float, style: str = "reasoning"
) -> dict:
    """Put the samples of one note into one record.

    Parameters
    ----------
    name : str
        Of the note.
    note : str
        Its text, in which the reasoning's quotes are looked for.
    answers : DataFrame
        Rows of `deepicd.training.predict` for this note; sample 0 is greedy.
    threshold : float
        Below this agreement on the full code the record abstains.
    style : str
        Of the completions.

    Returns
    -------
    dict
        note, code, title, path (code and title of every node), agreement by level,
        abstains and why, reasoning, evidence (each quote, and whether it stands in
        the note), samples, notice.
    """
    from deepicd.tasks import quotes
    from deepicd.tasks.prompts import parse_completion

    codes = [c if isinstance(c, str) else None for c in answers["code"]]
    code, share = agreement(codes, tree.levels[-1], tree)
    chosen = _chosen(answers, code)
    levels = {lv: agreement(codes, lv, tree) for lv in tree.levels}
    why = _why(codes, share, threshold)
    thought = parse_completion(chosen["completion"].iloc[0], style, tree.tag).think
    return {
        "note": name,
        "code": code,
        "title": tree.title(code) if code else None,
        "path": [
            {"code": node, "title": tree.title(node)}
            for node in (tree.path(code) if code else ())
        ],
        "agreement": {
            lv: {"answer": a, "share": round(s, 3)} for lv, (a, s) in levels.items()
        },
        "abstains": why is not None,
        "why": why,
        "reasoning": thought,
        "evidence": [
            {"quote": quote.text, "in_note": quotes.stands_in(quote.text, note)}
            for quote in quotes.quotes(thought or "")
        ],
        "samples": len(codes),
        "notice": NOTICE,
    }


def _why(codes: list, share: float, threshold: float) -> str | None:
    """Why the record abstains, or None."""
    if not any(codes):
        return "no sample could be read"
    if share < threshold:
        return f"agreement {share:.2f} is below {threshold:.2f}"
    return None


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; gives the exit status."""
    given = _arguments().parse_args(arguments)
    try:
        _check(given)
        notes = read_notes(given.note)
        print(NOTICE, file=sys.stderr)
        _answer(notes, given)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _check(given) -> None:
    if given.samples < 1:
        raise UserError(f"--samples {given.samples}", "1 or more", "--samples 8")
    if given.max_new_tokens is not None and given.max_new_tokens < 1:
        raise UserError(
            f"--max-new-tokens {given.max_new_tokens}", "1 or more", "leave it out"
        )
    if given.temperature < 0:
        raise UserError(
            f"--temperature {given.temperature}", "0 or more", "--temperature 0.9"
        )
    if not 0 <= given.threshold <= 1:
        raise UserError(
            f"--threshold {given.threshold}", "a share from 0 to 1", "--threshold 0.5"
        )
    folder = Path(given.model)
    if given.model.startswith(("/", ".", "~")) and not folder.is_dir():
        raise UserError(
            f"no model at {folder}",
            "the folder of a model",
            "give the folder 'model' of 04_train_sft or 05_train_grpo",
        )
    if folder.is_dir() and not (folder / "config.json").exists():
        inside = folder / "model"
        do = f"--model {inside}" if inside.is_dir() else "give the folder 'model'"
        raise UserError(f"no config.json in {folder}", "the folder of a model", do)


def _with_candidates(notes, cases, tree, known: dict) -> list[str]:
    """Notes as a model reads them that chooses among candidates."""
    from deepicd.training.candidates import ask_all

    if cases is None:
        raise UserError(
            f"a model that chooses among {known['candidates']} candidates",
            "training cases that propose them",
            "--cases FOLDER, the run that trained it",
        )
    return ask_all(notes.tolist(), cases[0], tree, known["candidates"])


def lacks_history(note: str, known: dict) -> dict:
    """What a record says of a note without the last section that training notes had.

    Parameters
    ----------
    note : str
    known : dict
        From `settings_of`.

    Returns
    -------
    dict
        A warning; empty where the note has the section, or none is expected.

    Examples
    --------
    >>> sorted(lacks_history("Cough.", {"history": "codes"}))
    ['warning']
    >>> lacks_history("Cough.\\n\\nEARLIER ADMISSIONS: 9 days before: I10",
    ...               {"history": "codes"})
    {}
    """
    from deepicd.data.history import without
    from deepicd.data.sections.names import EARLIER

    if "history" not in known or without(note) != note:
        return {}
    return {
        "warning": f"the note has no section {EARLIER!r}, but the model learned from "
        f"notes that end with the {known['history']} of earlier stays: right only for "
        "a patient without any"
    }


def _answer(notes: dict[str, str], given) -> None:
    import pandas as pd

    from deepicd.tasks import PRINCIPAL_DIAGNOSIS, get_task
    from deepicd.training import models, verifier
    from deepicd.training.models import generate
    from deepicd.views import one_answer, sources

    known = settings_of(given.model)
    style = given.style or known.get("style", "reasoning")
    longest = given.max_new_tokens or known.get("max_new_tokens", LONGEST_ANSWER)
    model, tokenizer = models.load(given.model)
    frame = pd.DataFrame({"note_id": list(notes), "note": list(notes.values())})
    task = get_task(known.get("task", PRINCIPAL_DIAGNOSIS.name))
    tree = task.space(None)
    instruction = given.instruction or known.get("instruction", "full")
    asked = {"style": style, "instruction": instruction, "task": task, "space": tree}
    judge = verifier.load(given.verifier) if given.verifier else None
    cases = sources.read_cases(given.cases) if given.cases else None
    near = sources.nearest(notes, *cases, tree) if cases else {}
    if known.get("candidates"):
        frame["asked"] = _with_candidates(frame["note"], cases, tree, known)
    records = []
    for name, row in frame.groupby("note_id", sort=False):
        answers = generate.predict(
            model,
            row,
            given.samples,
            tokenizer=tokenizer,
            seed=given.seed,
            style=style,
            tree=tree,
            task=task,
            temperature=given.temperature,
            max_new_tokens=longest,
            instruction=instruction,
        )
        record = describe(name, notes[name], answers, tree, given.threshold, style)
        record["official"] = sources.official(record["code"], tree)
        record |= lacks_history(notes[name], known)
        if "warning" in record:
            print(f"warning: {name}: {record['warning']}", file=sys.stderr)
        record |= {"nearest": near[name]} if near else {}
        if judge:
            said = _chosen(answers, record["code"])["completion"].iloc[0]
            record |= sources.checked_steps(record, said, notes[name], judge, asked)
        records.append(record)
        if given.format != "html":
            print(_told(record, given.format), flush=True)
    if given.format == "html":
        print(one_answer.as_html(records, notes))


def _told(record: dict, form: str) -> str:
    from deepicd.views.one_answer import as_text

    if form == "text":
        return as_text(record)
    return json.dumps(record, ensure_ascii=False)


def _chosen(answers, code: str | None):
    """The samples that give a code; all where there is none."""
    return answers[answers["code"] == code] if code else answers


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("deepicd.predict", description=NOTICE)
    add = parser.add_argument
    add("note", help="a text file or a folder with .txt files")
    add("--model", required=True, help="model folder or hub name")
    add("--samples", type=int, default=8, help="answers a note, the first greedy")
    add(
        "--threshold",
        type=float,
        default=0.5,
        help="abstain where fewer samples than this share agree on the code",
    )
    add(
        "--style",
        choices=("reasoning", "code_only", "answer_first"),
        help="default: as the model was trained",
    )
    add(
        "--instruction",
        choices=("brief", "full"),
        help="default: as the model was trained, else full",
    )
    add(
        "--max-new-tokens",
        type=int,
        help=f"default: as the model was trained, else {LONGEST_ANSWER}",
    )
    add("--temperature", type=float, default=0.9)
    add("--format", choices=("json", "text", "html"), default="json")
    add("--cases", help="run folder whose nearest training cases are told")
    add("--verifier", help="folder process/model of notebook 08: tells doubted steps")
    add("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    sys.exit(main())
