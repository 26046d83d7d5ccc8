"""Telling all callbacks of a run what happens, and saving their states together."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from tinytrain.train.callback import Callback
from tinytrain.train.say import flush_outputs


class CallbackList(Callback):
    """Passes everything on to each of its callbacks, in their order.

    Its state has those of the callbacks, by the names of their classes; a second one of the same
    class gets a number.

    Examples
    --------
    >>> class Count(Callback):
    ...     steps = 0
    ...     def on_step_end(self, trainer, record):
    ...         self.steps += 1
    ...     def state_dict(self):
    ...         return {"steps": self.steps}
    >>> callbacks = CallbackList([Count(), Callback(), Count()])
    >>> callbacks.on_step_end(None, {})
    >>> callbacks.state_dict()
    {'Count': {'steps': 1}, 'Count-2': {'steps': 1}}
    """

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self.callbacks = list(callbacks)

    def __iter__(self) -> Iterator[Callback]:
        return iter(self.callbacks)

    @contextmanager
    def during_run(self, trainer: Any) -> Iterator[None]:
        """Tell of the start of a run, and at the end of the block, however it comes, of the end."""
        try:
            self.on_run_start(trainer)
            yield
        finally:
            self.on_run_end(trainer)

    def on_run_start(self, trainer: Any) -> None:
        """Pass it on."""
        for callback in self.callbacks:
            callback.on_run_start(trainer)

    def on_window_start(self, trainer: Any) -> None:
        """Pass it on."""
        with self._each(trainer) as tell:
            for callback in self.callbacks:
                tell(callback.on_window_start, trainer)

    def on_micro_batch(self, trainer: Any, items: float) -> None:
        """Pass it on."""
        with self._each(trainer) as tell:
            for callback in self.callbacks:
                tell(callback.on_micro_batch, trainer, items)

    def on_step_end(self, trainer: Any, record: Mapping[str, Any]) -> None:
        """Pass it on."""
        with self._each(trainer) as tell:
            for callback in self.callbacks:
                tell(callback.on_step_end, trainer, record)

    def on_log(self, trainer: Any, record: dict[str, Any]) -> None:
        """Pass it on."""
        with self._each(trainer) as tell:
            for callback in self.callbacks:
                tell(callback.on_log, trainer, record)

    def on_record(self, trainer: Any, record: Mapping[str, Any]) -> None:
        """Pass it on."""
        with self._each(trainer) as tell:
            for callback in self.callbacks:
                tell(callback.on_record, trainer, record)

    @contextmanager
    def during_evaluation(self, trainer: Any) -> Iterator[None]:
        """Enter all their blocks."""
        with ExitStack() as stack:
            for callback in self.callbacks:
                stack.enter_context(callback.during_evaluation(trainer))
            yield

    def on_evaluation(self, trainer: Any, loss: float) -> None:
        """Pass it on."""
        with self._each(trainer) as tell:
            for callback in self.callbacks:
                tell(callback.on_evaluation, trainer, loss)

    def on_evaluation_end(self, trainer: Any, loss: float) -> None:
        """Pass it on."""
        with self._each(trainer) as tell:
            for callback in self.callbacks:
                tell(callback.on_evaluation_end, trainer, loss)

    def on_run_end(self, trainer: Any) -> None:
        """Pass it on, in the reverse order; an error of one does not keep it from the others."""
        with ExitStack() as stack:
            for callback in self.callbacks:
                stack.callback(callback.on_run_end, trainer)

    @contextmanager
    def _each(self, trainer: Any) -> Iterator[Callable[..., None]]:
        """Give a way to call a method of each callback, of which none misses what happened.

        Where nobody reads any more what one of them prints, because a signal has ended the reader
        too, the run is about to be saved, and goes on until then.
        """
        broken: list[BrokenPipeError] = []

        def tell(method: Callable[..., None], *arguments: Any) -> None:
            try:
                method(*arguments)
            except BrokenPipeError as error:
                flush_outputs()
                broken.append(error)

        yield tell
        signals = getattr(trainer, "signals", None)
        if broken and not (signals is not None and signals.arrived()):
            raise broken[0]

    def settings(self) -> dict[str, Any]:
        """Return the settings of those callbacks that have some."""
        return {name: own for name, one in self._named() if (own := one.settings())}

    def state_dict(self) -> dict[str, Any]:
        """Return the states of those callbacks that have one."""
        return {name: state for name, one in self._named() if (state := one.state_dict())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Give the states back to those callbacks that are there."""
        for name, callback in self._named():
            if name in state:
                callback.load_state_dict(state[name])

    def _named(self) -> list[tuple[str, Callback]]:
        counts: dict[str, int] = {}
        found = []
        for callback in self.callbacks:
            name = type(callback).__name__
            counts[name] = counts.get(name, 0) + 1
            found.append((name if counts[name] == 1 else f"{name}-{counts[name]}", callback))
        return found
