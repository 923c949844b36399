"""Records of metrics without what differs from run to run."""


def without_clock(records):
    """The records without keys that depend on clock or machine, and without those of nothing else.

    A start writes a record of its program, which holds no other numbers; a run that was resumed
    has one more.
    """
    numbers = [
        {name: value for name, value in record.items() if not name.endswith(("_seconds", "_bytes"))}
        for record in records
    ]
    return [record for record in numbers if set(record) > {"step", "split"}]
