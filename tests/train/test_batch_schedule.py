"""A number of micro-batches that follows a schedule, and windows that follow it."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytrain as tt
from tests.train.regression import make_data, make_model, make_trainer
from tinytrain.data import DataLoader
from tinytrain.train import AccumulationSchedule
from tinytrain.train.windows import LAST_WINDOW_POLICIES, WindowStream


def take(stream, steps, items=1):
    """The sizes of so many windows, each of which becomes a step."""
    sizes = []
    for window in itertools.islice(iter(stream), steps):
        sizes.append(len(window))
        stream.made_step(items * len(window))
    return sizes


def test_stages_by_steps_and_by_items():
    by_steps = WindowStream(range(100), AccumulationSchedule({0: 1, 2: 3, 4: 2}))
    assert take(by_steps, 6) == [1, 1, 3, 3, 2, 2]
    by_items = WindowStream(range(100), AccumulationSchedule({0: 1, 20: 3, 70: 5}, by="items"))
    assert take(by_items, 6, items=10) == [1, 1, 3, 3, 5, 5]
    assert (by_items.steps, by_items.items) == (6, 180)


def test_a_window_without_a_step_does_not_count():
    stream = WindowStream(range(100), AccumulationSchedule({0: 1, 2: 3}))
    windows = iter(stream)
    sizes = []
    for number in range(5):
        sizes.append(len(next(windows)))
        if number != 0:
            stream.made_step(1)
    assert sizes == [1, 1, 1, 3, 3]


@given(
    st.integers(1, 12),
    st.dictionaries(st.integers(1, 8), st.integers(1, 5), max_size=3),
    st.integers(1, 4),
    st.sampled_from(LAST_WINDOW_POLICIES),
    st.integers(1, 3),
)
def test_windows_in_counts_what_comes(batches, stages, first, policy, epochs):
    schedule = AccumulationSchedule({0: first, **stages})
    stream = WindowStream(list(range(batches)), schedule, policy)
    promised = stream.windows_in(epochs)
    if policy == "drop" and promised < epochs:
        return  # some epoch gives no window
    taken = sum(take(stream, promised))
    assert taken <= epochs * batches
    assert stream.epoch <= epochs
    if policy == "step":
        assert taken == epochs * batches


def test_how_many_windows_there_are_by_items_is_not_known():
    stream = WindowStream(range(4), AccumulationSchedule({0: 1, 5: 2}, by="items"))
    with pytest.raises(TypeError, match="give max_steps"):
        stream.windows_in(1)


@pytest.mark.parametrize("by", ["steps", "items"])
@pytest.mark.parametrize("at", range(1, 7))
def test_a_position_returns(by, at):
    def make():
        schedule = AccumulationSchedule({0: 1, 3: 2, 6: 3}, by)
        return WindowStream(DataLoader(range(23), 2, shuffle=True, generator=0), schedule)

    straight = take(make(), 9)
    stream = make()
    begun = take(stream, at)
    state = stream.state_dict()
    other = make()
    other.load_state_dict(state)
    assert begun + take(other, 9 - at) == straight


def test_another_schedule_is_refused():
    loader = DataLoader(range(9))
    state = WindowStream(loader, AccumulationSchedule({0: 1, 3: 2})).state_dict()
    for size in (
        1,
        AccumulationSchedule({0: 1, 4: 2}),
        AccumulationSchedule({0: 1, 3: 2}, "items"),
    ):
        with pytest.raises(ValueError, match=r"it was made with windows of .*'stages'"):
            WindowStream(loader, size).load_state_dict(state)


def test_instead_of_decay_mirrors_the_rate():
    schedule = AccumulationSchedule.instead_of_decay(2, [10, 20], gamma=0.25)
    weight = tt.zeros(1, requires_grad=True)
    optimizer = tt.optim.SGD([weight], lr=1.0)
    decay = tt.optim.lr_scheduler.MultiStepLR(optimizer, [10, 20], gamma=0.25)
    for step in range(25):
        batch = schedule.accumulation_steps(step, 0)
        assert batch == pytest.approx(2 / optimizer.param_groups[0]["lr"])
        optimizer.step()
        decay.step()
    assert schedule.largest == 32


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AccumulationSchedule({1: 2}), r"with how many micro-batches to begin.*\{1: 2\}"),
        (lambda: AccumulationSchedule({}), "to begin"),
        (lambda: AccumulationSchedule({0: 0}), "accumulation_steps must be a whole number"),
        (
            lambda: AccumulationSchedule({0: 1, -1: 2}),
            "of at least 0, but got -1",
        ),
        (lambda: AccumulationSchedule({0: 1, 2.5: 2}, "items"), "least 0, but got 2.5"),
        (lambda: AccumulationSchedule({0: 1}, "epochs"), "'steps' or 'items', not 'epochs'"),
        (lambda: AccumulationSchedule.instead_of_decay(2, [5], 0.3), "choose another gamma"),
        (lambda: AccumulationSchedule.instead_of_decay(2, [5], 1.0), "between 0 and 1, got 1.0"),
    ],
)
def test_settings_that_make_no_sense(make, message):
    with pytest.raises(ValueError, match=message):
        make()


class WithIndices:
    """A loader that says which items its last batch holds."""

    last_indices = None

    def __iter__(self):
        for start in range(0, 6, 2):
            self.last_indices = [start, start + 1]
            yield start


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("step", [[[0, 1], [2, 3]], [[4, 5]]]),
        ("carry", [[[0, 1], [2, 3]], [[4, 5], [0, 1]]]),
        ("drop", [[[0, 1], [2, 3]], [[0, 1], [2, 3]]]),
    ],
)
def test_the_indices_of_a_window(policy, expected):
    stream = WindowStream(WithIndices(), 2, policy)
    found = [stream.last_indices for _ in itertools.islice(iter(stream), 2)]
    assert found == expected
    plain = WindowStream([1, 2], 2)
    next(iter(plain))
    assert plain.last_indices == [None, None]


def test_a_run_follows_the_schedule():
    model = make_model()
    trainer = make_trainer(
        model,
        make_data(40),
        max_steps=4,
        accumulation_steps=AccumulationSchedule({0: 1, 2: 3}),
    )
    sizes = []
    loss_function = trainer.loss_function

    def counted(model, batch):
        sizes.append(trainer.step)
        return loss_function(model, batch)

    trainer.loss_function = counted
    trainer.fit()
    assert sizes == [0, 1, 2, 2, 2, 3, 3, 3]


@pytest.mark.parametrize("milestones", [[0, 10], [30, 20], [20, 20], [-5], [2.5]])
def test_milestones_rise_from_above_zero(milestones):
    with pytest.raises(ValueError, match="milestone"):
        AccumulationSchedule.instead_of_decay(2, milestones, 0.5)
