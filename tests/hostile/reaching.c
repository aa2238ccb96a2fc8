/*
 * A job that reaches for what is not its own: the program that is process 1 of its sandbox, the devices, the kernel's
 * files, the namespaces, what is mounted. It prints what it could do, and at last that it has tried everything.
 *
 *   reaching        tries to change each of them, in ways that change nothing where they succeed
 *   reaching exe    keeps process 1's program open, and writes over it as soon as process 1 ends
 *   reaching report writes garbage to every descriptor of process 1
 *   reaching lock COMMAND... locks a device, says whether that was free, and becomes the command where it was
 *   reaching memory KIND  takes 4 GiB that no limit on a process knows of, and keeps it: shared, dropped, memfd, unmapped,
 *                         sysv, semaphores, thread, private
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static void could(int succeeded, const char *what, const char *path)
{
    if (succeeded)
        printf("could %s %s\n", what, path);
}

/* By a descriptor, which once had been enough: its mount is asked, not the one of the path. */
static void change_open(const char *path)
{
    struct stat found;
    int file = open(path, O_RDONLY | O_NONBLOCK);
    if (file < 0)
        return;
    if (fstat(file, &found) == 0) {
        could(fchmod(file, found.st_mode & 07777) == 0, "change the mode of open", path);
        could(fchown(file, found.st_uid, found.st_gid) == 0, "change the owner of open", path);
        could(futimens(file, NULL) == 0, "change the times of open", path);
        could(fsetxattr(file, "user.reached", "x", 1, 0) == 0, "set an attribute of open", path);
    }
    close(file);
}

static void change(const char *path)
{
    struct stat found;
    if (stat(path, &found) != 0)
        return;
    could(chmod(path, found.st_mode & 07777) == 0, "change the mode of", path);
    could(chown(path, found.st_uid, found.st_gid) == 0, "change the owner of", path);
    could(utimensat(AT_FDCWD, path, NULL, 0) == 0, "change the times of", path);
    could(setxattr(path, "user.reached", "x", 1, 0) == 0, "set an attribute of", path);
    could(link(path, "/linked") == 0, "link", path);
    if (!S_ISCHR(found.st_mode)) /* to write to a device is what it is for */
        could(open(path, O_WRONLY | O_NONBLOCK) != -1, "open for writing", path);
    change_open(path);
}

static void change_all(const char *directory, const char *but)
{
    struct dirent *entry;
    char path[512];
    DIR *all = opendir(directory);
    while (all && (entry = readdir(all))) {
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        if (strcmp(entry->d_name, "..") && !strstr(but, entry->d_name) && !(entry->d_name[0] >= '0' && entry->d_name[0] <= '9'))
            change(path);
    }
    if (all)
        closedir(all);
}

/* Every place where something is mounted, but for those that are the job's: /, /dev/shm, /tmp. */
static void mounts(void)
{
    char line[4096], path[512];
    FILE *table = fopen("/proc/self/mountinfo", "r");
    while (table && fgets(line, sizeof line, table))
        if (sscanf(line, "%*s %*s %*s %*s %511s", path) == 1 && strcmp(path, "/") && strcmp(path, "/dev/shm") &&
            strcmp(path, "/tmp"))
            change(path);
    if (table)
        fclose(table);
}

static void first_process(void)
{
    static const char *const names[] = {"exe", "cwd", "root", "mem", "maps", "environ", "fd/0", "fd/1", "fd/2", "fd/3",
                                        "fd/4", "fd/5", "fd/6", "fd/7", "fd/8", "fd/9"};
    char path[512];
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "/proc/1/%s", names[i]);
        could(open(path, O_RDONLY | O_NONBLOCK) != -1, "open", path);
        could(open(path, O_RDWR | O_NONBLOCK) != -1, "open for writing", path);
    }
}

static void try_everything(void)
{
    first_process();
    change("/proc/1/exe");
    change_all("/dev", "shm fd stdin stdout stderr");
    change_all("/proc", "self thread-self");
    mounts();
    could(open("/dev/new", O_CREAT | O_WRONLY, 0600) != -1, "make", "/dev/new");
    could(mkdir("/proc/new", 0700) == 0, "make", "/proc/new");
    could(rename("/dev/null", "/dev/shm/null") == 0, "move", "/dev/null");
}

static void write_over(int file)
{
    static char own[1 << 20];
    char path[64];
    FILE *self = fopen("/bin/other", "r");
    size_t size = self ? fread(own, 1, sizeof own, self) : 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    for (;;) {
        int writable = open(path, O_RDWR);
        if (writable >= 0) {
            ftruncate(writable, size);
            pwrite(writable, own, size, 0);
        } else if (errno != ETXTBSY)
            _exit(0);
    }
}

static void replace_first(void)
{
    int file = open("/proc/1/exe", O_RDONLY);
    could(file != -1, "open", "/proc/1/exe");
    could(fchmod(file, 0777) == 0, "change the mode of", "/proc/1/exe");
    for (int i = 0; file != -1 && i < 2; i++)
        if (fork() == 0)
            write_over(file);
}

static void report(void)
{
    char path[64];
    for (int i = 3; i < 64; i++) {
        snprintf(path, sizeof path, "/proc/1/fd/%d", i);
        int pipe = open(path, O_WRONLY | O_NONBLOCK);
        could(pipe != -1, "open", path);
        if (pipe != -1)
            could(write(pipe, "garbage", 7) == 7, "write to", path);
    }
}

static int lock(char **command)
{
    int free = flock(open("/dev/zero", O_RDONLY), LOCK_EX | LOCK_NB) == 0;
    puts(free ? "free" : "taken");
    return free && *command ? execvp(*command, command) : 0;
}

static const size_t PIECE = 16 << 20;

static void *in_thread(void *nothing)
{
    if (unshare(CLONE_FILES) != 0) /* a table of descriptors that the process's own does not show */
        exit(3);
    for (;;) {
        int file = memfd_create("reached", 0);
        static char zeros[1 << 20];
        for (int i = 0; i < 16; i++)
            if (file == -1 || write(file, zeros, sizeof zeros) != sizeof zeros)
                exit(3);
    }
    return nothing;
}

/* What a limit on each process allows, of many processes. */
static void take_privately(void)
{
    for (int n = 0; n < 40; n++)
        if (fork() == 0) {
            char *at = mmap(NULL, 100 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (at != MAP_FAILED)
                memset(at, 1, 100 << 20);
            pause();
        }
}

static void take(const char *kind)
{
    if (!strcmp(kind, "private"))
        take_privately();
    for (int n = 0; n < 256 && strcmp(kind, "private"); n++) { /* 4 GiB */
        int file = -1, shared = MAP_SHARED | MAP_ANONYMOUS;
        if (!strcmp(kind, "semaphores")) {
            if (semget(IPC_PRIVATE, 32000, IPC_CREAT | 0600) == -1)
                exit(3);
            for (int i = 0; i < 7; i++)
                semget(IPC_PRIVATE, 32000, IPC_CREAT | 0600);
            continue;
        }
        if (!strcmp(kind, "sysv")) {
            int segment = shmget(IPC_PRIVATE, PIECE, IPC_CREAT | 0600);
            char *at = segment == -1 ? (void *)-1 : shmat(segment, NULL, 0);
            if (at == (void *)-1)
                exit(3);
            memset(at, 1, PIECE);
            shmdt(at);
            continue;
        }
        if (!strcmp(kind, "thread")) {
            pthread_t other;
            pthread_create(&other, NULL, in_thread, NULL);
            pthread_exit(NULL);
        }
        if (!strcmp(kind, "memfd") || !strcmp(kind, "unmapped")) {
            file = memfd_create("reached", 0);
            shared = MAP_SHARED;
            if (file == -1 || ftruncate(file, PIECE) != 0)
                exit(3);
        }
        char *at = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, shared, file, 0);
        if (at == MAP_FAILED)
            exit(3);
        memset(at, 1, PIECE);
        if (!strcmp(kind, "unmapped"))
            munmap(at, PIECE);
        else if (!strcmp(kind, "dropped"))
            madvise(at, PIECE, MADV_DONTNEED);
    }
}

int main(int count, char **arguments)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    if (getpid() > 64) {
        puts("only in a sandbox");
        return 1;
    }
    if (count < 2)
        try_everything();
    else if (!strcmp(arguments[1], "exe"))
        replace_first();
    else if (!strcmp(arguments[1], "lock"))
        return lock(arguments + 2);
    else if (!strcmp(arguments[1], "report"))
        report();
    else {
        take(arguments[2]);
        puts("took it");
        pause();
    }
    puts("tried everything");
    return 0;
}
