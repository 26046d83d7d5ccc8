"""Looking at what a model makes while it is trained."""

from collections.abc import Callable
from typing import Any

from tinytrain.autograd import no_grad
from tinytrain.nn.module import Module
from tinytrain.train.callback import Callback
from tinytrain.train.evaluation import evaluation_mode
from tinytrain.train.say import say


class PrintSamples(Callback):
    """Prints what a function makes of the model, at each evaluation of the validation data.

    The function is called in evaluation mode, without gradients; random numbers that it draws from
    tinytrain's generators change nothing in the run.

    Parameters
    ----------
    sample : callable
        ``model -> text``, for example a few generated words.
    show : callable
        Takes the text.

    Examples
    --------
    >>> import tinytrain as tt
    >>> class Run:
    ...     model, step = tt.nn.Dropout(0.5), 10
    >>> PrintSamples(lambda model: model(tt.ones(2)).tolist()).on_evaluation(Run, 0.1)
    step 10: [1.0, 1.0]
    """

    def __init__(self, sample: Callable[[Module], Any], show: Callable[[str], None] = say) -> None:
        self.sample, self.show = sample, show

    def on_evaluation(self, trainer: Any, loss: float) -> None:
        """Make a sample and show it."""
        with no_grad(), evaluation_mode(trainer.model):
            text = str(self.sample(trainer.model))
        self.show(f"step {trainer.step}: {text}")
