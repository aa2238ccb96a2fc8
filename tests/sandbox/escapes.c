/*
 * Tries to get out of a sandbox, in every way that it knows, and prints what it could do: nothing, when all is well.
 * What it tries would harm a machine: it does nothing unless it runs under a seccomp filter and is not privileged.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void check(const char *what, int escaped)
{
    if (escaped)
        printf("could %s\n", what);
}

/* Whether a call was let through, whatever it then said: refused is only what has exactly this error. */
#define PASSES(refusal, ...) (syscall(__VA_ARGS__) != -1 || errno != (refusal))

static void calls(void)
{
    check("mount", PASSES(EPERM, SYS_mount, "none", "/tmp", "tmpfs", 0, 0));
    check("unmount", PASSES(EPERM, SYS_umount2, "/proc", MNT_DETACH));
    check("fsopen", PASSES(EPERM, SYS_fsopen, "tmpfs", 0));
    check("open_tree", PASSES(EPERM, SYS_open_tree, AT_FDCWD, "/", 1));
    check("pivot_root", PASSES(EPERM, SYS_pivot_root, "/", "/"));
    check("chroot", PASSES(EPERM, SYS_chroot, "/"));
    check("ptrace", PASSES(EPERM, SYS_ptrace, PTRACE_TRACEME, 0, 0, 0));
    check("read another process", PASSES(EPERM, SYS_process_vm_readv, 1, 0, 0, 0, 0, 0));
    check("use a keyring", PASSES(EPERM, SYS_keyctl, 0, -3, 0, 0, 0));
    check("add a key", PASSES(EPERM, SYS_add_key, "user", "x", "y", 1, -3));
    check("request a key", PASSES(EPERM, SYS_request_key, "user", "x", 0, -3));
    check("load a BPF program", PASSES(EPERM, SYS_bpf, 5, 0, 0));
    check("use userfaultfd", PASSES(EPERM, SYS_userfaultfd, 1));
    check("use perf", PASSES(EPERM, SYS_perf_event_open, 0, 0, -1, -1, 0));
    check("use io_uring", PASSES(EPERM, SYS_io_uring_setup, 1, 0));
    check("load a module", PASSES(EPERM, SYS_init_module, 0, 0, ""));
    check("load another kernel", PASSES(EPERM, SYS_kexec_load, 0, 0, 0, 0));
    check("reboot", PASSES(EPERM, SYS_reboot, 0, 0, 0, 0));
    check("swap", PASSES(EPERM, SYS_swapon, "/tmp/x", 0));
    check("enter other namespaces", PASSES(EPERM, SYS_setns, 0, 0));
    check("unshare a user namespace", PASSES(EPERM, SYS_unshare, CLONE_NEWUSER));
    check("unshare a mount namespace", PASSES(EPERM, SYS_unshare, CLONE_NEWNS));
    check("list mounts", PASSES(EPERM, 458, 0, 0, 0, 0));
    check("ask of a mount", PASSES(EPERM, 457, 0, 0, 0, 0));
    check("open a tree with attributes", PASSES(EPERM, 467, AT_FDCWD, "/", 0, 0, 0));
    check("have memory that the kernel does not see", PASSES(EPERM, 447, 0));
    check("place memory", PASSES(EPERM, SYS_mbind, 0, 0, 0, 0, 0, 0));
    check("make all memory executable", PASSES(EPERM, SYS_personality, READ_IMPLIES_EXEC));
    check("hide that in a question", PASSES(EPERM, SYS_personality, 0x80000000u | READ_IMPLIES_EXEC));
    check("have old flags", PASSES(EPERM, SYS_personality, MMAP_PAGE_ZERO));
    if (syscall(SYS_personality, 0xffffffff) == -1 || syscall(SYS_personality, ADDR_NO_RANDOMIZE) == -1)
        puts("could not have what compilers need"); /* for precompiled headers */
    check("clone into a user namespace", PASSES(EPERM, SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
    check("use clone3", PASSES(ENOSYS, SYS_clone3, 0, 0));
    check("type for the terminal", ioctl(0, TIOCSTI, "x") != -1 || errno != EPERM);
    check("type for the terminal by a wide command", PASSES(EPERM, SYS_ioctl, 0, 0x100005412UL, "x"));
}

static void sockets(void)
{
    static const int families[] = {AF_VSOCK, AF_PACKET, AF_ALG, AF_BLUETOOTH, AF_TIPC, AF_CAN};
    for (unsigned i = 0; i < sizeof families / sizeof *families; i++)
        check("open a socket of another family", socket(families[i], SOCK_STREAM, 0) != -1 || errno != EAFNOSUPPORT);
    for (int protocol = 1; protocol < 32; protocol++) /* 0 is what tells of interfaces */
        check("have another part of netlink", socket(AF_NETLINK, SOCK_RAW, protocol) != -1 || errno != EPROTONOSUPPORT);
    check("have no netlink", socket(AF_NETLINK, SOCK_RAW, 0) == -1);
    struct sockaddr_in far = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = inet_addr("192.0.2.1")};
    int s = socket(AF_INET, SOCK_STREAM, 0);
    check("reach the network", connect(s, (struct sockaddr *)&far, sizeof far) != -1 || errno != ENETUNREACH);
}

/* The number after a name in /proc/self/status, as hexadecimal digits, or -1. */
static long long status_of(const char *name)
{
    char line[200];
    long long value = -1;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (!strncmp(line, name, strlen(name)))
            value = strtoll(line + strlen(name), NULL, 16);
    if (status)
        fclose(status);
    return value;
}

static int rights(void)
{
    static const char *const sets[] = {"CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"};
    int free = 0;
    for (unsigned i = 0; i < sizeof sets / sizeof *sets; i++)
        free |= status_of(sets[i]) != 0;
    check("have a capability", free);
    free |= status_of("NoNewPrivs:") != 1 || status_of("Seccomp:") != SECCOMP_MODE_FILTER;
    check("gain privileges or go without a filter", free);
    return free;
}

static int entries(const char *directory, int numbers)
{
    int count = 0;
    struct dirent *entry;
    DIR *all = opendir(directory);
    while (all && (entry = readdir(all)))
        count += numbers ? atoi(entry->d_name) > 0 : entry->d_name[0] != '.';
    if (all)
        closedir(all);
    return count;
}

static void surroundings(char **environment)
{
    static const char *const hidden[] = {"/proc/kcore", "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern",
                                         "/proc/sys/kernel/modprobe", "/proc/sys/vm/drop_caches"};
    for (unsigned i = 0; i < sizeof hidden / sizeof *hidden; i++)
        check("write to the kernel", open(hidden[i], O_WRONLY) != -1);
    static const char *const secrets[] = {"/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/vmallocinfo",
                                          "/proc/kpagecount", "/proc/kpageflags", "/proc/slabinfo"};
    for (unsigned i = 0; i < sizeof secrets / sizeof *secrets; i++) {
        char bytes[8]; /* as few as some of them give */
        check("read the kernel's own", read(open(secrets[i], O_RDONLY), bytes, sizeof bytes) > 0);
    }
    check("see processes of the host", entries("/proc", 1) > 3); /* bubblewrap's, the shell if any, this one */
    check("see descriptors of the daemon", entries("/proc/self/fd", 0) > 4); /* three, and that of the directory */
    check("see the daemon's environment", environment[0] != NULL && strcmp(environment[0], "ONLY=this") != 0);
    check("see the daemon's environment", environment[0] != NULL && environment[1] != NULL &&
                                              strncmp(environment[1], "PWD=", 4) != 0);
    check("see other jobs", access("/scratch", F_OK) == 0 || access("/toolchains", F_OK) == 0);
    check("make a device", mknod("/tmp/device", S_IFCHR | 0600, 0x801) != -1);
    check("signal what is outside", kill(-1, 0) != -1 && kill(2147483, SIGKILL) != -1);
    for (char path[32], i = 0; i < 9; i++) { /* the root of each process that is seen is this one */
        struct stat own, other;
        snprintf(path, sizeof path, "/proc/%d/root", i);
        if (stat("/", &own) == 0 && stat(path, &other) == 0)
            check("see another root", own.st_ino != other.st_ino || own.st_dev != other.st_dev);
    }
}

int main(int count, char **arguments, char **environment)
{
    (void)count, (void)arguments;
    if (getpid() > 16) { /* outside of a sandbox it would escape, and unmount the host's /proc */
        puts("only in a sandbox");
        return 1;
    }
    setvbuf(stdout, NULL, _IONBF, 0); /* a clone that succeeds must not print it twice */
    if (rights())
        return 1;
    surroundings(environment);
    sockets();
    calls();
    puts("tried everything");
    return 0;
}
