"""What each instruction of the bytecode does, for `raddle.check`.

An instruction that is not proven to be local is observed: its operands are passed to `raddle._touches`, which knows what they
make it access. The value stack begins after the local variables of a frame, and its depth before each instruction is known
from the flow of control alone.
"""

import dis
import itertools
import sys

from raddle import _effects, _raddle

#: They work on the stack, local variables, constants and jumps, or create an object that no other thread knows. Code of
#: Python that they call, such as `__hash__` of a key, is observed by itself.
LOCAL = frozenset(
    """
    BUILD_CONST_KEY_MAP BUILD_INTERPOLATION BUILD_LIST BUILD_MAP BUILD_SET BUILD_SLICE BUILD_STRING BUILD_TEMPLATE
    BUILD_TUPLE CACHE CALL_INTRINSIC_2 CHECK_EG_MATCH CHECK_EXC_MATCH CLEANUP_THROW COPY COPY_FREE_VARS DELETE_FAST END_ASYNC_FOR END_FOR END_SEND
    ENTER_EXECUTOR EXIT_INIT_CHECK EXTENDED_ARG IMPORT_NAME INTERPRETER_EXIT IS_OP JUMP_BACKWARD
    JUMP_BACKWARD_NO_INTERRUPT JUMP_FORWARD KW_NAMES LIST_APPEND LOAD_ASSERTION_ERROR LOAD_BUILD_CLASS LOAD_CLOSURE
    LOAD_COMMON_CONSTANT LOAD_CONST LOAD_FAST LOAD_FAST_AND_CLEAR LOAD_FAST_BORROW LOAD_FAST_BORROW_LOAD_FAST_BORROW
    LOAD_FAST_CHECK LOAD_FAST_LOAD_FAST LOAD_LOCALS LOAD_SMALL_INT MAKE_CELL MAKE_FUNCTION MAP_ADD MATCH_MAPPING
    MATCH_SEQUENCE NOP NOT_TAKEN POP_EXCEPT POP_ITER POP_JUMP_IF_NONE POP_JUMP_IF_NOT_NONE POP_TOP PUSH_EXC_INFO PUSH_NULL RAISE_VARARGS
    RERAISE RESERVED RETURN_CONST RETURN_GENERATOR SETUP_ANNOTATIONS SET_ADD SET_FUNCTION_ATTRIBUTE
    STORE_FAST STORE_FAST_LOAD_FAST STORE_FAST_STORE_FAST SWAP
    """.split()
)

#: Never in the bytecode of a code object: `dis` shows the instruction that they stand for.
INTERNAL = frozenset(
    """
    ANNOTATIONS_PLACEHOLDER JUMP JUMP_IF_FALSE JUMP_IF_TRUE JUMP_NO_INTERRUPT LOAD_METHOD LOAD_SUPER_METHOD LOAD_ZERO_SUPER_ATTR LOAD_ZERO_SUPER_METHOD POP_BLOCK
    SETUP_CLEANUP SETUP_FINALLY SETUP_WITH STORE_FAST_MAYBE_NULL
    """.split()
)

#: Attributes: the place of the object below the top of the stack, and the effect.
ATTRIBUTES = {
    "LOAD_ATTR": (1, "r"),
    "STORE_ATTR": (1, "w"),
    "DELETE_ATTR": (1, "d"),
    "LOAD_SUPER_ATTR": (1, "r"),
    "IMPORT_FROM": (1, "r"),
}

GLOBALS = {
    "LOAD_GLOBAL": "r",
    "STORE_GLOBAL": "w",
    "DELETE_GLOBAL": "d",
    "LOAD_FROM_DICT_OR_GLOBALS": "r",
}

#: In the body of a module, these access global variables; in that of a class, or with `exec`, a namespace of the frame.
NAMES = {"LOAD_NAME": "r", "STORE_NAME": "w", "DELETE_NAME": "d"}

CELLS = {"LOAD_DEREF": "r", "STORE_DEREF": "w", "DELETE_DEREF": "w", "LOAD_FROM_DICT_OR_DEREF": "r"}

#: The number of operands on the top of the stack that decide what is accessed; it may depend on the argument.
OPERANDS = {
    "BEFORE_ASYNC_WITH": 1,
    "BEFORE_WITH": 1,
    "BINARY_OP": 2,
    "BINARY_SLICE": 3,
    "BINARY_SUBSCR": 2,
    "CALL": lambda argument: argument + 2,
    "CALL_FUNCTION_EX": lambda argument: 3 + (argument & 1),
    "CALL_INTRINSIC_1": 1,
    "CALL_KW": lambda argument: argument + 3,
    "COMPARE_OP": 2,
    "CONTAINS_OP": 2,
    "CONVERT_VALUE": 1,
    "DELETE_SUBSCR": 2,
    "DICT_MERGE": 1,
    "DICT_UPDATE": 1,
    "FORMAT_SIMPLE": 1,
    "FORMAT_VALUE": lambda argument: 2 if argument & 4 else 1,
    "FORMAT_WITH_SPEC": 2,
    "FOR_ITER": 1,
    "GET_AITER": 1,
    "GET_ANEXT": 1,
    "GET_AWAITABLE": 1,
    "GET_ITER": 1,
    "GET_LEN": 1,
    "GET_YIELD_FROM_ITER": 1,
    "LIST_EXTEND": 1,
    "LOAD_SPECIAL": 1,
    "MATCH_CLASS": 3,
    "MATCH_KEYS": 2,
    "POP_JUMP_IF_FALSE": 1,
    "POP_JUMP_IF_TRUE": 1,
    "RETURN_VALUE": 1,
    "SEND": 2,
    "SET_UPDATE": 1,
    "STORE_SLICE": 4,
    "STORE_SUBSCR": 3,
    "TO_BOOL": 1,
    "UNARY_INVERT": 1,
    "UNARY_NEGATIVE": 1,
    "UNARY_NOT": 1,
    "UNPACK_EX": 1,
    "UNPACK_SEQUENCE": 1,
    "WITH_EXCEPT_START": 4,
    "YIELD_VALUE": 1,
}

if sys.version_info >= (3, 14):
    # An empty slot stands for keyword arguments that are not given, and a method is in two slots.
    OPERANDS |= {"CALL_FUNCTION_EX": 4, "WITH_EXCEPT_START": 5}

#: The argument of BINARY_OP for a subscript, since 3.14.
_SUBSCRIPT = 26

#: The arguments of LOAD_SPECIAL for `async with`.
_ASYNCHRONOUS = (2, 3)

#: C code may call a function while it accesses something: other threads may run when the function begins or continues.
BEGINNINGS = frozenset(["RESUME"])

#: Before the code returns to its caller, yields to it, or passes an exception on.
ENDINGS = frozenset(["RERAISE", "RETURN_CONST", "RETURN_VALUE", "YIELD_VALUE"])

#: The flow of control does not go on after them.
LAST = frozenset(
    """
    INTERPRETER_EXIT JUMP_BACKWARD JUMP_BACKWARD_NO_INTERRUPT JUMP_FORWARD RAISE_VARARGS RERAISE RETURN_CONST RETURN_VALUE
    """.split()
)

#: The versions whose instructions and frames are known.
VERSIONS = ((3, 12), (3, 13), (3, 14))

#: `dis` has END_ASYNC_FOR among them since 3.14, whose argument is only where its loop begins.
_JUMPS = frozenset({*dis.hasjrel, *dis.hasjabs} - {dis.opmap["END_ASYNC_FOR"]})


class Unsupported(Exception):
    """The bytecode is not as this version's should be."""


def is_known(name):
    """Return whether an instruction is in one of the tables."""
    tables = (LOCAL, INTERNAL, BEGINNINGS, ATTRIBUTES, GLOBALS, NAMES, CELLS, OPERANDS)
    return name.startswith("INSTRUMENTED_") or any(name in table for table in tables)


def _effect(instruction, jump):
    if instruction.opname == "RETURN_GENERATOR":
        return 1  # dis says 0 in 3.12
    argument = instruction.arg if instruction.opcode >= dis.HAVE_ARGUMENT else None
    return dis.stack_effect(instruction.opcode, argument, jump=jump)


def depths(code, instructions):
    """Return the depth of the value stack before each instruction that can be reached, by its offset."""
    place = {instruction.offset: index for index, instruction in enumerate(instructions)}
    depth = {}
    branches = [(0, 0)]
    branches += [(entry.target, entry.depth + 1 + bool(entry.lasti)) for entry in dis._parse_exception_table(code)]
    while branches:
        offset, here = branches.pop()
        index = place[offset]
        while index < len(instructions):
            instruction = instructions[index]
            if instruction.offset in depth:
                if depth[instruction.offset] != here:
                    raise Unsupported(f"the depth of the stack at {instruction.offset} in {code.co_qualname} is not unique")
                break
            if here < 0:
                raise Unsupported(f"the stack is too short at {instruction.offset} in {code.co_qualname}")
            depth[instruction.offset] = here
            if instruction.opcode in _JUMPS:
                branches.append((instruction.argval, here + _effect(instruction, True)))
            if instruction.opname in LAST:
                break
            here += _effect(instruction, False)
            index += 1
    return depth


def _slots(code):
    arguments = set(code.co_varnames)
    return len(code.co_varnames) + sum(cell not in arguments for cell in code.co_cellvars) + len(code.co_freevars)


def _row(instruction, depth, slots, keywords):
    """Return the row of an instruction for `_raddle.set_code`, or None if it is local."""
    name, argument, offset = instruction.opname, instruction.arg, instruction.offset
    top = slots + depth
    if name in LOCAL or name in BEGINNINGS:
        return None
    if name in ("STORE_ATTR", "DELETE_ATTR") and _effects.is_special(instruction.argval):
        return (offset, "operands", top - 1, None, "r", None, 1, "STORE_IDENTITY", instruction.argval)
    if name in ATTRIBUTES:
        below, effect = ATTRIBUTES[name]
        effect = "w" if effect == "r" and instruction.argval in _effects.COMPUTED else effect
        value = top - 2 if name == "STORE_ATTR" else None
        return (offset, "attribute", top - below, instruction.argval, effect, value, 0, None, None)
    if name in GLOBALS:
        return (offset, "global", 0, instruction.argval, GLOBALS[name], None, 0, None, None)
    if name in NAMES:
        return (offset, "name", 0, instruction.argval, NAMES[name], None, 0, None, None)
    if name in CELLS:
        value = top - 1 if name == "STORE_DEREF" else None
        return (offset, "cell", argument, instruction.argval, CELLS[name], value, 0, None, None)
    if name in OPERANDS:
        if name in ("POP_JUMP_IF_FALSE", "POP_JUMP_IF_TRUE") and sys.version_info >= (3, 13):
            return None  # the operand is a bool
        count = OPERANDS[name]
        count = count if isinstance(count, int) else count(argument)
        passed = keywords if keywords and name == "CALL" else argument or 0
        if name == "FOR_ITER":
            passed = None  # whether only the stack refers to the iterator
        elif name == "BINARY_OP" and argument == _SUBSCRIPT:
            name = "BINARY_SUBSCR"
        elif name == "LOAD_SPECIAL" and argument in _ASYNCHRONOUS:
            name = "BEFORE_ASYNC_WITH"
        return (offset, "operands", top - count, None, "r", None, count, name, passed)
    raise Unsupported(f"the instruction {name} is not known")


def observe(code):
    """Tell the callbacks what the instructions of a code object do."""
    instructions = list(dis.get_instructions(code))
    depth = depths(code, instructions)
    slots = _slots(code)
    rows, beginnings = [], set()
    endings = {instruction.offset for instruction in instructions if instruction.opname in ENDINGS}
    keywords = ()  # the names of the keyword arguments of the next call, in 3.12
    for instruction, following in itertools.zip_longest(instructions, instructions[1:]):
        if instruction.opname in BEGINNINGS and following is not None:
            beginnings.add(following.offset)  # the interpreter reports no RESUME
        if instruction.offset in depth:
            row = _row(instruction, depth[instruction.offset], slots, keywords)
            if row is not None:
                rows.append(row)
        keywords = instruction.argval if instruction.opname == "KW_NAMES" else ()
    size = len(code.co_code)
    lines = [0] * (size // 2 + 1)
    for start, end, line in code.co_lines():
        for offset in range(start, end, 2):
            lines[offset // 2] = line or 0
    _raddle.set_code(code, rows, size, lines, beginnings, endings)
