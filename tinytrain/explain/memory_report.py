"""A report of where memory goes, and how it is printed."""

from dataclasses import dataclass

from tinytrain.memory import format_bytes


@dataclass
class LayerMemory:
    """The bytes that belong to one layer, without those of the layers in it.

    Attributes
    ----------
    layer : str
        Its dotted name; the model's class for what the model itself holds, and ``"(loss)"`` for
        what is computed outside of it.
    weights : int
        Parameters and buffers.
    gradients, state : int
        Of the parameters: their gradients, and what the optimizer keeps for them.
    activations : int
        What its operations keep for backward. What several keep counts where it is kept first.

    Examples
    --------
    >>> LayerMemory("head", weights=8, gradients=8, state=16, activations=4).total
    36
    """

    layer: str
    weights: int = 0
    gradients: int = 0
    state: int = 0
    activations: int = 0

    @property
    def total(self) -> int:
        """The sum of all."""
        return self.weights + self.gradients + self.state + self.activations


@dataclass
class MemoryReport:
    """What `memory` found out; print it for a table.

    Attributes
    ----------
    layers : list of LayerMemory
        In the order of the model.
    batch : int
        The bytes of the batch.
    working : int
        What is needed for a moment beside all that: intermediate results, and gradients on their
        way back.
    measured : int or None
        The measured peak.

    Examples
    --------
    >>> import tinytrain as tt
    >>> model = tt.nn.Sequential(tt.nn.Linear(4, 2), tt.nn.ReLU())
    >>> report = tt.explain.memory(model, tt.ones(3, 4))
    >>> [(layer.layer, layer.weights) for layer in report.layers]
    [('0', 40), ('1', 0), ('(loss)', 0)]
    """

    layers: list[LayerMemory]
    batch: int
    working: int = 0
    measured: int | None = None

    def total(self, what: str) -> int:
        """Add up ``"weights"``, ``"gradients"``, ``"state"`` or ``"activations"`` of all layers."""
        return sum(getattr(layer, what) for layer in self.layers)

    @property
    def predicted(self) -> int:
        """The predicted peak of a training step, in bytes."""
        return sum(layer.total for layer in self.layers) + self.batch + self.working

    def __str__(self) -> str:
        columns = ("weights", "gradients", "state", "activations", "total")
        rows = [["layer", *columns]]
        rows += [
            [layer.layer, *(format_bytes(getattr(layer, c)) for c in columns)]
            for layer in self.layers
            if layer.total
        ]
        rows.append(["sum", *(format_bytes(self.total(column)) for column in columns)])
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = [
            "  ".join(
                cell.rjust(width) if i else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        lines.insert(-1, "-" * len(lines[0]))
        lines.append(
            f"the batch: {format_bytes(self.batch)}; for a moment: {format_bytes(self.working)}"
        )
        peak = f"predicted peak: {format_bytes(self.predicted)}"
        if self.measured is not None:
            share = 100 * (self.predicted / self.measured - 1)
            peak += f"; measured: {format_bytes(self.measured)} (prediction {share:+.1f} %)"
        return "\n".join([*lines, peak])
