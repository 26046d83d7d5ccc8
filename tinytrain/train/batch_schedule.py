"""A batch that grows while a run goes on: the number of micro-batches per step, by a schedule."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from tinytrain.checks import whole_number

COUNTERS = ("steps", "items")


class AccumulationSchedule:
    """From how many optimizer steps (or items) on, how many micro-batches make up a step.

    Small batches do at first, when the items' gradients agree; later, when noise dominates, larger
    ones pay. Growing the batch does to the noise what decaying the learning rate does, in fewer
    steps: see `instead_of_decay`.

    Parameters
    ----------
    stages : mapping of int to int
        ``{0: 2, 1000: 4}`` takes 2 micro-batches per step at first, and 4 after 1000.
    by : {"steps", "items"}
        What the keys count: optimizer steps, or items (tokens, rows) trained on.

    Raises
    ------
    ValueError
        The stages do not begin with 0, or a number is no whole one in its range.

    References
    ----------
    S. L. Smith et al., "Don't Decay the Learning Rate, Increase the Batch Size",
    arXiv 1711.00489, section 3.

    Examples
    --------
    >>> schedule = AccumulationSchedule({0: 2, 1000: 4}, by="items")
    >>> schedule.accumulation_steps(step=50, items=999), schedule.accumulation_steps(51, 1000)
    (2, 4)
    """

    def __init__(self, stages: Mapping[int, int], by: str = "steps") -> None:
        if by not in COUNTERS:
            raise ValueError(f"by must be 'steps' or 'items', not {by!r}")
        checked = {
            whole_number(f"the start of a stage, in {by},", start, least=0): whole_number(
                "accumulation_steps", size
            )
            for start, size in stages.items()
        }
        if 0 not in stages:
            raise ValueError(
                "the stages say with how many micro-batches to begin, {0: ...}, but got "
                f"{dict(stages)}"
            )
        self.stages, self.by = dict(sorted(checked.items())), by

    @classmethod
    def instead_of_decay(
        cls,
        accumulation_steps: int,
        milestones: Sequence[int],
        gamma: float = 0.1,
        by: str = "steps",
    ) -> "AccumulationSchedule":
        """Grow the batch 1/gamma-fold where `MultiStepLR` would multiply the rate by gamma.

        The noise of SGD's path is in proportion to lr / batch (for batches small beside the data
        set), so that both do the same to it; the larger batch keeps the long steps, and so needs
        fewer of them. It holds for SGD. For Adam and its relatives, whose noise is in proportion to
        lr / sqrt(batch), take gamma squared. Milestones by items are those of the run with decay;
        by steps they are this run's own.

        Raises
        ------
        ValueError
            gamma is not between 0 and 1, or 1/gamma leads to a number that is not whole; or the
            milestones do not rise from above 0.

        Examples
        --------
        >>> AccumulationSchedule.instead_of_decay(2, [30_000, 60_000], 0.25, by="items").stages
        {0: 2, 30000: 8, 60000: 32}
        """
        if not 0 < gamma < 1:
            raise ValueError(f"gamma must lie between 0 and 1, got {gamma}")
        for before, milestone in pairwise([0, *milestones]):
            if whole_number("a milestone", milestone) <= before:
                raise ValueError(f"milestones must rise, and {milestone} comes after {before}")
        stages = {0: whole_number("accumulation_steps", accumulation_steps)}
        for power, milestone in enumerate(milestones, start=1):
            wanted = accumulation_steps / gamma**power
            if abs(wanted - round(wanted)) > 1e-6 * wanted:
                raise ValueError(
                    f"{accumulation_steps} micro-batches divided by {gamma:g} to the power of "
                    f"{power} are {wanted:g}, which is no whole number: choose another gamma"
                )
            stages[milestone] = round(wanted)
        return cls(stages, by)

    @property
    def largest(self) -> int:
        """The largest number of micro-batches."""
        return max(self.stages.values())

    def accumulation_steps(self, step: int, items: float) -> int:
        """Return how many micro-batches the step takes that comes after so many steps and items."""
        counted = step if self.by == "steps" else items
        return [size for start, size in self.stages.items() if start <= counted][-1]

    def state_dict(self) -> dict[str, Any]:
        """Return the settings as JSON can hold them, to compare with those of a resumed run."""
        return {"by": self.by, "stages": [list(stage) for stage in self.stages.items()]}

    def __repr__(self) -> str:
        return f"AccumulationSchedule({self.stages}, by={self.by!r})"
