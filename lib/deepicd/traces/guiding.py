"""A group without a right answer is shown one: own quotes, and the path of the code.

A policy that learned from few traces never draws the codes that those lack: all answers
of a group are wrong, and nothing says where the right one lies. Its code is known
though. The last answer of such a group gives its place to a text that quotes what the
group itself has quoted from the note, what tells most for the code first, and walks the
tree to the code. It is paid and learned like the others. Source of the idea: Yan et
al. 2025, "Learning to reason under off-policy guidance" (LUFFY).
"""

from collections.abc import Sequence

from deepicd.common.parameters import choice
from deepicd.icd.tree import IcdTree
from deepicd.tasks.evidence import Background, evidence
from deepicd.tasks.prompts import format_completion
from deepicd.tasks.quotes import quotes, stands_in, words
from deepicd.traces.teachers.levels import LevelTeacher
from deepicd.traces.teachers.rule import RuleTeacher

_MOST = 3  # quotes: two that open the text, one that tells the code from its siblings


class Guide:
    """Writes the right answers that groups lack.

    Parameters
    ----------
    space : LabelSpace
    style : {"reasoning", "answer_first", "code_only"}
        Of the completions.
    length : {"short", "long"}
        Of the wording, as that of the rule teacher's traces.
    background : Background
        What is usual in the training notes.
    """

    def __init__(self, space, style: str, length: str, background: Background):
        choice("guide", length, ("short", "long"))
        self.space, self.style, self.background = space, style, background
        kind = RuleTeacher if isinstance(space, IcdTree) else LevelTeacher
        self.writer = kind(space, length=length)

    @classmethod
    def of(cls, notes, labels, space, style: str, length: str) -> "Guide | None":
        """Learn what is usual from training notes; no guide for the length ``none``."""
        if length == "none":
            return None
        return cls(space, style, length, Background.of(notes, labels, space))

    def answer(self, texts: Sequence[str], note: str, gold: str, name="") -> str | None:
        """Write the right answer of a group from what its answers quote.

        Parameters
        ----------
        texts : sequence of str
            Completions of the group.
        note, gold : str
        name : hashable
            Seeds the wording.

        Returns
        -------
        str or None
            A whole completion; nothing where no answer quotes the note.

        Examples
        --------
        >>> from deepicd.icd import load_tree
        >>> from deepicd.tasks.evidence import default_background
        >>> guide = Guide(load_tree(), "reasoning", "short", default_background())
        >>> said = ['<think>"fever", "tall T": I10.</think>',
        ...         '<think>"ST elevation", "pain": I10.</think>']
        >>> note = "Crushing pain. ECG: ST elevation in II, III, aVF. No fever."
        >>> print(guide.answer(said, note, "I21.11", 3).replace(". ", ".\\n"))
        <think>
        "ST elevation": circulatory (9).
        I21, acute myocardial infarction; ST elevation involving right coronary artery.
        Code I21.11.
        </think>
        <diagnosis>I21.11</diagnosis>
        """
        if self.style == "code_only":
            return format_completion("", gold, self.style, self.space.tag)
        chosen = self._chosen(texts, note, gold)
        if not chosen:
            return None
        said = self.writer.lead(gold, chosen, name)
        return format_completion(said, gold, self.style, self.space.tag)

    def _chosen(self, texts, note: str, gold: str) -> list[str]:
        """Quotes of all answers that stand in the note and speak for the code.

        Where none does, the first that stands there.
        """
        said = {q.text.lower(): q.text for text in texts for q in quotes(text)}
        given = note, gold, self.space, self.background
        worth = {
            quote: evidence(f'"{quote}"', *given)
            for quote in said.values()
            if stands_in(quote, note)
        }
        chosen, used = [], set()
        for quote in sorted(worth, key=worth.get, reverse=True):
            if chosen and (len(chosen) == _MOST or not worth[quote]):
                break
            if not used & {*words(quote)}:
                chosen.append(quote)
                used |= {*words(quote)}
        return chosen
