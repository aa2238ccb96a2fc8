"""A program for Linux that needs nothing but the kernel: it shows what a process of its kind can read.

Its first argument names the file that it makes: a block for each further argument, which names a file to read. It ends
with status 1 where it cannot make one.
"""

import struct
from collections.abc import Iterator

from sccachedist.builders.elf import program

_BLOCK, _RESULT = 4096, struct.Struct("=q")

# The blocks are made on the stack, all zeros at first: what open or read returned, then what was read.
_X86_64 = """
488b7c2410 488d5c2418                                mov rdi, [rsp+16]; lea rbx, [rsp+24]
be41020000 baa4010000 b802000000 0f05 89c5           open(rdi, O_WRONLY | O_CREAT | O_TRUNC, 0644); mov ebp, eax
4881ec00100000                                       sub rsp, 4096
4889e7 b900020000 31c0 f348ab                  next: mov rdi, rsp; mov ecx, 512; xor eax, eax; rep stosq
488b3b 4883c308 4885ff 7434                          mov rdi, [rbx]; add rbx, 8; test rdi, rdi; jz done
31f6 b802000000 0f05 85c0 7810                       open(rdi, 0); test eax, eax; js kept
89c7 488d742408 baf80f0000 31c0 0f05                 read(eax, rsp+8, 4088)
48890424                                       kept: mov [rsp], rax
89ef 4889e6 ba00100000 b801000000 0f05 ebb3          write(ebp, rsp, 4096); jmp next
89ef c1ef1f b83c000000 0f05                    done: exit(ebp >> 31)
"""
_AARCH64 = """
e10b40f9 f3630091                                    ldr x1, [sp, 16]; add x19, sp, 24
600c8092 224880d2 833480d2 080780d2 010000d4         openat(-100, x1, O_WRONLY | O_CREAT | O_TRUNC, 0644)
f40300aa ff0740d1                                    mov x20, x0; sub sp, sp, 4096
e9030091 2a054091                              next: mov x9, sp; add x10, x9, 4096
3f8500f8 3f010aeb c1ffff54                     zero: str xzr, [x9], 8; cmp x9, x10; b.ne zero
618640f8 210200b4                                    ldr x1, [x19], 8; cbz x1, done
600c8092 020080d2 080780d2 010000d4 a000f8b7         openat(-100, x1, 0); tbnz x0, 63, kept
e1230091 02ff81d2 e80780d2 010000d4                  read(x0, sp+8, 4088)
e00300f9                                       kept: str x0, [sp]
e00314aa e1030091 020082d2 080880d2 010000d4 eaffff17  write(x20, sp, 4096); b next
80fe7fd3 a80b80d2 010000d4                     done: exit(x20 >> 63)
"""


def trial_program() -> bytes:
    """Make the program, an ELF file.

    :raises BuildError: there is none for this machine.
    """
    return program({"x86_64": _X86_64, "aarch64": _AARCH64})


def read_by_it(made: bytes) -> Iterator[bytes | None]:
    """What it has read of each file, the first 4088 bytes at most; None for one that it could not read."""
    for start in range(0, len(made), _BLOCK):
        (result,) = _RESULT.unpack_from(made, start)
        content = start + _RESULT.size
        yield made[content : content + result] if result >= 0 else None
