"""Selection of the layers or steps that a table or a figure shows."""


def evenly(number: int, most: int) -> list[int]:
    """At most `most` of the indices below `number`, including both ends."""
    if number <= most:
        return list(range(number))
    return [round(i * (number - 1) / (most - 1)) for i in range(most)]
