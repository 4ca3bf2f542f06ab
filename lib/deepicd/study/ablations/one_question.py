"""One section of notebook 07 at work: plan, run, draw, tell."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from deepicd.common.files import write_csv
from deepicd.evaluation.metrics import WHOLE
from deepicd.evaluation.systems import OVERALL
from deepicd.study.ablations import comparison, kept_answers, verdicts
from deepicd.study.ablations.kept_runs import kept_of
from deepicd.study.ablations.questions import Section
from deepicd.study.ablations.study import Study
from deepicd.views import figures
from deepicd.views.in_words import points, wide_table


class Question:
    """A section with the study that answers it.

    Parameters
    ----------
    study : Study
    section : Section
    n_boot, seed : int
        Of the intervals.
    """

    def __init__(
        self, study: Study, section: Section, n_boot: int = 1000, seed: int = 0
    ):
        self.study, self.section = study, section
        self.n_boot, self.seed = n_boot, seed
        self.metrics = self.differences = self.points = None
        kept = kept_of(study.material.task)
        self.reference = kept if kept.exists() else None

    @property
    def laws(self) -> pd.DataFrame:
        """The fitted laws of every level; empty where the section has none."""
        return comparison.law_table(self.points)

    @property
    def givens(self) -> list[dict]:
        return [given for _, given in self.section.points()]

    def plan(self) -> pd.DataFrame:
        """Tell how many runs are new; runs of all kinds and states, counted."""
        plan = self.study.plan(self.givens)
        said = verdicts.tell_plan(plan, self.study.workers)
        if not self.section.runs:
            said = f"Not run here. With {self.section.scope}: {said}"
        _show(f"**{self.section.question}**\n\n{said}")
        groups = plan.groupby(["kind", "state"])
        return groups.agg(runs=("key", "size"), minutes=("minutes", "sum")).round(1)

    def show(self, folder: str | Path) -> None:
        """Plan, run and answer: what is new, scores, figures, differences, words.

        Parameters
        ----------
        folder : path-like
            Where the figures are saved.
        """
        self.plan()
        scores = self.run()
        if scores is not None:
            _show(scores)
        self.draw(folder)
        if self.strata() is not None:
            _show("Accuracy in points by training frequency; * excludes zero:")
            _show(self.strata())
        self.tell()

    def run(self) -> pd.DataFrame | None:
        """Do the runs that are missing; give the scores of all variants.

        A section outside the scope does nothing, and gives the scores of the
        reference run where there is one.
        """
        if not self._here():
            if self.reference is None:
                return None
            return kept_answers.scores(self.reference, self.section.name)
        self.study.run(self.givens)
        self.study.save_table()
        one = comparison.compare(self.study, self.section)
        tree = self.study.material.tree
        self.metrics = comparison.scores(one, tree, self.n_boot, self.seed)
        self.differences = comparison.differences(one, tree, self.n_boot, self.seed)
        if self.section.law:
            self.points = comparison.law_points(self.study, self.section)
        return wide_table(self.metrics, [*tree.shown, WHOLE], comparison.SHOWN)

    def _here(self) -> bool:
        """Whether it is answered from runs of this folder."""
        return self.section.runs or all(
            job.finished for job in self.study.all_jobs(self.givens)
        )

    def draw(self, folder: str | Path) -> None:
        """Save and show the figures; those of the reference run where it has none."""
        if self.differences is None:
            if self.reference is not None:
                kept_answers.show_figures(self.reference, self.section.name)
            return
        name, table = self.section.name, self.differences
        if self.section.curves:
            self._draw_curves(folder)
        if self.section.law:
            lines = comparison.law_lines(self.points)
            both = pd.concat([self.points, lines.assign(seed="line")])
            fig = figures.plot_law(self.points, lines)
            said = " ".join(map(verdicts.tell_law, self.laws.itertuples()))
            figures.save(fig, both, folder, f"{name}_law", said)
        kind = self.section.compare
        shown = table[(table["comparison"] == kind) & (table["stratum"] == "overall")]
        if len(shown):
            fig = figures.plot_against(shown)
            figures.save(
                fig, shown, folder, f"{name}_differences", _caption(self.section, shown)
            )

    def _draw_curves(self, folder) -> None:
        frames = [
            self.study.curves(job).assign(variant=name, seed=given["seed"])
            for name, given in self.section.points()
            if (job := self.study.jobs(given)[1])
        ]
        if not frames:
            return
        table = pd.concat(frames, ignore_index=True)
        table = table[table["name"].str.startswith("val_accuracy")]
        fig = figures.plot_variants(table, by="variant")
        figures.save(
            fig,
            table,
            folder,
            f"{self.section.name}_curves",
            "Accuracy on validation notes while training, the same yardstick "
            "for all: rewards have different scales. They are few; the test "
            "notes decide.",
        )

    def main(self) -> pd.DataFrame | None:
        """The comparisons that the section was made for, one row each, in points."""
        return self._wide(["level", "metric"], lambda stratum: stratum == OVERALL)

    def strata(self) -> pd.DataFrame | None:
        """The same for accuracy, by training frequency of the code."""
        return self._wide(["level", "stratum"], lambda stratum: stratum != OVERALL)

    def _wide(self, columns: list[str], wanted) -> pd.DataFrame | None:
        if self.differences is None:
            return None
        rows = self.differences
        rows = rows[
            (rows["comparison"] == self.section.compare) & wanted(rows["stratum"])
        ]
        if rows.empty:
            return None
        pairs = zip(rows["a"], rows["b"], strict=True)
        table = rows.assign(
            section=self.section.letter,
            comparison=[verdicts.versus(a, b) for a, b in pairs],
            score=rows[columns].agg(" ".join, axis=1),
            points=[points(r) + " *" * r.clear for r in rows.itertuples()],
        )
        wide = table.pivot(
            index=["section", "comparison"], columns="score", values="points"
        )
        order = dict.fromkeys(table["comparison"])
        return wide[list(dict.fromkeys(table["score"]))].reindex(
            order, level="comparison"
        )

    def answer(self) -> list[str]:
        """What the runs say, in sentences; none where nothing was run."""
        if self.differences is None:
            return []
        return verdicts.tell(self.section, self.differences, self.laws)

    def tell(self) -> None:
        """Show the answer, the reference's behind a quick one, and what changes it."""
        said = [self.answer()]
        other = not said[0] or self.section.scope == "quick"
        if self.reference is not None and other:
            said.append(kept_answers.answer(self.reference, self.section))
        for short, *facts in filter(None, said):
            _show("\n".join([f"**{short}**", "", *(f"- {fact}" for fact in facts)]))
        if not any(said):
            _show("Not answered here; ablation=full runs it.")
        _show(f"What would change it: {self.section.change}")


def _show(what: str | pd.DataFrame) -> None:
    """Show a text or a table: rich in a notebook, plain elsewhere."""
    from IPython import get_ipython
    from IPython.display import Markdown, display

    text = isinstance(what, str)
    if get_ipython() is None:
        print(what if text else what.to_string())
    else:
        display(Markdown(what) if text else what)


def ask(
    study: Study, sections: dict[str, Section], n_boot: int = 1000, seed: int = 0
) -> dict[str, Question]:
    """A question for each section."""
    return {name: Question(study, one, n_boot, seed) for name, one in sections.items()}


def save_differences(questions: Sequence[Question], folder: str | Path) -> pd.DataFrame:
    """Write the differences of all answered questions to ``differences.csv``."""
    tables = [
        q.differences.assign(section=q.section.name)
        for q in questions
        if q.differences is not None
    ]
    if not tables:
        return pd.DataFrame()
    table = pd.concat(tables, ignore_index=True)
    write_csv(table, Path(folder) / "differences.csv")
    return table


def _caption(section: Section, rows: pd.DataFrame) -> str:
    clear = rows["clear"].sum()
    return (
        f"{section.title} Paired differences on {rows['n'].max():,} notes, "
        f"{len(section.seeds)} seed(s), 95 % intervals by bootstrap over patients "
        f"and seeds; {clear} of {len(rows)} exclude zero."
    )
