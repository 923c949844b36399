"""Which of many layers or steps are shown in a table or a figure."""


def evenly(number: int, most: int) -> list[int]:
    """At most `most` of the indices below `number`, both ends among them."""
    if number <= most:
        return list(range(number))
    return [round(i * (number - 1) / (most - 1)) for i in range(most)]
