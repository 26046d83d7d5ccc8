"""The layers and inputs on which PyTorch tests its modules, replayed through tinytrain."""

import warnings

import numpy as np
import pytest

import tinytrain as tt
from tests.oracle.replay import (
    TOLERANCES,
    LeftOut,
    Tally,
    compare,
    compare_gradients,
    convert,
    flat,
    near,
)

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")  # which PyTorch's tables import

pytestmark = [pytest.mark.oracle, pytest.mark.slow]


def entries():
    """List what PyTorch's table has of layers that tinytrain has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_modules import module_db
    return [info for info in module_db if hasattr(tt.nn, info.module_cls.__name__)]


def samples_of(info, dtype, training):
    """List the samples of one dtype and mode, the same in every run."""
    torch.manual_seed(0)
    np.random.seed(0)
    settings = {"device": "cpu", "dtype": dtype, "requires_grad": True, "training": training}
    listed = info.module_inputs_func(info, **settings)
    return [sample for sample in listed if sample.forward_input is not None]


def drops_out(module):
    """Whether a layer draws random numbers in training."""
    inner = [getattr(m, "p", 0) for m in module.modules() if "Dropout" in type(m).__name__]
    own = getattr(module, "dropout", 0)
    return any(inner) or (isinstance(own, float) and own > 0)


def encoder_layer(theirs):
    """Return a TransformerEncoderLayer with the settings of PyTorch's."""
    attention = theirs.self_attn
    activation = getattr(theirs.activation, "__name__", str(theirs.activation))
    return tt.nn.TransformerEncoderLayer(
        attention.embed_dim,
        attention.num_heads,
        theirs.linear1.out_features,
        theirs.dropout.p,
        "gelu" if "gelu" in activation else "relu",
        theirs.norm1.eps,
        attention.batch_first,
        theirs.norm_first,
        theirs.linear1.bias is not None,
    )


def converted(value):
    """Return a constructor's argument as tinytrain's: PyTorch gives an encoder its first layer."""
    if isinstance(value, torch.nn.TransformerEncoderLayer):
        return encoder_layer(value)
    if isinstance(value, torch.nn.Module):
        raise LeftOut(f"a {type(value).__name__} as an argument")
    return convert(torch, value, [])


def make(info, sample, dtype, training):
    """Make PyTorch's layer, and tinytrain's with its weights."""
    arguments, settings = sample.constructor_input.args, sample.constructor_input.kwargs
    theirs = info.module_cls(*arguments, **settings).to(dtype).train(training)
    if training and drops_out(theirs):
        raise LeftOut("random numbers")
    kept = convert(torch, {k: v for k, v in settings.items() if k != "dropout"}, [])
    if "dropout" in settings:
        kept["dropout"] = settings["dropout"]  # in evaluation it draws nothing
    given = [converted(value) for value in arguments]
    ours = getattr(tt.nn, info.module_cls.__name__)(*given, **kept)
    ours = ours.to(str(dtype).removeprefix("torch.")).train(training)
    state = {name: np.array(value.detach().numpy()) for name, value in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(state), "names of the state"
    ours.load_state_dict(state)
    return ours, theirs


def replay(info, sample, dtype, training):
    """Hold outputs, state and gradients of one sample against PyTorch's."""
    leaves = []
    ours, theirs = make(info, sample, dtype, training)
    given = convert(torch, tuple(sample.forward_input.args), leaves)
    settings = convert(torch, sample.forward_input.kwargs, leaves)
    try:
        expected = flat(theirs(*sample.forward_input.args, **sample.forward_input.kwargs))
    except Exception as error:
        raise LeftOut(f"PyTorch raises itself: {error}") from error
    found = flat(ours(*given, **settings))
    compare(torch, found, expected)
    wanted = theirs.state_dict()
    tolerance = TOLERANCES[str(dtype).removeprefix("torch.")]
    for name, value in ours.state_dict().items():
        near(value.numpy(), wanted[name].numpy(), tolerance, f"state {name}")
    parameters = dict(theirs.named_parameters())
    leaves += [(value, parameters[name]) for name, value in ours.named_parameters()]
    compare_gradients(torch, found, expected, leaves)


def test_modules():
    tally = Tally("modules")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for info in entries():
            name = info.module_cls.__name__
            for dtype in (torch.float64, torch.float32):
                for training in (True, False):
                    for sample in samples_of(info, dtype, training):
                        tally.run(
                            f"nn.{name}",
                            lambda s=sample, d=dtype, t=training: (
                                f"{d} {t} {s.constructor_input.kwargs}"
                            ),
                            lambda i=info, s=sample, d=dtype, t=training: replay(i, s, d, t),
                        )
    tally.close()
