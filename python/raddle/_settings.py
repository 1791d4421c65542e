"""Options of `raddle.check` that a command line gives for all checks of the process."""

#: Names and values of options. They take the place of those that a call passes.
overrides = {}
