"""Lines of Python that stand between the toolkit and functions of the program, so that `raddle.check` sees the calls."""


def call(function, args, kwargs):
    return function(*args, **kwargs)


def unique(items):
    """Return a dictionary of items that the program passes, in the given order, so that it does not depend on addresses."""
    return dict.fromkeys(items)
