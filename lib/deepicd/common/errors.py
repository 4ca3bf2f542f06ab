"""The one error that a user can cause and is meant to read."""


class UserError(Exception):
    """Something the user gave cannot be used; says what to do about it.

    Parameters
    ----------
    found : str
        What was found. Never note text: the message reaches logs and reports.
    expected : str
        What would have been accepted.
    do : str
        The next step for the user.

    Examples
    --------
    >>> print(UserError(found="profile 'cpuu'", expected="smoke, cpu, gpu or paper",
    ...                 do="--profile cpu"))
    found profile 'cpuu'; expected smoke, cpu, gpu or paper; do: --profile cpu
    """

    def __init__(self, found: str, expected: str, do: str):
        self.found, self.expected, self.do = found, expected, do
        super().__init__(f"found {found}; expected {expected}; do: {do}")

    def __reduce__(self):
        return type(self), (self.found, self.expected, self.do)
