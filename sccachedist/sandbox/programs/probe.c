/*
 * The compile of a trial job: shows what a process in a sandbox can read, and what it can change that is not its own.
 *
 *   probe MADE WORD...
 *
 * For each word it writes a number of eight bytes to the file MADE and, if that is above zero, as many bytes:
 *
 *   <PATH  reads a file: its size and content, or the negative error number
 *   >PATH  opens a file for reading, then for reading and writing: the letters r and w for what succeeded
 *   *      tries to change every mount point but /, /dev/shm and /tmp: lines with those that it could change
 *
 * It ends with status 1 if it cannot make the file. Its changes leave everything as it was, but for times.
 */
#include "kernel.h"
#include <linux/stat.h>

#define MOST ((1L << 15) - 8) /* a multiple of eight: some files of the kernel are read eight bytes at a time */

static char text[MOST + 8], found[1 << 16];
static int made;

static void put(const void *bytes, long size)
{
    for (const char *at = bytes; size > 0;) {
        long done = CALL3(__NR_write, made, at, size);
        if (done < 0)
            leave(1);
        at += done, size -= done;
    }
}

static void put_text(const char *bytes, long size)
{
    put(&size, sizeof size);
    put(bytes, size);
}

static long open_file(const char *path, int flags)
{
    return CALL4(__NR_openat, CURRENT_DIRECTORY, path, flags | O_NONBLOCK | O_CLOEXEC, 0644);
}

/* Reads a file into TEXT, which has room for one more byte; returns the size, or a negative error number. */
static long read_file(const char *path)
{
    long size = 0, got = 0, file = open_file(path, O_RDONLY);
    if (file < 0)
        return file;
    while (size < MOST && (got = CALL3(__NR_read, file, text + size, MOST - size)) > 0)
        size += got;
    CALL1(__NR_close, file);
    return size ? size : got;
}

/* Whether it can set a file's mode to what it is, or its times, by name or by descriptor. */
static int changes(const char *path)
{
    struct statx status;
    if (CALL5(__NR_statx, CURRENT_DIRECTORY, path, 0, STATX_MODE, &status) < 0)
        return 0;
    int mode = status.stx_mode & 07777, changed = CALL3(__NR_fchmodat, CURRENT_DIRECTORY, path, mode) == 0;
    changed |= CALL4(__NR_utimensat, CURRENT_DIRECTORY, path, 0, 0) == 0;
    long file = open_file(path, O_RDONLY);
    if (file >= 0) {
        changed |= CALL2(__NR_fchmod, file, mode) == 0;
        CALL1(__NR_close, file);
    }
    return changed;
}

static int same(const char *one, const char *other)
{
    while (*one && *one == *other)
        one++, other++;
    return *one == *other;
}

/* Returns the fifth word of a line, and ends it with a zero. */
static char *place_in(char *line)
{
    for (int word = 0; word < 4; line++)
        if (*line == ' ')
            word++;
        else if (!*line)
            return line;
    char *end = line;
    while (*end && *end != ' ')
        end++;
    *end = 0;
    return line;
}

static void put_changed_mounts(void)
{
    long size = 0, read = read_file("/proc/self/mountinfo");
    if (read <= 0) {
        put(&read, sizeof read);
        return;
    }
    text[read] = 0;
    for (char *line = text, *next; *line; line = next) {
        for (next = line; *next && *next != '\n'; next++)
            ;
        if (*next)
            *next++ = 0;
        char *place = place_in(line);
        if (!same(place, "/") && !same(place, "/dev/shm") && !same(place, "/tmp") && changes(place))
            while (*place && size < (long)sizeof found - 1) {
                found[size++] = *place++;
                if (!*place)
                    found[size++] = '\n';
            }
    }
    put_text(found, size);
}

static void put_opened(const char *path)
{
    long size = 0, file;
    if ((file = open_file(path, O_RDONLY)) >= 0)
        found[size++] = 'r', CALL1(__NR_close, file);
    if ((file = open_file(path, O_RDWR)) >= 0)
        found[size++] = 'w', CALL1(__NR_close, file);
    put_text(found, size);
}

static void begin(char **stack)
{
    char **word = stack + 2; /* the number of arguments, and the name of this */
    made = *word ? open_file(*word++, O_WRONLY | O_CREAT | O_TRUNC) : -1;
    if (made < 0)
        leave(1);
    for (; *word; word++) {
        if (**word == '*') {
            put_changed_mounts();
        } else if (**word == '>') {
            put_opened(*word + 1);
        } else {
            long size = read_file(*word + 1);
            if (size > 0)
                put_text(text, size);
            else
                put(&size, sizeof size);
        }
    }
    leave(0);
}
