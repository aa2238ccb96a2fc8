/*
 * The program that waits in a sandbox for a command, and runs it.
 *
 * It reads its orders from stdin to the end: the bytes that sccachedist/sandbox/overlay/init_program.py makes. If there
 * are none, it ends. It is the first process of the sandbox: it also waits for orphans, and ends what the command has
 * left. When no other process is left, it writes to a descriptor that the orders name: the command's exit code as a shell
 * shows it, or the error's number if the command could not be run, and what all others took. Nothing is to be waited for
 * then: this process and what made the sandbox end by themselves.
 *
 * It makes itself undumpable: then the kernel shows other processes without privileges neither its program, nor its
 * descriptors, nor its memory. So the command can reach nothing of it; later sandboxes run the same program file.
 */
#include "kernel.h"
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/time.h>

#define ROOM_SIZE (8L << 20)
#define PIECE (1L << 20)
#define SIGKILL 9
#define SIGCHLD 17
#define WNOHANG 1

/* The orders: all addresses point into the room; each list of addresses ends with a zero, and so does each text. */
struct orders {
    long report; /* a descriptor, for what it has to say */
    long own;    /* another one that the command must not inherit */
    const char *directory;
    char **arguments;
    char **variables;
    const char *names[]; /* the paths at which the command may be */
};

static struct orders *const room = (struct orders *)0x10000000L;

/* What it has to say. */
static struct {
    long result; /* an exit code, or a negative error number */
    struct rusage used;
} end;

static __attribute__((noreturn)) void tell(long result)
{
    end.result = result;
    CALL2(__NR_getrusage, RUSAGE_CHILDREN, &end.used);
    CALL3(__NR_write, room->report, &end, sizeof end);
    leave(result < 0 ? 127 : result);
}

/* The child, which shares its parent's memory: the parent waits until this has executed a program or ended. What it tells
 * comes before what its parent tells. */
static __attribute__((noreturn, used)) void become(void)
{
    long error = 0;
    for (const char **name = room->names; *name; name++)
        error = CALL3(__NR_execve, *name, room->arguments, room->variables);
    tell(error);
}

/* As vfork, which cannot be a function in C; so the child has a stack of its own. */
static long start(void)
{
    static char stack[4096] __attribute__((aligned(16)));
#if defined(__x86_64__)
    long child;
    register long r10 __asm__("r10") = 0, r8 __asm__("r8") = 0;
    __asm__ volatile("syscall\n test %%rax, %%rax\n jnz 1f\n call become\n 1:"
                     : "=a"(child)
                     : "a"(__NR_clone), "D"(CLONE_VM | CLONE_VFORK | SIGCHLD), "S"(stack + sizeof stack), "d"(0),
                       "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return child;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = __NR_clone, x0 __asm__("x0") = CLONE_VM | CLONE_VFORK | SIGCHLD,
                  x1 __asm__("x1") = (long)(stack + sizeof stack), x2 __asm__("x2") = 0, x3 __asm__("x3") = 0,
                  x4 __asm__("x4") = 0;
    __asm__ volatile("svc 0\n cbnz x0, 1f\n bl become\n 1:"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
                     : "memory", "x30");
    return x0;
#endif
}

static int exit_code_of(long child)
{
    int status = 0;
    for (;;) {
        long ended = CALL4(__NR_wait4, -1, &status, 0, 0);
        if (ended == child)
            return status & 127 ? 128 + (status & 127) : status >> 8 & 255;
        if (ended < 0)
            return 127;
    }
}

/* In a sandbox, kills all other processes and waits for them. The kernel would do so too, when the first process ends,
 * but it would not add what they took to what the first process took. Elsewhere, "all others" would be all of a host. */
static void end_others(void)
{
    long ended, flags = WNOHANG;
    if (CALL1(__NR_getpid, 0) != 1)
        return;
    while ((ended = CALL4(__NR_wait4, -1, 0, flags, 0)) >= 0)
        if (ended == 0) {
            CALL2(__NR_kill, -1, SIGKILL);
            flags = 0;
        }
}

static void begin(char **stack)
{
    (void)stack;
    long got, size = 0, result = CALL5(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (result < 0 || CALL6(__NR_mmap, room, ROOM_SIZE, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != (long)room)
        leave(127);
    while ((got = CALL3(__NR_read, 0, (char *)room + size, PIECE)) > 0)
        size += got;
    if (size == 0)
        leave(127);
    CALL3(__NR_fcntl, room->report, F_SETFD, FD_CLOEXEC);
    CALL3(__NR_fcntl, room->own, F_SETFD, FD_CLOEXEC);
    if ((result = CALL1(__NR_chdir, room->directory)) < 0 || (result = start()) < 0)
        tell(result);
    CALL1(__NR_close, room->own);
    result = exit_code_of(result);
    end_others();
    tell(result);
}
