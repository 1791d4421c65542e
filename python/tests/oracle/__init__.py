"""An independent judge of `raddle.check`.

`raddle.check` decides from a table which instructions touch what, and leaves out the schedules that such a table makes redundant. An error
in the table is a missed race that is called exhausted. This package shares nothing with it: its explorer may switch threads before every
instruction of the program (`runtime`), under random schedules (`schedules`), with its own `threading`, `queue`, `time` and
`concurrent.futures` (`stand_ins`). What it finds in hand-written programs (`corpus`) and in random ones (`generate`), `raddle.check` must
find, too, or call inconclusive (`compare`).

Run `python -m oracle --help` in `python/tests`.
"""
