"""The flags of training scripts."""

import argparse
import shlex
import subprocess
import sys

import pytest

import tinytrain as tt
from tinytrain.train import TrainingParser, start

DEFAULTS = {"lr": 3e-3, "max_steps": 800, "batch_size": 8, "out": "runs/demo"}
QUICK = {"max_steps": 6, "width": 16}


def make(defaults=None, quick=None):
    parser = TrainingParser(
        "demo", DEFAULTS if defaults is None else defaults, QUICK if quick is None else quick
    )
    parser.add_argument("--width", type=int, default=128)
    return parser


def parse(*words, **settings):
    return make(**settings).parse_args(words)


def failure(capsys, *words):
    with pytest.raises(SystemExit) as exit_:
        parse(*words)
    assert exit_.value.code == 2
    return capsys.readouterr().err


def test_defaults_are_the_scripts_and_then_the_parsers():
    arguments = parse()
    assert (arguments.lr, arguments.max_steps, arguments.batch_size) == (3e-3, 800, 8)
    assert (arguments.grad_accum, arguments.seed, arguments.clip_grad) == (1, 0, 1.0)
    assert arguments.epochs is arguments.resume is arguments.eval_every is arguments.device is None
    assert (arguments.width, arguments.quick) == (128, False)


def test_every_flag():
    words = (
        "--device cpu --seed 3 --batch-size 2 --grad-accum 4 --max-steps 9 --lr 0.5 "
        "--weight-decay 0.1 --warmup-steps 5 --clip-grad 2 --log-every 7 --eval-every 8 "
        "--save-every 6 --out some/where --resume auto --width 3"
    )
    assert vars(parse(*shlex.split(words))) == {
        "device": "cpu",
        "seed": 3,
        "batch_size": 2,
        "grad_accum": 4,
        "max_steps": 9,
        "epochs": None,
        "lr": 0.5,
        "weight_decay": 0.1,
        "warmup_steps": 5,
        "clip_grad": 2.0,
        "log_every": 7,
        "eval_every": 8,
        "save_every": 6,
        "out": "some/where",
        "resume": "auto",
        "quick": False,
        "width": 3,
    }


def test_underscores_count_as_hyphens_in_names_only():
    arguments = parse("--batch_size", "4", "--weight_decay=0.2", "--out=runs/my_run")
    assert (arguments.batch_size, arguments.weight_decay) == (4, 0.2)
    assert arguments.out == "runs/my_run"
    assert parse("--out", "my_run").out == "my_run"


def test_the_words_of_the_process_are_the_default(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["script.py", "--batch_size", "5"])
    assert make().parse_args().batch_size == 5


@pytest.mark.parametrize(
    ("word", "suggestion"),
    [
        ("--batchsize", "--batch-size"),
        ("--batchsize=4", "--batch-size"),
        ("--learning-rat", None),
        ("--weight-decy", "--weight-decay"),
        ("--max_step", "--max-steps"),
        ("--widht", "--width"),
    ],
)
def test_an_unknown_flag_gets_a_suggestion(capsys, word, suggestion):
    message = failure(capsys, word, "1")
    assert "unrecognized arguments" in message
    if suggestion:
        assert f"(did you mean {suggestion}?)" in message
    else:
        assert "did you mean" not in message


@pytest.mark.parametrize(
    "words",
    [
        ("--device", "gpu"),
        ("--batch-size", "two"),
        ("--lr",),
        ("--epochs", "1", "--max-steps", "2"),
    ],
)
def test_a_known_flag_with_a_wrong_value_gets_none(capsys, words):
    assert "did you mean" not in failure(capsys, *words)


def test_no_abbreviations(capsys):
    assert "unrecognized arguments: --batch 4" in failure(capsys, "--batch", "4")


@pytest.mark.parametrize(
    ("defaults", "quick", "words", "expected"),
    [
        ({"max_steps": 800}, {}, [], (800, None)),
        ({"max_steps": 800}, {}, ["--epochs", "3"], (None, 3)),
        ({"max_steps": 800}, {}, ["--epochs=3"], (None, 3)),
        ({"max_steps": 800}, {}, ["--max_steps", "9"], (9, None)),
        ({"epochs": 25}, {}, [], (None, 25)),
        ({"epochs": 25}, {}, ["--max-steps", "9"], (9, None)),
        ({"epochs": 25}, {}, ["--max_steps=9"], (9, None)),
        ({"epochs": 25}, {"epochs": 3}, ["--quick"], (None, 3)),
        ({"epochs": 25}, {"max_steps": 2}, ["--quick"], (2, None)),
        ({"max_steps": 800}, {"epochs": 3}, ["--quick"], (None, 3)),
        ({"max_steps": 800}, {"max_steps": 6}, ["--quick", "--epochs", "2"], (None, 2)),
        ({"epochs": 25}, {"epochs": 3}, ["--quick", "--max-steps", "4"], (4, None)),
        ({"epochs": 25}, {}, ["--out", "max-steps"], (None, 25)),
    ],
)
def test_the_length_that_is_given_outweighs_the_default_of_the_other(
    defaults, quick, words, expected
):
    arguments = parse(*words, defaults=defaults, quick=quick)
    assert (arguments.max_steps, arguments.epochs) == expected


def test_both_lengths_at_once_are_refused(capsys):
    assert "not allowed with argument" in failure(capsys, "--epochs", "1", "--max-steps", "2")


def test_quick_chooses_other_defaults_which_flags_outweigh():
    arguments = parse("--quick")
    assert (arguments.max_steps, arguments.width, arguments.lr) == (6, 16, 3e-3)
    arguments = parse("--width", "5", "--quick")
    assert (arguments.max_steps, arguments.width) == (6, 5)


def test_quick_holds_for_one_parse_only():
    parser = make()
    assert parser.parse_args(["--quick"]).width == 16
    assert parser.parse_args([]).width == 128
    assert parser.parse_args([]).max_steps == 800


@pytest.mark.parametrize("settings", [{"defaults": {"max_step": 1}}, {"quick": {"max_step": 1}}])
def test_a_default_of_no_flag_is_refused(settings):
    with pytest.raises(ValueError, match="defaults of no flag: max_step"):
        parse(**settings)


def test_help_lists_flags_and_defaults(capsys):
    with pytest.raises(SystemExit) as exit_:
        parse("--help")
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    assert "--grad-accum" in text
    assert "(default: 0.003)" in text


def test_start_sets_the_seed_and_prints_the_configuration(capsys, tmp_path, monkeypatch):
    monkeypatch.delenv("TINYTRAIN_DEVICE", raising=False)
    configuration = start(parse("--seed", "11", "--out", str(tmp_path / "run")))
    drawn = tt.default_generator().random_int64()
    assert drawn == tt.Generator(11).random_int64()
    assert configuration["device"] == "cpu"
    assert configuration["seed"] == 11
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "configuration"
    assert [line.split() for line in lines[1:]] == [
        [name, *str(value).split()] for name, value in configuration.items()
    ]
    assert set(configuration) == set(vars(parse()))


def test_start_refuses_a_device_that_is_not_there():
    arguments = argparse.Namespace(device="tpu", seed=0, out="runs/run", resume=None)
    with pytest.raises(SystemExit, match="error: device must be one of"):
        start(arguments)


def test_start_leaves_the_folder_of_an_earlier_run_alone(tmp_path, capsys):
    used = tmp_path / "run"
    used.mkdir()
    (used / "log.jsonl").touch()
    assert start(parse("--out", str(used)))["out"] == f"{used}-2"
    assert start(parse("--out", str(used), "--resume", "auto"))["out"] == str(used)
    own, foreign = used / "step-00000001.npz", tmp_path / "other" / "step-00000001.npz"
    assert start(parse("--out", str(used), "--resume", str(own)))["out"] == str(used)
    assert start(parse("--out", str(used), "--resume", str(foreign)))["out"] == f"{used}-2"
    assert "configuration" in capsys.readouterr().out


def test_a_script_exits_with_2_and_a_message():
    code = (
        "from tinytrain.train import TrainingParser\n"
        "TrainingParser('demo', {'max_steps': 1}, {}).parse_args()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "--max-setps", "3"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "did you mean --max-steps?" in result.stderr
