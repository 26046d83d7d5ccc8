"""`check_optimizer`: right optimizers pass, and every planted fault is named in words."""

import re

import numpy as np
import pytest

import tinytrain as tt
from tinytrain.backend import xp_of
from tinytrain.optim.optimizer import Optimizer
from tinytrain.testing.check_optimizer import check_optimizer
from tinytrain.testing.errors import CheckError


class Momentum(Optimizer):
    """b <- 0.5 b + g; p <- p - lr b. Each class below differs from it in one place."""

    state_names = ("buffer",)

    def __init__(self, params, lr=0.05):
        super().__init__(params, {"lr": lr, "weight_decay": 0.0})

    def update(self, parameter, gradient, state, settings, step):
        buffer = state["buffer"]
        buffer *= 0.5
        buffer += gradient
        parameter -= float(settings["lr"]) * buffer


def by_formula(parameter, gradient, keep, step):
    keep["buffer"] = 0.5 * keep.get("buffer", 0.0) + gradient
    return parameter - 0.05 * keep["buffer"]


EVERYTHING = [
    "zero_grad",
    "update",
    "gradients",
    "one by one",
    "simple loop",
    "descent",
    "no gradient",
    "state",
    "settings",
    "groups",
    "maximize",
    "closure",
    "given twice",
    "float32",
    "mock GPU",
]


def test_right_optimizer_passes_every_check():
    assert check_optimizer(Momentum, simple=by_formula) == EVERYTHING


@pytest.mark.parametrize(
    "make",
    [
        lambda p: tt.optim.SGD(p, lr=0.1),
        lambda p: tt.optim.SGD(p, lr=0.02, momentum=0.9, nesterov=True, weight_decay=0.1),
        lambda p: tt.optim.AdamW(p, lr=0.05),
        lambda p: tt.optim.Adam(p, lr=0.05, maximize=False, amsgrad=True, weight_decay=0.01),
        lambda p: tt.optim.RMSprop(p, lr=0.02, centered=True),
        lambda p: tt.optim.Adagrad(p, lr=0.3),
        lambda p: tt.optim.Lion(p, lr=0.01),
    ],
)
def test_optimizers_of_tinytrain_pass(make):
    assert "state" in check_optimizer(make)


class Climbs(Momentum):
    def update(self, parameter, gradient, state, settings, step):
        parameter += float(settings["lr"]) * gradient


class Mixes(Momentum):
    def update(self, parameter, gradient, state, settings, step):
        super().update(parameter, gradient / (1 + len(parameter)), state, settings, step)


class MovesAll(Momentum):
    def step(self, closure=None):
        super().step(closure)
        for flat_groups in self._flat_groups:
            for group in flat_groups:
                group.flat.data *= 0.999


class AgesAll(Momentum):
    def step(self, closure=None):
        super().step(closure)
        for flat_groups in self._flat_groups:
            for group in flat_groups:
                group.state_array("buffer")[...] += 0.01


class KeepsGradients(Momentum):
    def zero_grad(self, set_to_none=True):
        super().zero_grad(set_to_none=False)


class HiddenState(Momentum):
    def __init__(self, params):
        super().__init__(params)
        self.rate = 1.0

    def step(self, closure=None):
        super().step(closure)
        self.rate *= 0.9

    def update(self, parameter, gradient, state, settings, step):
        super().update(parameter, gradient * self.rate, state, settings, step)


class SharesItsState(Momentum):
    def state_dict(self):
        state = super().state_dict()
        for number, (group, position) in enumerate(self._located()):
            piece = group.flat.piece(group.state["buffer"], position)
            state["state"][number]["buffer"] = piece
        return state


class RemembersItsRate(Momentum):
    def __init__(self, params):
        super().__init__(params)
        self.rate = 0.05

    def update(self, parameter, gradient, state, settings, step):
        parameter -= self.rate * gradient


class TakesTwice(Momentum):
    def __init__(self, params):
        super().__init__(list({id(p): p for p in params}.values()))


class LosesDigits(Momentum):
    def update(self, parameter, gradient, state, settings, step):
        if parameter.dtype == np.float32:
            gradient = gradient * 1.1
        super().update(parameter, gradient, state, settings, step)


class NumpyCall(Momentum):
    def update(self, parameter, gradient, state, settings, step):
        super().update(parameter, np.multiply(gradient, 1.0), state, settings, step)


class ScalesGradients(Momentum):
    def update(self, parameter, gradient, state, settings, step):
        gradient *= 1.0 - 1e-3
        super().update(parameter, gradient, state, settings, step)


class DividesByTheGradient(Momentum):
    def update(self, parameter, gradient, state, settings, step):
        parameter -= float(settings["lr"]) * gradient / xp_of(gradient).abs(gradient)


class SettingsOfTheFirstGroup(Momentum):
    def update(self, parameter, gradient, state, settings, step):
        super().update(parameter, gradient, state, self.param_groups[0], step)


class KeepsTheLoadedDictionary(Momentum):
    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)
        self.loaded = state_dict

    def step(self, closure=None):
        if hasattr(self, "loaded"):
            self.loaded["state"][0]["buffer"] += 1.0
        return super().step(closure)


class IgnoresMaximize(Momentum):
    def __init__(self, params, lr=0.05, maximize=False):
        Optimizer.__init__(self, params, {"lr": lr, "maximize": maximize})


class TakesMaximize(Momentum):
    def __init__(self, params, lr=0.05, maximize=False):
        super().__init__(params, lr)


class IgnoresTheClosure(Momentum):
    def step(self, closure=None):
        return super().step()


class NoClosure(Momentum):
    def step(self):
        return super().step()


class LosesTheLoss(Momentum):
    def step(self, closure=None):
        super().step(closure)


class ZerosInOneWay(Momentum):
    def zero_grad(self):
        super().zero_grad()


class NeverZeros(Momentum):
    def zero_grad(self, set_to_none=True):
        super().zero_grad()


class RateAsASwitch(Momentum):
    def update(self, parameter, gradient, state, settings, step):
        parameter -= 0.05 * gradient if settings["lr"] else 0.0


class Rebinds(Momentum):
    def update(self, parameter, gradient, state, settings, step):
        parameter = parameter - settings["lr"] * gradient


class RebindsItsState(Momentum):
    def update(self, parameter, gradient, state, settings, step):
        state["buffer"] = 0.5 * state["buffer"] + gradient
        parameter -= settings["lr"] * state["buffer"]


class DecaysItsRate(Momentum):
    def update(self, parameter, gradient, state, settings, step):
        settings["lr"] *= 0.99
        super().update(parameter, gradient, state, settings, step)


class KeepsZeros(Momentum):
    def zero_grad(self, set_to_none=True):
        pass


class WrongLate(Momentum):
    def update(self, parameter, gradient, state, settings, step):
        gradient = gradient * (1.0 if step < 40 else 0.5)
        super().update(parameter, gradient, state, settings, step)


FAULTS = [
    (Rebinds, {}, r"update: no parameter moved .*write into its argument, parameter -="),
    (RebindsItsState, {}, r"zero_grad: .*put another array under state\['buffer'\]"),
    (DecaysItsRate, {}, r"update: a step changed the setting 'lr' from 0.05 to"),
    (KeepsZeros, {}, r"zero_grad: parameter 0 has a gradient after zero_grad"),
    (WrongLate, {"simple": by_formula}, r"simple loop: parameter 0, .*gives after step 40"),
    (Climbs, {}, r"descent: after 100 steps .*it went up: look at the sign"),
    (Mixes, {"fraction": 1.0}, r"one by one: parameter 0, element .*must not mix them"),
    (Momentum, {"simple": lambda p, g, keep, step: p - 0.05 * g}, r"simple loop: .*after step 2"),
    (MovesAll, {}, r"no gradient: parameter 1, .*it had no gradient, so it must stay"),
    (AgesAll, {}, r"no gradient: parameter 1, .*its state must not move either"),
    (KeepsGradients, {}, r"zero_grad: parameter 0 has a gradient after zero_grad"),
    (HiddenState, {"fraction": 1.0}, r"no gradient|state: parameter 0, .*bit for bit"),
    (SharesItsState, {}, r"state: state_dict\(\) changed with further steps; return copies"),
    (RemembersItsRate, {}, r"settings: parameter 0, .*read settings in every update"),
    (ScalesGradients, {}, r"gradients: the gradient of parameter 0, .*leave gradients alone"),
    (DividesByTheGradient, {"fraction": 2}, r"gradients: parameter 0 is not finite .*small eps"),
    (SettingsOfTheFirstGroup, {}, r"groups: parameter 1, .*quarter of the learning rate"),
    (KeepsTheLoadedDictionary, {}, r"state: the dictionary given to load_state_dict changed"),
    (IgnoresMaximize, {}, r"maximize: parameter 0, .*what maximize=False is with -gradient"),
    (TakesMaximize, {}, r"maximize: __init__ takes maximize, and param_groups have no such"),
    (IgnoresTheClosure, {}, r"closure: step\(closure\) did not call the closure"),
    (NoClosure, {}, r"closure: step\(closure\) raised .*step\(self, closure=None\)"),
    (LosesTheLoss, {}, r"closure: step\(closure\) returned None, expected .*1.5"),
    (ZerosInOneWay, {}, r"zero_grad: zero_grad\(set_to_none=False\) raised .*take the argument"),
    (NeverZeros, {}, r"zero_grad: after zero_grad\(set_to_none=False\) the gradients are not"),
    (RateAsASwitch, {}, r"settings: half of .*gave the same first step"),
    (TakesTwice, {}, r"given twice: a parameter that was given twice was taken"),
    (LosesDigits, {}, r"float32: parameter 0"),
    (NumpyCall, {}, r"mock GPU: it raised TypeError: .*xp_of\(parameter\)"),
]


@pytest.mark.parametrize(("make", "settings", "words"), FAULTS)
def test_planted_fault_is_named(make, settings, words):
    with pytest.raises(CheckError) as caught:
        check_optimizer(make, **settings)
    assert re.search(words, str(caught.value)), str(caught.value)
    assert str(caught.value).startswith(make.__name__)
    assert tt.get_device() == "cpu"


@pytest.mark.parametrize(
    ("make", "words"),
    [(3, "takes a function from a list of parameters"), (lambda p: 3, "returned 3, no optimizer")],
)
def test_what_is_no_optimizer(make, words):
    with pytest.raises(TypeError, match=words):
        check_optimizer(make)


def test_every_check_can_object():
    assert {words.split(":")[0].split("|")[0] for _, _, words in FAULTS} == set(EVERYTHING)
