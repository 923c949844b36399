import shutil
import warnings

import numpy as np
import pytest

from odenet.errors import CheckpointError
from odenet.training.checkpoint import Checkpointer, DamagedCheckpointWarning, steps_on_disk


def state_at(step):
    return {"step": np.int32(step), "params": {"w": np.arange(6, dtype=np.float32) + step}}


@pytest.fixture
def written(tmp_path):
    checkpointer = Checkpointer(tmp_path)
    for step in (10, 20, 30):
        checkpointer.save("last", step, state_at(step), {"position": step})
    checkpointer.save("best", 20, state_at(20), {})
    checkpointer.wait()
    yield checkpointer
    checkpointer.close()


def flip_a_byte(folder):
    path = max(
        (p for p in (folder / "arrays").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size
    )
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def test_restored_state_is_what_was_saved(written):
    found = written.restore("last", state_at(0))
    assert found.step == 30
    assert found.extras == {"position": 30}
    np.testing.assert_array_equal(found.state["params"]["w"], np.arange(6) + 30)
    assert found.state["params"]["w"].dtype == np.float32
    assert written.restore("best", state_at(0)).step == 20


def test_only_the_last_two_are_kept(written, tmp_path):
    assert [int(p.name) for p in steps_on_disk(tmp_path / "last")] == [30, 20]


def test_damaged_checkpoint_is_passed_over_with_a_warning(written, tmp_path):
    flip_a_byte(tmp_path / "last" / "00000030")
    with pytest.warns(DamagedCheckpointWarning, match="00000030 is damaged.*using step 20"):
        assert written.restore("last", state_at(0)).step == 20


def test_missing_file_counts_as_damage(written, tmp_path):
    (tmp_path / "last" / "00000030" / "extras.json").unlink()
    with pytest.warns(DamagedCheckpointWarning, match="extras.json is missing"):
        assert written.restore("last", state_at(0)).step == 20


def test_no_whole_checkpoint_left_is_an_error_that_names_them(written, tmp_path):
    for step in (20, 30):
        flip_a_byte(tmp_path / "last" / f"{step:08d}")
    with pytest.raises(CheckpointError, match=r"00000030 is damaged.*00000020 is damaged"):
        written.restore("last", state_at(0))


def test_a_write_that_was_cut_off_is_ignored(written, tmp_path):
    (tmp_path / "last" / ".partial-00000040" / "arrays").mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert written.restore("last", state_at(0)).step == 30


def test_nothing_saved_gives_none(tmp_path):
    checkpointer = Checkpointer(tmp_path / "nothing")
    assert checkpointer.restore("last", state_at(0)) is None
    checkpointer.close()


@pytest.mark.parametrize(
    ("like", "complaint"),
    [
        ({"step": np.int32(0), "params": {"w": np.zeros(7, np.float32)}}, r"shape \(6,\)"),
        ({"step": np.int32(0), "params": {"v": np.zeros(6, np.float32)}}, "params/v is missing"),
        ({"step": np.int32(0)}, "params/w is not in the model"),
    ],
)
def test_checkpoint_of_another_model_is_refused_by_name(written, like, complaint):
    with pytest.raises(CheckpointError, match=complaint):
        written.restore("last", like)


def test_failed_write_is_raised_and_leaves_the_others(written, tmp_path):
    (tmp_path / "last").chmod(0o755)
    blocked = tmp_path / "last" / ".partial-00000040"
    blocked.write_text("a file where the directory should go")
    written.save("last", 40, state_at(40), {})
    with pytest.raises(OSError):
        written.wait()
    blocked.unlink()
    assert written.restore("last", state_at(0)).step == 30


def test_full_disk_is_noticed_before_anything_is_written(written, tmp_path, monkeypatch):
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: full)
    written.save("last", 40, state_at(40), {})
    with pytest.raises(OSError, match="No space left"):
        written.wait()
    assert not (tmp_path / "last" / ".partial-00000040").exists()
    assert written.restore("last", state_at(0)).step == 30
