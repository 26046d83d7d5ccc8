"""A checkpoint whose digests fit, but whose state makes no sense, is refused; nothing changes."""

import copy
import json
import math
import random

import numpy as np
import pytest

import tinytrain as tt
from tests.train.test_resume import everything, make_classifier
from tinytrain.train import (
    BestCheckpoint,
    CheckpointError,
    EarlyStopping,
    ExponentialMovingAverage,
    load_checkpoint,
)
from tinytrain.train.nested_state import unpack
from tinytrain.train.random_state import capture_random, generators_of, restore_random

ODD = (None, -1, "x", {}, 2**62, 2**70, {"__number__": "nan"})


def make(out):
    """A run of every part that has a state."""
    np.random.seed(3)
    random.seed(3)
    callbacks = [EarlyStopping(9), BestCheckpoint()]
    trainer = make_classifier(out, callbacks=callbacks, max_steps=6, log_every=4, eval_every=3)
    trainer.callbacks.callbacks.append(ExponentialMovingAverage(trainer.model, 0.9))
    trainer.model.numpy = [np.random.default_rng(1)]
    return trainer


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    trainer = make(tmp_path_factory.mktemp("run"))
    trainer.fit()
    arrays, state = load_checkpoint(trainer.last_checkpoint)
    return arrays, json.loads(json.dumps(state))


def leaves(value, path=()):
    """The paths of all parts of a state, containers too; of long lists the first and last."""
    if path:
        yield path
    if path and path[0] in ("settings", "config"):
        return
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, (*path, name))
    elif isinstance(value, list):
        for number in sorted({0, len(value) - 1} & set(range(len(value)))):
            yield from leaves(value[number], (*path, number))


def replaced(state, path, value):
    forged = copy.deepcopy(state)
    part = forged
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    return forged


def all_of(trainer):
    sources = generators_of(trainer.model)
    drawn = capture_random(sources)
    plain = [drawn["generators"], drawn["python"]["words"].tolist(), drawn["python"]["normal"]]
    plain += [drawn["numpy"]["state"]["key"].tolist(), drawn["numpy"]["state"]["pos"]]
    callbacks = trainer.callbacks.state_dict()
    rest = {name: callbacks[name] for name in ("EarlyStopping", "BestCheckpoint")}
    return (
        {name: value for name, value in everything(trainer).items() if name != "log"},
        plain,
        repr(rest),
        callbacks["ExponentialMovingAverage"]["updates"],
        trainer.meter.items,
        trainer.last_evaluation,
        trainer.micro_batches.size,
        trainer.last_loss,
        repr(trainer.settings),
    )


# What a value of may be changed without harm: figures of the past, hyperparameters, words.
HARMLESS = (
    "config",
    "settings",
    "last_loss",
    "last_evaluation",
    "validation",
    "meter",
    "optimizer",
)


@pytest.mark.parametrize("shift", [0, pytest.param(3, marks=pytest.mark.slow)])
def test_no_odd_value_gets_halfway_in(saved, tmp_path, shift):
    arrays, state = saved
    trainer = make(tmp_path / "run")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "log.jsonl").touch()
    before, accepted = all_of(trainer), []
    for number, place in enumerate(leaves(state), start=shift):
        odd = ODD[number % len(ODD)]
        forged = replaced(state, place, odd)
        try:
            tt.train.run_state.restore(trainer, tmp_path / "forged.npz", arrays, forged)
        except CheckpointError:
            assert all_of(trainer) == before, place
        else:
            accepted.append((place, odd))
            trainer = make(tmp_path / "run")
            before = all_of(trainer)
    harmless = {*HARMLESS, "optimizer", "schedule", "callbacks", "sampler", "dataset"}
    harmless |= {"size"}  # more rows than there are
    harmless |= {"epoch", "batches", "steps", "items", "seed", "base_seed", "initial_seed", "draws"}
    harmless |= {"step", "uinteger", "state", "inc", "has_gauss", "has_uint32", "gauss", "normal"}
    bad = [(place, odd) for place, odd in accepted if not {*place} & harmless]
    assert [(place, odd) for place, odd in bad if not _same(state, place, odd)] == []


def _same(state, place, odd):
    for name in place:
        state = state[name]
    return state == odd or (odd is None and place in (("micro_batches", "size"), ("schedule",)))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("numpy", "state", "pos"), 2**30),
        (("numpy", "state", "pos"), -1),
        (("numpy", "state", "pos"), 625),
        (("numpy", "state", "key"), np.zeros(624, np.uint32)),  # drawing again goes on for ever
        (("python", "words"), np.zeros(625, np.uint32)),
        (("numpy", "has_gauss"), 2),
        (("numpy", "gauss"), math.nan),
        (("numpy", "bit_generator"), "PCG64"),
        (("numpy", "state", "key"), np.zeros(3, np.uint32)),
        (("python", "words"), np.full(625, 2**31, np.uint32)),
        (("python", "version"), 2),
        (("generators", 0, "draws"), 2**62),
        (("generators", 0, "initial_seed"), "1"),
        (("generators", 1, "state", "pos"), 1000),
    ],
)
def test_random_states_are_checked_before_any_is_set(place, value):
    model = tt.nn.Sequential(tt.nn.Dropout())
    model[0].own = {"a": [np.random.Generator(np.random.MT19937(0))]}
    generators = generators_of(model)
    state = capture_random(generators)
    state["generators"][0] = {"algorithm": "MT19937", "initial_seed": 3, "draws": 5}
    forged = copy.deepcopy(state)
    part = forged
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    before = repr(capture_random(generators))
    with pytest.raises(ValueError):
        restore_random(generators, forged)
    assert repr(capture_random(generators)) == before


def test_a_forged_numpy_state_ends_no_process(saved, tmp_path):
    arrays, state = saved
    trainer = make(tmp_path)
    forged = replaced(state, ("random", "numpy", "state", "pos"), 2**30)
    with pytest.raises(CheckpointError, match="pos of a random generator is out of range"):
        tt.train.run_state.restore(trainer, tmp_path / "x.npz", arrays, forged)
    np.random.random()


@pytest.mark.parametrize("seed", range(3))
def test_fuzzed_random_states_are_refused_or_usable(seed):
    """Whatever is accepted, all generators can be drawn from."""
    source = np.random.default_rng(seed)
    generators = generators_of(tt.nn.Dropout())
    good = capture_random(generators)
    values = [-1, 0, 1, 3, 624, 625, 2**20, 2**40, 2**64, None, "MT19937", 0.5, math.inf, [], {}]
    values += [np.zeros(624, np.uint32), np.zeros(625, np.uint32), np.ones(624, np.int64)]
    for _ in range(300):
        forged = copy.deepcopy(good)
        part = forged
        while True:
            keys = list(part) if isinstance(part, dict) else range(len(part))
            key = keys[source.integers(len(keys))]
            inner = part[key]
            if not isinstance(inner, dict | list) or not inner or source.random() < 0.2:
                break
            part = inner
        part[key] = values[source.integers(len(values))]
        try:
            restore_random(generators, forged)
        except ValueError:
            continue
        random.random(), np.random.random(), np.random.normal(), generators[0].random_int64()
        restore_random(generators, good)


@pytest.mark.parametrize("bits", ["MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"])
def test_numpy_generators_of_layers_are_saved(bits):
    model = tt.nn.Sequential(tt.nn.Dropout())
    own = np.random.Generator(getattr(np.random, bits)(5))
    model[0].kept = ({"a": [own]}, np.random.RandomState(3), [tt.Generator(2)])
    generators = generators_of(model)
    assert len(generators) == 4
    own.random(dtype=np.float32)
    state = json.loads(json.dumps(capture_random(generators)["generators"]))
    expected = own.random(5), model[0].kept[1].normal(), model[0].kept[2][0].random_int64()
    restored = {**capture_random(generators), "generators": unpack(state, {})}
    restore_random(generators, restored)
    again = own.random(5), model[0].kept[1].normal(), model[0].kept[2][0].random_int64()
    assert repr(again) == repr(expected)
