"""Mutation testing by sample: change one thing in a function, and see whether a test notices.

    python tests/mutation.py tinytrain/optim/clip.py tests/optim/test_clip.py --sample 40 --seed 1

The mutants are mutmut's, without those of messages (in `raise` and f-strings). The tests are
collected once; each mutant takes the place of the living function's code in a forked process,
which ends at the first test that fails: most cost a fraction of a second. It prints the survivors,
and how many were killed. Needs `pip install mutmut` and an operating system that forks.
"""

import argparse
import ast
import importlib
import os
import random
import signal
from pathlib import Path

import pytest


def mutants_of(path, count, source):
    """Yield (name of the class or None, name of the function, mutated module) for a sample."""
    import libcst
    from libcst.metadata import MetadataWrapper, ParentNodeProvider
    from mutmut.mutation.file_mutation import MutationVisitor
    from mutmut.mutation.mutators import mutation_operators
    from mutmut.mutation.pragma_handling import IgnoredCode

    wrapper = MetadataWrapper(libcst.parse_module(path.read_text()))
    visitor = MutationVisitor(mutation_operators, IgnoredCode(set(), set(), set()))
    wrapper.visit(visitor)
    parents = wrapper.resolve(ParentNodeProvider)

    def lies_within(node, *kinds):
        return isinstance(node, kinds) or (node in parents and lies_within(parents[node], *kinds))

    found = [
        mutation
        for mutation in visitor.mutations
        if isinstance(mutation.contained_by_top_level_function, libcst.FunctionDef)
        and not lies_within(mutation.original_node, libcst.Raise, libcst.FormattedString)
    ]
    for mutation in source.sample(found, min(count, len(found))):
        function = mutation.contained_by_top_level_function
        holder = parents.get(parents[function])
        owner = holder.name.value if isinstance(holder, libcst.ClassDef) else None
        changed = wrapper.module.deep_replace(mutation.original_node, mutation.mutated_node)
        yield owner, function.name.value, changed.code


def install(module, owner, name, code):
    """Give a living function the code and the defaults of its mutant."""
    holder = getattr(module, owner) if owner else module
    living = getattr(vars(holder)[name], "__func__", vars(holder)[name])  # of a static method
    body = ast.parse(code).body
    if owner:
        body = next(n for n in body if isinstance(n, ast.ClassDef) and n.name == owner).body
    mutant = [n for n in body if isinstance(n, ast.FunctionDef) and n.name == name][-1]
    mutant.decorator_list = []
    made = ast.parse("def make(__class__):\n    pass")  # super() wants a cell of this name
    made.body[0].body = [mutant, ast.Return(ast.Name(name, ast.Load()))]
    scope = {}
    exec(compile(ast.fix_missing_locations(made), name, "exec"), vars(module), scope)
    function = scope["make"](holder)
    if len(function.__code__.co_freevars) != len(living.__code__.co_freevars):
        setattr(holder, name, function)  # it no longer says super()
        return
    living.__code__ = function.__code__
    living.__defaults__, living.__kwdefaults__ = function.__defaults__, function.__kwdefaults__


class Plugin:
    """Takes the place of pytest's loop over the tests."""

    def __init__(self, path, count, seed):
        self.path, self.count, self.seed = path, count, seed

    def pytest_runtest_logreport(self, report):
        if report.failed:
            os._exit(1)

    def pytest_runtestloop(self, session):
        module = importlib.import_module(".".join(self.path.with_suffix("").parts))
        original, results = self.path.read_text().splitlines(), []
        for *where, code in mutants_of(self.path, self.count, random.Random(self.seed)):
            if not (process := os.fork()):
                self.run(session.items, module, where, code)
            results.append(os.waitpid(process, 0)[1])
            if results[-1] == 0:
                lines = zip(original, code.splitlines(), strict=False)
                shown = next((f"{a.strip()}\n  -> {b.strip()}" for a, b in lines if a != b), "")
                print(f"\nsurvived in {where[1]}: {shown}")
        print(f"\n{len(results) - results.count(0)} of {len(results)} killed")
        return True

    def run(self, items, module, where, code):
        """Run the tests in the forked process: 0 where all pass."""
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        signal.setitimer(signal.ITIMER_PROF, 60)  # an endless loop counts as killed
        try:
            install(module, *where, code)
            for item, following in zip(items, [*items[1:], None], strict=True):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        except BaseException:
            os._exit(2)
        os._exit(0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path, help="whose functions are changed")
    parser.add_argument("tests", nargs="+", help="for pytest, the likely killers first")
    parser.add_argument("--sample", type=int, default=50, help="how many mutants")
    parser.add_argument("--seed", type=int, default=0)
    chosen, options = parser.parse_known_args()
    plugin = Plugin(chosen.file, chosen.sample, chosen.seed)
    pytest.main(["-s", "-q", "-p", "no:cacheprovider", *chosen.tests, *options], plugins=[plugin])
