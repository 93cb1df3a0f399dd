"""Classic BPF programs, run as the kernel runs them."""

from collections.abc import Sequence

from varpd.datapath.linux.filters import Instruction


def passes(program: Sequence[Instruction], data: bytes) -> bool:
    """Return whether a program lets a message through."""
    at, value = 0, 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        match code:
            case 0x28:
                value = int.from_bytes(data[operand : operand + 2], "big")
            case 0x30:
                value = data[operand]
            case 0x15:
                at += if_true if value == operand else if_false
            case 0x45:
                at += if_true if value & operand else if_false
            case 0x06:
                return operand != 0
            case _:
                raise AssertionError(code)
