"""Frames and a widget for the tour of the tree and the rewards (notebook 00)."""

from collections.abc import Sequence

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.icd.load import load_tree
from deepicd.icd.tree import IcdTree
from deepicd.rewards.registry import PARTS
from deepicd.rewards.scoring import score
from deepicd.rewards.spec import OUTCOME, SPECS, RewardSpec, get_spec
from deepicd.tasks.prompts import format_completion
from deepicd.tasks.task import Task

LEVEL_TITLES = ("chapter", "block", "category", "subcategory")


def known_code(code: str, tree: IcdTree) -> str:
    """Give a code as the catalogue writes it.

    Raises
    ------
    UserError
        Where there is no such code.

    Examples
    --------
    >>> known_code("i2111", load_tree())
    'I21.11'
    """
    known = tree.normalise(code)
    if known is None:
        raise UserError(
            found=f"gold = {code!r}",
            expected="a code of ICD-10-CM, such as I21.11",
            do="correct the parameter gold",
        )
    return known


def question(task: Task) -> str:
    """What a task asks and how its answers are judged, in a few lines.

    Examples
    --------
    >>> from deepicd.tasks import get_task
    >>> print(question(get_task("principal_diagnosis")).splitlines()[0])
    principal_diagnosis: first-listed diagnosis, ICD-10-CM
    """
    return (
        f"{task.name}: {task.about}\n"
        f"answered inside <{task.tag}>, judged at {', '.join(task.levels)}; "
        f"reward {task.reward}\n"
        f'asked as: "{task.instructions["brief"]["reasoning"]}"'
    )


def payments(task: Task) -> pd.DataFrame:
    """What the reward of a task pays for each answer, by the right one.

    Returns
    -------
    pandas.DataFrame
        One row a right label, one column an answer, in the order of the labels; empty
        where only the data know the labels.

    Examples
    --------
    >>> from deepicd.tasks import get_task
    >>> payments(get_task("length_of_stay")).round(2).iloc[0].tolist()
    [1.0, 0.67, 0.33, 0.0]
    """
    space = task.space(None)
    said = [format_completion("reasoning", x, tag=space.tag) for x in space.labels]
    paid = {
        gold: [row.total for row in score(said, gold, task.reward, space)]
        for gold in space.labels
    }
    table = pd.DataFrame(paid, index=list(space.labels)).T
    return table.rename_axis(index="right", columns="answer")


def spec_names() -> list[str]:
    """Names of the rewards, each reward once.

    >>> spec_names()[:3]
    ['tree', 'flat', 'chapter']
    """
    return [name for name, spec in SPECS.items() if name == spec.name]


def tree_picture(
    gold: str,
    tree: IcdTree | None = None,
    spec: str | RewardSpec = "tree",
    siblings: int = 4,
) -> pd.DataFrame:
    """Lay out the path to a code, with some siblings at each level.

    Parameters
    ----------
    gold : str
    tree : IcdTree, optional
    spec : str or RewardSpec
        Says what an answer earns that leaves the path at a node.
    siblings : int
        At most so many siblings are shown at a level.

    Returns
    -------
    pandas.DataFrame
        One row a node, in reading order: `depth` (1 chapter), `level`, `name`,
        `title`, `on_path`, `hidden` (siblings at this depth that are not shown),
        `leaves` (billable codes below), `earns` (an answer below this node that
        is not below the next node of the path; the exact code at the end).

    Examples
    --------
    >>> frame = tree_picture("I21.11", siblings=1)
    >>> frame[frame.on_path].name.tolist()
    ['9', 'I20-I25', 'I21', 'I21.1', 'I21.11']
    >>> frame[frame.on_path].earns.tolist()
    [0.1, 0.2, 0.4, 0.5, 1.0]
    """
    tree = tree or load_tree()
    spec = get_spec(spec) if isinstance(spec, str) else spec
    path = tree.path(gold)
    rows = []
    for depth, name in enumerate(path, start=1):
        family = tree.children(path[0]) if depth == 2 else tree.family(name)
        shown = _around(family, name, siblings)
        titles = [_title(tree, member, depth) for member in shown]
        titles = short_titles(titles) if depth > 2 else titles
        last = depth == len(path)
        earns = spec.credit["full"] if last else spec.ladder[depth]
        for member, title in zip(shown, titles, strict=True):
            on_path = member == name
            rows.append(
                {
                    "depth": depth,
                    "level": "code" if last else LEVEL_TITLES[min(depth, 4) - 1],
                    "name": member,
                    "title": title,
                    "on_path": on_path,
                    "hidden": len(family) - len(shown),
                    "leaves": len(tree.leaves(member)),
                    "earns": earns if on_path else None,
                }
            )
    return pd.DataFrame(rows)


def _around(family: list[str], name: str, siblings: int) -> list[str]:
    """The named member and its nearest neighbours in the family."""
    place = family.index(name)
    start = min(max(place - siblings // 2, 0), max(len(family) - siblings - 1, 0))
    return family[start : start + siblings + 1]


def _title(tree: IcdTree, name: str, depth: int) -> str:
    """Title without the range that chapters and blocks repeat at the end."""
    title = tree.title(name)
    return (title.rpartition(" (")[0] or title) if depth <= 2 else title


def short_titles(titles: Sequence[str], least: int = 3) -> list[str]:
    """Leave out the words that a title begins with like most of those beside it.

    Examples
    --------
    >>> short_titles(["Acute infarction of heart, right", "Acute infarction of lung"])
    ['… heart, right', '… lung']
    """
    words = [title.split() for title in titles]
    short = []
    for i, own in enumerate(words):
        others = [w for j, w in enumerate(words) if j != i]
        counts = sorted((_shared_words(own, w) for w in others), reverse=True)
        shared = counts[len(counts) // 2] if counts else 0
        cut = least <= shared < len(own)
        short.append("… " + " ".join(own[shared:]) if cut else titles[i])
    return short


def _shared_words(a: list[str], b: list[str]) -> int:
    pairs = zip(a, b, strict=False)
    return next((i for i, (x, y) in enumerate(pairs) if x != y), min(len(a), len(b)))


def explain(
    completion: str,
    gold: str,
    specs: Sequence[str | RewardSpec] = ("tree",),
    tree: IcdTree | None = None,
    note: str = "",
) -> pd.DataFrame:
    """Show what a completion earns under several specs, part by part.

    Returns
    -------
    pandas.DataFrame
        One row a spec: `spec, total, lowest, best` (the exact code's total),
        one column a part, `code`, `shares` (level shared with the gold code),
        `problem`.

    Examples
    --------
    >>> text = "<think>ST elevation</think><diagnosis>I21.19</diagnosis>"
    >>> explain(text, "I21.11", ["tree", "flat"])[["spec", "total", "shares"]].values
    array([['tree', 0.5, 'subcategory'],
           ['flat', 0.0, 'subcategory']], dtype=object)
    """
    tree = tree or load_tree()
    rows = []
    for spec in specs:
        spec = get_spec(spec) if isinstance(spec, str) else spec
        right = format_completion("reasoning", tree.normalise(gold) or gold)
        said, best = score([completion, right], gold, spec, tree, notes=note)
        row = {"spec": spec.name, "total": said.total, "lowest": spec.bounds[0]}
        row |= {"best": best.total} | said.parts | {"code": said.code}
        shares = tree.lca_level(said.code, gold) if said.code else None
        rows.append(row | {"shares": shares or "none", "problem": said.problem})
    frame = pd.DataFrame(rows)
    parts = [part for part in (OUTCOME, *PARTS) if part in frame]
    order = ["spec", "total", "lowest", "best", *parts, "code", "shares", "problem"]
    return frame[order]


def try_rewards(
    completion: str,
    gold: str,
    specs: Sequence[str] = ("tree",),
    tree: IcdTree | None = None,
    live: bool = True,
) -> pd.DataFrame:
    """Offer a form that scores what is typed; give the table of the first text.

    Parameters
    ----------
    completion, gold : str
        What the form starts with.
    specs : sequence of str
    tree : IcdTree, optional
    live : bool
        Whether to display the form; the table alone fits a finished document.

    Returns
    -------
    pandas.DataFrame
        As of `explain`.

    Examples
    --------
    >>> try_rewards("no tags", "I10", live=False).problem.item()
    'no think'
    """
    tree = tree or load_tree()
    if live:
        _show_form(completion, gold, specs, tree)
    return explain(completion, gold, specs, tree)


def _show_form(completion: str, gold: str, specs, tree: IcdTree) -> None:
    import ipywidgets as widgets
    from IPython.display import display

    wide = widgets.Layout(width="95%", height="7em")
    text = widgets.Textarea(completion, description="completion", layout=wide)
    code = widgets.Text(gold, description="gold code")

    def show(completion: str, gold: str) -> None:
        if tree.valid(gold):
            display(explain(completion, gold, specs, tree).round(3))
        else:
            print("This gold code is not in the catalogue.")

    controls = {"completion": text, "gold": code}
    result = widgets.interactive_output(show, controls)
    display(widgets.VBox([code, text, result]))


def sizes(tree: IcdTree | None = None) -> pd.DataFrame:
    """Count what stands at each level of the tree.

    Returns
    -------
    pandas.DataFrame
        `level, count, example, title`.

    Examples
    --------
    >>> sizes().set_index("level")["count"].to_dict()["chapter"]
    22
    """
    tree = tree or load_tree()
    groups = {
        "chapter": tree.chapters(),
        "block": tree.blocks(),
        "category": tree.categories(),
        "code, categories included": tree.codes(),
        "billable code": tree.billable_codes(),
    }
    shown = {"chapter": "9", "block": "I20-I25", "category": "I21"}
    rows = []
    for level, names in groups.items():
        example = shown.get(level, "I21.11")
        rows.append((level, len(names), example, tree.title(example)))
    return pd.DataFrame(rows, columns=["level", "count", "example", "title"])
