"""An average of the weights over the last steps, which often is better than the weights."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from tinytrain import backend
from tinytrain.backend import Array
from tinytrain.checks import whole_number
from tinytrain.nn.module import Module
from tinytrain.optim.flat import FlatBuffer
from tinytrain.tensor import Tensor
from tinytrain.train.callback import Callback


class ExponentialMovingAverage(Callback):
    """Averages the trained parameters over the steps, later ones weighing more.

    After each optimizer step, with the parameters w and the average a,

        a <- a + (1 - decay) (w - a),

    and after the first one a = w, as PyTorch's ``AveragedModel`` with ``get_ema_avg_fn`` does. The
    average goes back some 1 / (1 - decay) steps. Buffers, such as running statistics, are no part
    of it: they stay the model's. Parameters that lie side by side in an optimizer's buffer are
    averaged in one pass.

    Parameters
    ----------
    model : Module
        The one that is trained; its parameters that require gradients are averaged.
    decay : float
        In 0 to 1, both excluded.
    evaluate : bool
        Whether the validation data are evaluated with the average.

    Attributes
    ----------
    updates : int
        How many steps have been taken in.

    Raises
    ------
    ValueError
        The decay is out of range; or a loaded state is of another model.

    References
    ----------
    B. T. Polyak and A. B. Juditsky, "Acceleration of Stochastic Approximation by Averaging", SIAM
    J. Control and Optimization 30(4), 1992; M. Tan and Q. Le, "EfficientNet", ICML 2019, section 5,
    for the exponential form with decay 0.9999.

    Examples
    --------
    >>> import tinytrain as tt
    >>> model = tt.nn.Linear(1, 1, bias=False)
    >>> average = ExponentialMovingAverage(model, decay=0.5)
    >>> for value in (1.0, 2.0, 4.0):
    ...     model.weight.data[...] = value
    ...     average.update()
    >>> with average.applied():
    ...     model.weight.item()
    2.75
    >>> model.weight.item()
    4.0
    """

    def __init__(self, model: Module, decay: float = 0.999, evaluate: bool = True) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"decay must lie between 0 and 1, got {decay}")
        self.model, self.decay, self.evaluate = model, decay, evaluate
        self.updates = 0
        self._owners: list[FlatBuffer | Tensor] = []  # of the arrays that are averaged
        self._averages: list[Array] = []  # flat, one for each owner
        self._views: dict[str, Array] = {}  # the averages in the shapes of the parameters

    def on_run_start(self, trainer: Any) -> None:
        """Lay the average out as the optimizer has laid out the parameters."""
        if all(layer is not self.model for layer in trainer.model.modules()):
            raise ValueError(
                f"ExponentialMovingAverage was given another model ({type(self.model).__name__}) "
                "than the one that is trained, or a part of it: its average would never move"
            )
        self._lay_out()

    def on_step_end(self, trainer: Any, record: Mapping[str, Any]) -> None:
        """Take the step in."""
        self.update()

    def update(self) -> None:
        """Take the present parameters into the average."""
        if not self._averages:
            self._lay_out()
        for owner, average in zip(self._owners, self._averages, strict=True):
            live = _array_of(owner)
            if not self.updates:
                average[...] = live
                continue
            difference = live - average
            difference *= 1 - self.decay
            average += difference
        self.updates += 1

    def _trained(self) -> dict[str, Tensor]:
        """Return the parameters that are averaged: also those that are frozen by now."""
        return {
            name: parameter
            for name, parameter in self.model.named_parameters()
            if parameter.requires_grad or name in self._views
        }

    def _lay_out(self) -> None:
        """Make one flat average for each buffer of parameters, and keep the values."""
        parameters, before = self._trained(), self._views
        names = {id(parameter): name for name, parameter in parameters.items()}
        self._owners = _owners_of(parameters)
        self._averages, self._views = [], {}
        for owner in self._owners:
            flat = _array_of(owner).copy()
            self._averages.append(flat)
            start = 0
            for parameter in owner.parameters if isinstance(owner, FlatBuffer) else [owner]:
                stop = start + parameter.numel()
                self._views[names[id(parameter)]] = flat[start:stop].reshape(parameter.shape)
                start = stop
        for name, value in before.items():
            self._views[name][...] = backend.bring_beside(value, self._views[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the model have the average as its parameters in the block, if there is one yet."""
        if not self.updates:
            yield
            return
        if not self._averages:
            self._lay_out()
        live = [_array_of(owner) for owner in self._owners]
        kept = [array.copy() for array in live]
        for array, average in zip(live, self._averages, strict=True):
            array[...] = average
        try:
            yield
        finally:
            for array, values in zip(live, kept, strict=True):
                array[...] = values

    def during_evaluation(self, trainer: Any) -> AbstractContextManager[Any]:
        """Evaluate with the average, if asked to."""
        return self.applied() if self.evaluate else nullcontext()

    def settings(self) -> dict[str, Any]:
        """Return the decay, and whether it is evaluated."""
        return {"decay": self.decay, "evaluate": self.evaluate}

    def state_dict(self) -> dict[str, Any]:
        """Return the average, by the parameters' names, and the number of steps in it."""
        average = {name: view.copy() for name, view in self._views.items()}
        return {"updates": self.updates, "average": average if self.updates else {}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with a saved average; the decay stays the one given."""
        average = dict(state["average"])
        updates = whole_number("updates", state["updates"], least=0)
        if bool(average) != bool(updates):
            raise ValueError(f"it has {updates} updates and averages of {len(average)} parameters")
        if average:
            self._check(average)
        self.updates = updates
        self._owners, self._averages, self._views = [], [], average

    def _check(self, average: Mapping[str, Any]) -> None:
        """Raise where a saved average is not of this model's parameters; some may be frozen now."""
        present = dict(self.model.named_parameters())
        expected = {name: tuple(p.shape) for name, p in present.items()}
        found = {
            name: tuple(value.shape) if _is_real(value) else None for name, value in average.items()
        }
        differing = [name for name in found if found[name] != expected.get(name)]
        differing += [name for name, p in present.items() if p.requires_grad and name not in found]
        if differing:
            raise ValueError(
                f"the saved average is of other parameters: {', '.join(sorted(differing)[:5])}"
            )


def _is_real(value: Any) -> bool:
    return hasattr(value, "shape") and backend.is_array(value) and value.dtype.kind == "f"


def _owners_of(parameters: Mapping[str, Tensor]) -> list[FlatBuffer | Tensor]:
    """Return what holds the values: buffers all of whose parameters are asked for, or tensors."""
    asked = {id(parameter) for parameter in parameters.values()}
    owners: dict[int, FlatBuffer | Tensor] = {}
    for parameter in parameters.values():
        reference = parameter.leaf_gradient.owner
        buffer = None if reference is None else reference()
        if buffer is not None and all(id(other) in asked for other in buffer.parameters):
            owners[id(buffer)] = buffer
        else:
            owners[id(parameter)] = parameter
    return list(owners.values())


def _array_of(owner: FlatBuffer | Tensor) -> Array:
    """Return the values as one flat array; writing to it changes the parameters."""
    if isinstance(owner, FlatBuffer):
        owner.restore_views()
        return owner.data
    return owner.data.reshape(-1)
