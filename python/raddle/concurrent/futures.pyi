"""Types of `raddle.concurrent.futures`."""

from raddle.futures import *
