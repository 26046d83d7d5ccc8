"""What may lie in a run's folder where a checkpoint should be."""

import os
import zlib

import numpy as np
import pytest

from tests.train.regression import make_data, make_model, make_trainer
from tinytrain.train import Callback, CheckpointError, load_checkpoint, verify_checkpoint
from tinytrain.train.checkpoint import save_checkpoint
from tinytrain.train.checkpoint_folder import list_checkpoints
from tinytrain.train.checkpoint_layout import Member, array_header, directory, local_header
from tinytrain.train.checkpoint_manifest import make_manifest


def run(folder, **settings):
    settings = {"max_steps": 6, "save_every": 2, "keep_checkpoints": 2, **settings}
    return make_trainer(make_model(), make_data(), out=folder, **settings)


def claims_terabytes(path):
    """A file with a hole, as large as its manifest says."""
    import hashlib

    size = 8 * 2**40
    entry = {"w": {"dtype": "|u1", "shape": [size], "sha256": "0" * 64}}
    text, header = make_manifest(entry, {"step": 9}), array_header("|u1", [size])
    first = Member("manifest.json", zlib.crc32(text), len(text), 0)
    second = Member("w.npy", 0, len(header) + size, first.end)
    with path.open("wb") as file:
        file.write(local_header(first) + text + local_header(second) + header)
        try:
            file.seek(second.end)
            file.write(directory([first, second], hashlib.sha256(text).hexdigest().encode()))
        except OSError:
            pytest.skip("the file system has no files with such holes")


ODD = {
    "a link to nothing": lambda path: path.symlink_to(path.with_name("nowhere")),
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "a file with a hole": claims_terabytes,
}


@pytest.mark.parametrize("odd", ODD)
def test_it_is_named_and_skipped(tmp_path, odd, capsys):
    run(tmp_path).fit()
    path = tmp_path / "step-00000099.npz"
    ODD[odd](path)
    if odd == "a file with a hole" and os.sysconf("SC_PHYS_PAGES") * 4096 > 2**42:
        pytest.skip("there is memory for it")
    with pytest.raises(CheckpointError, match=r"step-00000099\.npz"):
        load_checkpoint(path)
    again = run(tmp_path, max_steps=8)
    assert again.resume("auto").name == "step-00000006.npz"
    assert "step-00000099.npz" in capsys.readouterr().out
    assert again.fit().checkpoint.name == "step-00000008.npz"


def test_folders_are_not_deleted(tmp_path):
    run(tmp_path).fit()
    (tmp_path / "step-00000001.npz").mkdir()
    (tmp_path / "x.npz.part").mkdir()
    again = run(tmp_path, max_steps=10)
    again.resume("auto")
    again.fit()
    assert (tmp_path / "step-00000001.npz").is_dir()
    assert (tmp_path / "x.npz.part").is_dir()
    names = [path.name for path in list_checkpoints(tmp_path)]
    assert names == ["step-00000010.npz", "step-00000008.npz", "step-00000001.npz"]


def test_a_checkpoint_that_was_damaged_later_is_not_counted(tmp_path, capsys):
    class Rot(Callback):
        def on_step_end(self, trainer, record):
            if record["step"] == 5:
                path = tmp_path / "step-00000004.npz"
                content = bytearray(path.read_bytes())
                content[len(content) // 2] ^= 1
                path.write_bytes(content)

    run(tmp_path, callbacks=[Rot()]).fit()
    good = []
    for path in list_checkpoints(tmp_path):
        try:
            load_checkpoint(path)
        except CheckpointError:
            assert path.name == "step-00000004.npz"
        else:
            good.append(path.name)
    assert good == ["step-00000006.npz", "step-00000002.npz"]
    assert "step-00000004.npz" in capsys.readouterr().out


def test_verifying_reads_all_of_a_file(tmp_path):
    path = tmp_path / "a.npz"
    save_checkpoint(str(path), {"w": np.arange(300_000.0), "none": np.zeros((0, 3))}, {"step": 1})
    verify_checkpoint(str(path))
    content = path.read_bytes()
    for place in (100, 5_000, 1_500_000, len(content) - 400, len(content) - 5):
        changed = bytearray(content)
        changed[place] ^= 4
        path.write_bytes(changed)
        with pytest.raises(CheckpointError):
            verify_checkpoint(path)
