"""Sample inputs of the recurrences. PyTorch's are reached with the identity as input weight."""

from op_sample import normal, sample

from tinytrain.ops.recurrent import GRURecurrence, LSTMRecurrence, RNNRecurrence

STEPS, BATCH, SIZE, PROJECTED = 4, 3, 2, 1


def ours(kind, **settings):
    return lambda t, *inputs: getattr(t.nn.functional, kind)(*inputs, **settings)


def theirs(kind, reverse=False, bias=True):
    """The same by a whole layer of PyTorch's, whose states are the outputs."""

    def run(torch, gates, hidden, weight, b=None):
        identity = torch.eye(gates.shape[2], dtype=gates.dtype)
        parameters = [identity, weight]
        if bias:
            parameters += [torch.zeros_like(b), b]
        x = gates.flip(0) if reverse else gates
        states = getattr(torch, kind)(
            x, hidden[None], parameters, bias, 1, 0.0, False, False, False
        )[0]
        return states.flip(0) if reverse else states

    return run


def their_lstm(reverse=False, projected=False):
    """Step by step, for the states of the memory cell are wanted too."""

    def run(torch, gates, hidden, cell, weight, bias, projection=None):
        states = []
        for x in gates.flip(0) if reverse else gates:
            y = torch.nn.functional.linear(hidden, weight, bias) + x
            zeros = torch.zeros_like(y[:, :SIZE])
            nothing = torch.zeros(4 * SIZE, SIZE, dtype=x.dtype)
            identity = torch.eye(4 * SIZE, dtype=x.dtype)
            hidden, cell = torch.lstm_cell(y, (zeros, cell), identity, nothing, None, None)
            if projected:
                hidden = torch.nn.functional.linear(hidden, projection)
            states.append(torch.cat([hidden, cell], 1))
        return torch.stack(states[::-1] if reverse else states)

    return run


def arrays(gates, steps=STEPS, batch=BATCH, rows=SIZE, states=1, bias=True):
    widths = [rows, SIZE][:states]
    first = [normal(steps, batch, gates * SIZE), *(normal(batch, width) for width in widths)]
    last = [normal(gates * SIZE, rows), normal(gates * SIZE)]
    return first + (last if bias else last[:1])


RECURRENT = [
    *(
        sample(
            RNNRecurrence,
            f"{nonlinearity}{'_reverse' if reverse else ''}",
            ours("rnn_recurrence", nonlinearity=nonlinearity, reverse=reverse),
            *arrays(1),
            oracle=theirs(f"rnn_{nonlinearity}", reverse),
        )
        for nonlinearity in ("tanh", "relu")
        for reverse in (False, True)
    ),
    *(
        sample(
            GRURecurrence,
            label,
            ours("gru_recurrence", reverse=label == "reverse"),
            *arrays(3, **sizes),
            oracle=theirs("gru", label == "reverse", sizes.get("bias", True)),
        )
        for label, sizes in [
            ("", {}),
            ("reverse", {}),
            ("no_bias", {"bias": False}),
            ("one_step", {"steps": 1}),
        ]
    ),
    sample(LSTMRecurrence, "", ours("lstm_recurrence"), *arrays(4, states=2), oracle=their_lstm()),
    sample(
        LSTMRecurrence,
        "reverse",
        ours("lstm_recurrence", reverse=True),
        *arrays(4, states=2),
        oracle=their_lstm(reverse=True),
    ),
    sample(
        LSTMRecurrence,
        "projected",
        ours("lstm_recurrence"),
        *arrays(4, rows=PROJECTED, states=2),
        normal(PROJECTED, SIZE),
        oracle=their_lstm(projected=True),
    ),
    sample(
        LSTMRecurrence,
        "no_sequences",
        ours("lstm_recurrence"),
        *arrays(4, batch=0, states=2),
        oracle=their_lstm(),
    ),
]
