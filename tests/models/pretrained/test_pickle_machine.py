"""The machine for pickles against Python's own, and against pickles that are up to no good."""

import io
import pickle
import sys
import tracemalloc
from collections import OrderedDict

import pytest

from odenet.errors import CheckpointError
from odenet.models.pretrained.pickle_machine import PickleMachine


def load(content, **options):
    return PickleMachine(**options).load(io.BytesIO(content))


SHARED = [1, "two"]
VALUES = [
    {"a": 1, "b": [True, False, None], 3: (1.5, ("x",), (), (1, 2, 3, 4))},
    OrderedDict([("z", -1), ("a", 2**40), ("m", -(2**70))]),
    {"one": SHARED, "two": SHARED},
    [{}, [], "", "\u00fc\u4e2d", 255, 65536, -5],
    list(range(3000)),
    {str(i): i for i in range(3000)},
]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_values_are_those_of_pickle(value, protocol):
    assert load(pickle.dumps(value, protocol)) == value


def test_sharing_is_kept():
    made = load(pickle.dumps({"one": SHARED, "two": SHARED}, 2))
    assert made["one"] is made["two"]


def test_pickles_follow_each_other_in_a_stream():
    stream = io.BytesIO(pickle.dumps([1], 2) + pickle.dumps({"a": 2}, 4) + b"rest")
    machine = PickleMachine()
    assert [machine.load(stream), machine.load(stream)] == [[1], {"a": 2}]
    assert stream.read() == b"rest"


def test_pairs_of_python_2_make_a_dict():
    python_2 = b"\x80\x02ccollections\nOrderedDict\n]](U\x01aK\x01ea\x85R."
    assert pickle.loads(python_2) == load(python_2) == {"a": 1}


def test_functions_of_the_caller_are_called():
    content = b"\x80\x02cmine\nadd\nK\x02K\x03\x86R."
    assert load(content, functions={"mine.add": lambda a, b: a + b}) == 5


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps(print),
        b"cposix\nsystem\n(X\x04\x00\x00\x00truetR.",
        b"\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
        b"(S'true'\nios\nsystem\n.",  # INST
        b"(cos\nsystem\nS'true'\no.",  # OBJ
        b"\x80\x02cbuiltins\nobject\n)\x81.",  # NEWOBJ
        b"\x80\x02\x82\x01.",  # EXT1
        b"Ptrue\n.",  # PERSID
        b"\x80\x02K\x01Q.",  # BINPERSID where there are none
        b"\x80\x02K\x01)R.",  # a call of a number
        b"\x80\x02ccollections\nOrderedDict\n}b.",  # attributes for a function
        b"\x80\x02ccollections\nOrderedDict\nK\x05\x85R.",
        b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",  # BYTEARRAY8 of 2**63 - 1 bytes
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.",  # BINUNICODE8 likewise
        b"\x80\x02X\xff\xff\xff\x7fa.",  # BINUNICODE longer than the file
        b"\x80\x02}()K\x01s.",  # a tuple as key
        b"\x80\x02}}K\x01s.",  # a dict as key
        b"\x80\x02]K\x01e.",  # APPENDS without a mark
        b"\x80\x02K\x01(K\x02\x86.",  # a tuple of values on both sides of a mark
        b"\x80\x02(e.",
        b"\x80\x02h\x05.",  # a memo that was never set
        b"\x80\x02K\x01",  # no end
        b"\x80\x02.",  # nothing on the stack
        b"",
        b"\xff",
    ],
)
def test_everything_else_is_refused(content):
    with pytest.raises(CheckpointError):
        load(content)


def test_name_that_is_not_allowed_is_told():
    with pytest.raises(CheckpointError, match=r"names 'posix\.system', which was not run"):
        load(b"cposix\nsystem\n.")


def test_deep_keys_do_not_overflow_the_stack():
    with pytest.raises(CheckpointError, match="key"):
        load(b"\x80\x02})" + b"\x85" * 100_000 + b"K\x01s.")


def test_deep_values_are_made_and_freed():
    made = inner = load(b"\x80\x02)" + b"\x85" * 50_000 + b".")
    depth = 0
    while inner:
        (inner,) = inner
        depth += 1
    assert depth == 50_000
    blocks = sys.getallocatedblocks()
    del made  # all of it at once, which must not overflow the stack
    assert blocks - sys.getallocatedblocks() > 40_000  # some are kept for the next tuples


def peak_of(content):
    tracemalloc.start()
    try:
        load(content)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


def test_large_memo_index_takes_no_memory():
    assert peak_of(b"\x80\x02K\x01r\xff\xff\xff\x7f.") < 10**6


def test_many_dicts_of_one_list_take_no_memory():
    pairs = b"".join(b"X\x05\x00\x00\x00%05dK\x01\x86" % i for i in range(2000))
    dicts = b"ccollections\nOrderedDict\nq\x01h\x00\x85R" + b"h\x01h\x00\x85R" * 2000
    content = b"\x80\x02]q\x00(" + pairs + b"e" + dicts + b"."
    assert peak_of(content) < 10**7
