"""Lines of Python that stand between the toolkit and functions of the program, so that `raddle.check` sees the calls."""


def call(function, args, kwargs):
    return function(*args, **kwargs)
