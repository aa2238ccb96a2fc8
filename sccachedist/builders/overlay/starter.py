"""The program that waits in a sandbox for a command line, and runs the command.

It reads its orders from its stdin to the end: what :func:`orders` makes. Where there are none it just ends; where the
command cannot be run, the descriptor named in them gets the error's number. It is the first process of the sandbox, of
which a program expects more than to compile: it waits for what is orphaned, and ends with the command's exit code as a
shell shows it.
"""

import os
import struct
from collections.abc import Sequence
from itertools import accumulate, chain, islice

from sccachedist.builders.command import refuse_nul, variables
from sccachedist.builders.elf import ROOM_ADDRESS, program
from sccachedist.errors import BuildError
from sccachedist.wire.messages import CompileCommand

#: The most bytes of orders; Linux takes no command line that is longer.
_ROOM = 8 * 1024 * 1024
_PATH = "/bin:/usr/bin"  # where nothing is said of it, as the C library has it
_WORD, _REPORT = struct.Struct("=Q"), struct.Struct("=q")

# The room holds the orders from its start: two descriptors and the addresses of the directory, of the list of arguments
# and of that of variables; then three lists of addresses, each with a zero behind it, names to try first; then texts.
_X86_64 = """
bb00000010 4889de                                    mov ebx, room; mov rsi, rbx
31ff ba00001000 31c0 0f05                      more: read(0, rsi, 1 << 20)
4885c0 7e05 4801c6 ebeb                              test rax, rax; jle all; add rsi, rax; jmp more
4839de 7470                                     all: cmp rsi, rbx; je end
488b3b be02000000 ba01000000 b848000000 0f05         fcntl([rbx], F_SETFD, FD_CLOEXEC)
488b7b08 b848000000 0f05                             fcntl([rbx+8], F_SETFD, FD_CLOEXEC)
488b7b10 b850000000 0f05 85c0 782f                   chdir([rbx+16]); test eax, eax; js told
b83a000000 0f05 85c0 7824 7541                       vfork(); test eax, eax; js told; jnz wait
4c8d6328                                             lea r12, [rbx+40]
498b3c24 4983c408 4885ff 7411                  next: mov rdi, [r12]; add r12, 8; test rdi, rdi; jz told
488b7318 488b5320 b83b000000 0f05 ebe2               execve(rdi, [rbx+24], [rbx+32]); jmp next
50 488b3b 4889e6 ba08000000 b801000000 0f05    told: push rax; write([rbx], rsp, 8)
bf7f000000                                      end: mov edi, 127
b83c000000 0f05                                exit: exit(edi)
89c5 50                                        wait: mov ebp, eax; push rax
83cfff 4889e6 31d2 4531d2 b83d000000 0f05      each: wait4(-1, rsp, 0, 0)
85c0 78c8 39e8 75e6 5f                               test eax, eax; js told; cmp eax, ebp; jne each; pop rdi
89f8 83e07f 7408 8db880000000 ebcc                   mov eax, edi; and eax, 127; jz code; lea edi, [rax+128]; jmp exit
c1ef08 ebc7                                    code: shr edi, 8; jmp exit
"""
_AARCH64 = """
1400a2d2 e10314aa                                    mov x20, room; mov x1, x20
000080d2 0202a0d2 e80780d2 010000d4            more: read(0, x1, 1 << 20)
1f0000f1 6d000054 2100008b f9ffff17                  cmp x0, 0; b.le all; add x1, x1, x0; b more
3f0014eb 80040054                               all: cmp x1, x20; b.eq end
800240f9 410080d2 220080d2 280380d2 010000d4         fcntl([x20], F_SETFD, FD_CLOEXEC)
800640f9 010000d4                                    fcntl([x20+8], F_SETFD, FD_CLOEXEC)
800a40f9 280680d2 010000d4 6002f8b7                  chdir([x20+16]); tbnz x0, 63, told
202288d2 010080d2 020080d2 030080d2 040080d2         mov x0, CLONE_VM | CLONE_VFORK | SIGCHLD; mov x1...x4, 0
881b80d2 010000d4 6001f8b7 600200b5                  clone(x0...x4); tbnz x0, 63, told; cbnz x0, wait
93a20091                                             add x19, x20, 40
698640f8 e90000b4 e00309aa                     next: ldr x9, [x19], 8; cbz x9, told; mov x0, x9
810e40f9 821240f9 a81b80d2 010000d4 f9ffff17         execve(x0, [x20+24], [x20+32]); b next
e00f1ff8 800240f9 e1030091 020180d2 080880d2 010000d4  told: str x0, [sp, -16]!; write([x20], sp, 8)
e00f80d2                                        end: mov x0, 127
a80b80d2 010000d4                              exit: exit(x0)
f50300aa ff4300d1                              wait: mov x21, x0; sub sp, sp, 16
00008092 e1030091 020080d2 030080d2 882080d2 010000d4  each: wait4(-1, sp, 0, 0)
e0fdffb7 1f0015eb 01ffff54                           tbnz x0, 63, told; cmp x0, x21; b.ne each
e00340b9 01180072 60000054 20000211 efffff17         ldr w0, [sp]; ands w1, w0, 127; b.eq code; add w0, w1, 128; b exit
007c0853 edffff17                              code: lsr w0, w0, 8; b exit
"""


def starter() -> bytes:
    """Make the program, an ELF file.

    :raises BuildError: there is none for this machine.
    """
    return program({"x86_64": _X86_64, "aarch64": _AARCH64}, _ROOM)


def orders(command: CompileCommand, report_fd: int, own_fd: int) -> bytes:
    """Make what the program reads to run a command; PWD is set as every shell does.

    :param report_fd: a descriptor of the program for what :func:`failure` reads.
    :param own_fd: another one that the command is not to have.
    :raises BuildError: no command line can be so long, or hold what this one holds.
    """
    environment = dict(variables(command)) | {"PWD": command.cwd}
    lists = (
        _names(command.executable, environment.get("PATH", _PATH)),
        (command.executable, *command.arguments),
        [f"{name}={value}" for name, value in environment.items()],
    )
    texts = [command.cwd, *chain(*lists)]
    refuse_nul(texts)
    packed = [each.encode() + b"\0" for each in texts]
    sizes = (_WORD.size * (len(each) + 1) for each in lists)
    _, arguments, environ, text = accumulate(sizes, initial=ROOM_ADDRESS + 5 * _WORD.size)
    addresses = accumulate(map(len, packed), initial=text)
    words = [report_fd, own_fd, next(addresses), arguments, environ]
    for each in lists:
        words += [*islice(addresses, len(each)), 0]
    told = b"".join((*map(_WORD.pack, words), *packed))
    if len(told) > _ROOM:
        raise BuildError("the sandbox did not run the command: its command line is too long")
    return told


def failure(report: bytes) -> str:
    """What has kept the program from running the command; empty where nothing has."""
    return os.strerror(-_REPORT.unpack(report)[0]) if report else ""


def _names(executable: str, path: str) -> Sequence[str]:
    """Where a program may be: looked for as a shell does."""
    if "/" in executable:
        return [executable]
    return [f"{directory or '.'}/{executable}" for directory in path.split(":")]
