"""What all optimizers share: parameter groups on flat buffers, and their state."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar

from tinytrain import backend
from tinytrain.autograd import enable_grad, watchers
from tinytrain.backend import Array
from tinytrain.memory.ledger import tell_ledgers
from tinytrain.optim.flat import FlatBuffer
from tinytrain.optim.settings import SCHEDULE_SETTINGS, check_from_zero, check_numbers, number_of
from tinytrain.optim.state import (
    Slot,
    array_of,
    check_class,
    check_nothing_is_lost,
    check_state,
    count_of,
    saved_settings,
)
from tinytrain.tensor import Tensor

Parameters = Iterable[Tensor] | Iterable[tuple[str, Tensor]] | Iterable[dict[str, Any]]


class FlatGroup:
    """The part of a parameter group that shares a dtype and a device, with its state.

    Attributes
    ----------
    flat : FlatBuffer
        Values and gradients.
    state : dict of str to array (N,)
        The optimizer's flat arrays, such as momenta, by PyTorch's names.
    steps : list of int
        How many updates each parameter has had: one without a gradient is skipped.
    """

    def __init__(self, parameters: Sequence[Tensor], names: Sequence[str]) -> None:
        self.flat = FlatBuffer(parameters, names)
        self.state: dict[str, Array] = {}
        self.steps = [0] * len(parameters)

    def state_array(self, name: str) -> Array:
        """Return a flat state array; one that is asked for the first time holds zeros."""
        if name not in self.state:
            self.state[name] = backend.xp_of(self.flat.data).zeros_like(self.flat.data)
        return self.state[name]

    def copied(self, memo: dict[int, Any]) -> "FlatGroup":
        """Copy it, for the copies of its parameters."""
        group = FlatGroup(deepcopy(self.flat.parameters, memo), self.flat.names)
        group.state = {name: array.copy() for name, array in self.state.items()}
        group.steps = list(self.steps)
        return group


class Optimizer:
    """The base of optimizers.

    A subclass names its flat state arrays and updates one contiguous stretch at a time.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        Parameters, or groups: dictionaries with ``"params"`` and settings of their own.
    defaults : dict
        Settings of groups that do not give their own.

    Attributes
    ----------
    param_groups : list of dict
        ``"params"`` and the settings, which may be changed between steps.

    Raises
    ------
    ValueError
        There are no parameters, one is given twice, only some have names, or a setting is unknown
        or makes no sense.
    TypeError
        A parameter is no leaf that requires gradients, or they come in no order (a set).

    Examples
    --------
    >>> import tinytrain as tt
    >>> class PlainDescent(Optimizer):
    ...     def __init__(self, params, lr=0.1):
    ...         super().__init__(params, {"lr": lr})
    ...
    ...     def update(self, parameter, gradient, state, settings, step):
    ...         parameter -= settings["lr"] * gradient
    >>> weight = tt.nn.Parameter(tt.ones(2))
    >>> optimizer = PlainDescent([weight], lr=0.5)
    >>> weight.sum().backward()
    >>> optimizer.step()
    >>> weight.tolist()
    [0.5, 0.5]
    """

    state_names: ClassVar[tuple[str, ...]] = ()
    counts_steps: ClassVar[bool] = True  # whether an update depends on how many there were before

    def __init__(self, params: Parameters, defaults: dict[str, Any]) -> None:
        self.defaults = deepcopy(defaults)
        self.param_groups: list[dict[str, Any]] = []
        self._flat_groups: list[list[FlatGroup]] = []
        self._held: list[list[int]] = []  # the ids of each group's parameters
        self._named: bool | None = None
        groups = _in_order(params)
        if not groups:
            raise ValueError(f"{type(self).__name__} got no parameters")
        if not isinstance(groups[0], Mapping):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Add parameters with settings of their own.

        Parameters
        ----------
        group : mapping
            ``"params"``, and those settings that differ from the defaults.
        """
        if not isinstance(group, Mapping) or "params" not in group:
            raise TypeError(f"a parameter group is a dict with 'params', got {group!r:.80}")
        unknown = set(group) - set(self.defaults) - {"params", *SCHEDULE_SETTINGS}
        if unknown:
            raise ValueError(
                f"{type(self).__name__} has no setting {', '.join(sorted(map(str, unknown)))}; "
                f"it has {', '.join(self.defaults)}"
            )
        members = group["params"]
        members = [members] if isinstance(members, Tensor) else _in_order(members)
        names, parameters = _names_and_parameters(members, len(self.param_groups))
        named = isinstance(members[0], tuple)
        if self._named not in (None, named):
            raise ValueError("either all parameter groups have names for their parameters, or none")
        merged = {**self.defaults, **group, "params": parameters}
        settings = {
            name: value if name == "params" else deepcopy(number_of(name, value))
            for name, value in merged.items()
        }
        self.check_settings(settings)
        if "lr" in settings:  # that a group starts with; a schedule may take it below 0
            check_from_zero(settings, type(self).__name__, "lr")
        kinds: dict[tuple[Any, str], list[int]] = {}
        for position, parameter in enumerate(parameters):
            kinds.setdefault((parameter.dtype, parameter.device), []).append(position)
        flat_groups = [
            FlatGroup([parameters[i] for i in positions], [names[i] for i in positions])
            for positions in kinds.values()
        ]
        self._named = named
        self.param_groups.append(settings)
        self._flat_groups.append(flat_groups)
        self._held.append(list(map(id, parameters)))

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Raise a ValueError or TypeError where a setting makes no sense.

        Called for a new group and for a state to be loaded, in which a schedule may have taken
        ``"lr"`` below 0.
        """
        if "lr" in settings:
            check_numbers(settings, type(self).__name__, "lr")
        if "weight_decay" in settings:
            check_from_zero(settings, type(self).__name__, "weight_decay")

    def _check_groups(self) -> None:
        """Raise where `param_groups` no longer has the parameters that the buffers hold."""
        listed = [list(map(id, settings["params"])) for settings in self.param_groups]
        if listed != self._held:
            raise ValueError(
                f"{type(self).__name__}.param_groups was changed by hand: it lists other "
                f"parameters than the optimizer holds ({[len(ids) for ids in listed]} per group, "
                f"not {[len(ids) for ids in self._held]}); add some with add_param_group({{...}}), "
                "and to leave some out make a new optimizer"
            )

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients; with ``set_to_none=False`` they become zeros that still count.

        A parameter that has no gradient gets none either way.
        """
        for flat_groups in self._flat_groups:
            for group in flat_groups:
                if not set_to_none:
                    group.flat.gradient[...] = 0
                else:
                    for parameter in group.flat.parameters:
                        parameter.leaf_gradient.clear()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; the others, and their state, stay.

        Parameters
        ----------
        closure : function, optional
            Called first, with gradients recorded: it computes the loss and the gradients.

        Returns
        -------
        object
            What the closure returns; None without one.

        Raises
        ------
        ValueError
            A parameter's `data` was replaced by an array of another shape, dtype or device, or
            parameters or groups were added to or taken from `param_groups` by hand. No parameter
            is updated then.
        RuntimeError
            `update` replaced a state array instead of writing into it: a fault of the subclass.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        self._check_groups()
        for flat_groups in self._flat_groups:
            for group in flat_groups:
                group.flat.restore_views()
        self.allocate_state()
        for settings, flat_groups in zip(self.param_groups, self._flat_groups, strict=True):
            for group in flat_groups:
                group.flat.begin_change()
                # Parameters that have had equally many updates share the bias correction.
                for stretch, first in list(group.flat.stretches(labels=group.steps)):
                    names = self.needed_state(settings)
                    views = {name: group.state_array(name)[stretch] for name in names}
                    state = dict(views)
                    self.update(
                        group.flat.data[stretch],
                        group.flat.gradient[stretch],
                        state,
                        settings,
                        group.steps[first] + 1,
                    )
                    for name, array in state.items():
                        if views.get(name) is not array:
                            raise self._lost_state(name)
                for position in range(len(group.steps)):
                    group.steps[position] += group.flat.has_gradient(position)
        for watcher in watchers():
            watcher.after_update(type(self).__name__, self._updated())
        return loss

    def _lost_state(self, name: str) -> RuntimeError:
        """Make the error for a state array that `update` has put into its dictionary."""
        if name in self.state_names:
            return RuntimeError(
                f"{type(self).__name__}.update() put another array under state[{name!r}], and what "
                "it holds would be lost: write into the one that is there, as in "
                f"state[{name!r}][...] = ... or state[{name!r}] *= ..."
            )
        return RuntimeError(
            f"{type(self).__name__}.update() put {name!r} into the state, and that would be lost: "
            f"name it in state_names, now {self.state_names}, and write into the array it gets"
        )

    def _updated(self) -> list[tuple[str, Array]]:
        """Return the parameters that have a gradient, by name."""
        return [
            (group.flat.names[position], group.flat.parameters[position].data)
            for group, position in self._located()
            if group.flat.has_gradient(position)
        ]

    def allocate_state(self) -> None:
        """Make the state arrays that the next step needs, where there are none yet.

        `step` does so before it updates anything: where memory runs out, nothing is half done.

        Raises
        ------
        MemoryError
            There is no memory for them.
        """
        for settings, flat_groups in zip(self.param_groups, self._flat_groups, strict=True):
            for group in flat_groups:
                for name in self.needed_state(settings):
                    tell_ledgers(group.state_array(name))

    def needed_state(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """Return which of `state_names` an update with these settings uses: all, by default."""
        return self.state_names

    def update(
        self,
        parameter: Array,
        gradient: Array,
        state: dict[str, Array],
        settings: Mapping[str, Any],
        step: int,
    ) -> None:
        """Update a stretch of parameters in place.

        Parameters
        ----------
        parameter, gradient : array (N,)
        state : dict of str to array (N,)
            The flat state arrays that `needed_state` names; they start as zeros.
        settings : mapping
            Of the parameter group.
        step : int
            The number of this update, from 1.
        """
        raise NotImplementedError(f"{type(self).__name__} must define update()")

    # ---------------------------------------------------------------- saving and loading

    def _located(self) -> list[tuple[FlatGroup, int]]:
        """Return where each parameter lives, in the order of the parameter groups."""
        self._check_groups()
        places: dict[int, tuple[FlatGroup, int]] = {}
        for flat_groups in self._flat_groups:
            for group in flat_groups:
                for position, parameter in enumerate(group.flat.parameters):
                    places[id(parameter)] = (group, position)
        return [places[id(p)] for settings in self.param_groups for p in settings["params"]]

    def state_dict(self) -> dict[str, Any]:
        """Return copies of state and settings, in PyTorch's layout.

        Returns
        -------
        dict
            ``"state"``: for each parameter that was updated, by number, ``"step"`` and its arrays;
            ``"param_groups"``: the settings, with ``"params"`` as numbers; and ``"optimizer"``:
            the name of the class, which PyTorch leaves aside.
        """
        state = {}
        located = self._located()
        for settings, flat_groups in zip(self.param_groups, self._flat_groups, strict=True):
            for group in flat_groups:
                for name in self.needed_state(settings) if any(group.steps) else ():
                    group.state_array(name)  # a setting changed by hand may need it from now on
        for number, (group, position) in enumerate(located):
            if group.steps[position]:
                arrays = {
                    name: group.flat.piece(flat, position).copy()
                    for name, flat in group.state.items()
                }
                state[number] = {"step": group.steps[position], **arrays}
        groups, count = [], 0
        for settings in self.param_groups:
            numbers = list(range(count, count + len(settings["params"])))
            own = {name: value for name, value in settings.items() if name != "params"}
            groups.append({**deepcopy(own), "params": numbers})
            count += len(numbers)
        return {"state": state, "param_groups": groups, "optimizer": type(self).__name__}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over state and settings by copying them.

        A state of PyTorch's optimizer is taken too, once its tensors are arrays; its settings of
        how to compute (``foreach``, ``fused``, ...) are left out. It does not say of which class it
        is, and is taken where settings and arrays fit.

        Raises
        ------
        ValueError, TypeError
            It is no optimizer's state, or one of another class, or its groups, settings, names,
            shapes, dtypes or numbers of updates cannot be this optimizer's. Nothing is loaded then.
        """
        located = self._located()
        groups, known = self.param_groups, (*self.defaults, *SCHEDULE_SETTINGS)
        settings = [
            {**own, **saved}
            for own, saved in zip(groups, saved_settings(state_dict, groups, known), strict=True)
        ]
        check_class(state_dict, type(self).__name__)
        state = {number: self._complete(saved) for number, saved in state_dict["state"].items()}
        needed: list[tuple[str, ...]] = []
        for merged in settings:
            self.check_settings(merged)
            needed += [self.needed_state(merged)] * len(merged["params"])
        slots = [
            Slot(group.flat.names[i], group.flat.parameters[i], names, self.state_names)
            for (group, i), names in zip(located, needed, strict=True)
        ]
        check_state(state, slots, type(self).__name__)
        check_nothing_is_lost(state_dict, known)
        for own, loaded in zip(groups, settings, strict=True):
            own.update(loaded)
        for number, (group, position) in enumerate(located):
            self._load_parameter(group, position, state.get(number, {"step": 0}))

    def _complete(self, saved: Mapping[str, Any]) -> dict[str, Any]:
        """Add what PyTorch leaves out of a parameter's state, and leave out what it has empty."""
        found = {name: value for name, value in saved.items() if value is not None}
        return found if self.counts_steps else {"step": 1, **found}

    @staticmethod
    def _load_parameter(group: FlatGroup, position: int, saved: Mapping[str, Any]) -> None:
        """Copy one parameter's state; arrays that were not saved become zeros."""
        group.steps[position] = count_of(saved["step"])
        for name in {*group.state, *saved} - {"step"}:
            piece = group.flat.piece(group.state_array(name), position)
            piece[...] = backend.bring_beside(array_of(saved[name]), piece) if name in saved else 0

    def __deepcopy__(self, memo: dict[int, Any]) -> "Optimizer":
        """Copy it, with parameters of its own: those of a model that is copied in the same call."""
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        apart = ("param_groups", "_flat_groups", "_held")
        vars(copied).update(
            {name: deepcopy(value, memo) for name, value in vars(self).items() if name not in apart}
        )
        copied.param_groups = deepcopy(self.param_groups, memo)
        copied._flat_groups = [[group.copied(memo) for group in own] for own in self._flat_groups]
        copied._held = [list(map(id, group["params"])) for group in copied.param_groups]
        return copied

    def __repr__(self) -> str:
        lines = []
        for number, settings in enumerate(self.param_groups):
            shown = {key: value for key, value in settings.items() if key != "params"}
            count = sum(parameter.numel() for parameter in settings["params"])
            listed = ", ".join(f"{key}={value}" for key, value in shown.items())
            lines.append(f"  group {number}: {count:,} values, {listed}")
        return f"{type(self).__name__}(\n" + "\n".join(lines) + "\n)"


def _in_order(items: Any) -> list[Any]:
    """List parameters or groups, which must come in an order that is the same in every run."""
    if isinstance(items, Tensor | set | frozenset | str | Mapping) or not isinstance(
        items, Iterable
    ):
        raise TypeError(
            "an optimizer takes a list (or another ordered iterable) of parameters or of groups, "
            f"got a {type(items).__name__}"
        )
    return list(items)


def _names_and_parameters(
    members: Sequence[Any], group_number: int
) -> tuple[list[str], list[Tensor]]:
    """Separate names from parameters, and check that each can be trained."""
    if not members:
        raise ValueError(f"parameter group {group_number} is empty")
    names, parameters = [], []
    named = isinstance(members[0], tuple)
    for position, member in enumerate(members):
        if isinstance(member, tuple) != named:
            raise ValueError(
                f"parameter {position} of group {group_number} has {'no' if named else 'a'} name, "
                "unlike those before: give names to all or none"
            )
        name, parameter = member if named else (f"{group_number}.{position}", member)
        if not isinstance(parameter, Tensor) or not parameter.is_leaf:
            raise TypeError(
                f"parameter {name!r} is no leaf tensor: {type(parameter).__name__} (an optimizer "
                "takes model.parameters(), not results of operations)"
            )
        if not parameter.requires_grad:
            raise TypeError(f"parameter {name!r} does not require gradients: leave it out")
        names.append(name)
        parameters.append(parameter)
    return names, parameters
