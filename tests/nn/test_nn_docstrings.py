"""Every public name of `tinytrain.nn` is documented: what it does, shapes, and an example."""

import inspect

import pytest

from tinytrain import nn

PUBLIC = {
    **{f"nn.{name}": getattr(nn, name) for name in nn.__all__},
    **{f"functional.{name}": getattr(nn.functional, name) for name in nn.functional.__all__},
    **{f"init.{name}": value for name, value in vars(nn.init).items() if name.endswith("_")},
}
DOCUMENTED = {
    name: value
    for name, value in PUBLIC.items()
    if inspect.isclass(value) or inspect.isfunction(value)
}
WITHOUT_SHAPES = {"nn.Module", "nn.ModuleList", "nn.Sequential"}


def test_all_names_are_collected():
    assert {"nn.Linear", "functional.gelu_simple", "init.uniform_"} <= set(DOCUMENTED)
    modules = {name for name in PUBLIC if inspect.ismodule(PUBLIC[name])}
    assert modules == {"nn.functional", "nn.init", "nn.utils"}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_docstring(name):
    text = inspect.getdoc(DOCUMENTED[name])
    assert text == inspect.cleandoc(DOCUMENTED[name].__doc__), "inherited"
    assert ">>> " in text.split("Examples\n--------")[1]
    assert "Raises" not in text or "------\n" in text
    if name not in WITHOUT_SHAPES:
        marks = ("(...", "(N,", "(B,", "(C,", "(O,", "(fan_out,", "shape")
        assert any(mark in text for mark in marks), text


@pytest.mark.parametrize("name", [n for n in DOCUMENTED if inspect.isclass(DOCUMENTED[n])])
def test_public_methods_have_docstrings(name):
    for attribute, method in vars(DOCUMENTED[name]).items():
        if inspect.isfunction(method) and not attribute.startswith("_"):
            assert method.__doc__, f"{name}.{attribute}"
