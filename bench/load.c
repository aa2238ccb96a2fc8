/* The load of the job cases: small jobs on a farm whose build server has their toolchain, as many at a time as is asked.
 *
 *     load SCHEDULER_PORT SERVER_PORT FOLDER JOBS AT_A_TIME
 *
 * Both daemons are on 127.0.0.1. A job is alloc_job at the scheduler, then run_job over TLS at the build server, each on a
 * connection of its own. FOLDER has what is sent: `alloc`, a whole request; `head`, the end of the head of run_job, which
 * comes behind the lines that name the job and its token; `body`, its body; and `certificate`, the build server's.
 *
 * For each job a line with its seconds is written, then one with the seconds of all jobs together, and one with the CPU
 * seconds of this process meanwhile. Any other answer than that a job has ended well is an error. The messages' bytes are
 * in doc/protocol; what a job does is not known here.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_ROOM = 4096, FIRST_ROOM = 1 << 18, MOST_THREADS = 256, RETRY_NANOSECONDS = 20 * 1000 * 1000 };

struct bytes {
    char *at;
    size_t size, room;
};

static int scheduler_port, server_port, jobs;
static struct bytes alloc_request, head_end, run_body;
static SSL_CTX *context;
static double *seconds;
static atomic_int next_job;

static _Noreturn void fail(const char *form, ...) {
    va_list values;
    va_start(values, form);
    fputs("load: ", stderr);
    vfprintf(stderr, form, values);
    fputc('\n', stderr);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static double seconds_of(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void *room_for(size_t size) {
    void *room = malloc(size);
    if (!room)
        fail("no memory");
    return room;
}

static struct bytes content(const char *folder, const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END))
        fail("%s: %s", path, strerror(errno));
    struct bytes read = {.size = (size_t)ftell(file)};
    read.at = room_for(read.size);
    rewind(file);
    if (fread(read.at, 1, read.size, file) != read.size)
        fail("%s cannot be read", path);
    fclose(file);
    return read;
}

/* The connection: plain if `tls` is NULL. */
struct connection {
    int socket;
    SSL *tls;
};

static struct connection connected(int port, SSL_CTX *with_tls) {
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct connection made = {.socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    int yes = 1;
    if (made.socket < 0 || connect(made.socket, (struct sockaddr *)&peer, sizeof peer) ||
        setsockopt(made.socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes))
        fail("port %d: %s", port, strerror(errno));
    if (with_tls) {
        made.tls = SSL_new(with_tls);
        if (!made.tls || !X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(made.tls), "127.0.0.1") ||
            !SSL_set_fd(made.tls, made.socket) || SSL_connect(made.tls) != 1)
            fail("no TLS with port %d", port);
    }
    return made;
}

static void send_all(struct connection *to, const char *at, size_t size) {
    if (to->tls) { /* it returns when all is written */
        if (SSL_write(to->tls, at, (int)size) <= 0)
            fail("a request was not taken");
        return;
    }
    while (size) {
        ssize_t sent = send(to->socket, at, size, MSG_NOSIGNAL);
        if (sent <= 0)
            fail("a request was not taken: %s", strerror(errno));
        at += sent;
        size -= (size_t)sent;
    }
}

/* Whether the bytes are a whole answer; `body` is where its body begins. */
static int is_whole(const struct bytes *answer, size_t *body) {
    const char *end = memmem(answer->at, answer->size, "\r\n\r\n", 4);
    if (!end)
        return 0;
    size_t start = (size_t)(end - answer->at) + 4, length = 0;
    int is_chunked = 0;
    for (const char *line = answer->at; line < end; line = (char *)memmem(line, (size_t)(end + 2 - line), "\r\n", 2) + 2) {
        if (!strncasecmp(line, "content-length:", 15))
            length = strtoul(line + 15, NULL, 10);
        is_chunked |= !strncasecmp(line, "transfer-encoding: chunked", 26);
    }
    *body = start;
    if (!is_chunked)
        return answer->size - start >= length;
    const char *chunk = memmem(end + 4, answer->size - start, "\r\n", 2);
    if (!chunk)
        return 0;
    *body = (size_t)(chunk - answer->at) + 2; /* of the first chunk, which has all that is looked at */
    return answer->size - start >= 5 && !memcmp(answer->at + answer->size - 5, "0\r\n\r\n", 5);
}

/* Read an answer, which has to have status 200; its body begins where the returned pointer leads. */
static const char *received(struct connection *from, struct bytes *answer) {
    size_t body;
    answer->size = 0;
    do {
        if (answer->size + 1 >= answer->room) {
            answer->room *= 2;
            if (!(answer->at = realloc(answer->at, answer->room)))
                fail("no memory");
        }
        char *rest = answer->at + answer->size;
        size_t room = answer->room - answer->size - 1;
        long more = from->tls ? SSL_read(from->tls, rest, (int)room) : recv(from->socket, rest, room, 0);
        if (more <= 0)
            fail("a connection ended within an answer: %.200s", answer->size ? answer->at : "");
        answer->size += (size_t)more;
        answer->at[answer->size] = 0;
    } while (!is_whole(answer, &body));
    if (strncmp(answer->at, "HTTP/1.1 200 ", 13))
        fail("answered %.200s", answer->at);
    return answer->at + body;
}

static void close_it(struct connection *made) {
    if (made->tls) {
        SSL_shutdown(made->tls);
        SSL_free(made->tls);
    }
    close(made->socket);
}

/* A number of the protocol: its least byte first. */
static uint64_t number(const char *at, int size) {
    uint64_t value = 0;
    while (size--)
        value = value << 8 | (unsigned char)at[size];
    return value;
}

/* Ask for a slot until there is one; write the head of the request that uses it to the end of `room`. */
static size_t allocated(struct bytes *answer, char *room) {
    for (;;) {
        struct connection scheduler = connected(scheduler_port, NULL);
        send_all(&scheduler, alloc_request.at, alloc_request.size);
        const char *at = received(&scheduler, answer);
        close_it(&scheduler);
        if (number(at, 4) == 0) { /* Success: the token, the job's id, an address by IPv4, whether to upload */
            int token = (int)number(at + 4, 8);
            const char *id = at + 12 + token;
            if (number(id + 8, 4) != 0 || id[18] != 0)
                fail("not on IPv4, or a toolchain is asked for");
            char lines[HEAD_ROOM];
            int size = snprintf(
                lines, sizeof lines, "POST /api/v1/distserver/run_job/%llu HTTP/1.1\r\nAuthorization: Bearer %.*s\r\n",
                (unsigned long long)number(id, 8), token, at + 12
            );
            size_t whole = (size_t)size + head_end.size;
            if (whole > HEAD_ROOM)
                fail("a long token");
            memcpy(room + HEAD_ROOM - whole, lines, (size_t)size);
            memcpy(room + HEAD_ROOM - head_end.size, head_end.at, head_end.size);
            return whole;
        }
        nanosleep(&(struct timespec){.tv_nsec = RETRY_NANOSECONDS}, NULL); /* as a client that waits */
    }
}

static void *run_jobs(void *unused) {
    (void)unused;
    struct bytes answer = {.at = room_for(FIRST_ROOM), .room = FIRST_ROOM};
    char *request = room_for(HEAD_ROOM + run_body.size); /* the head ends where the body begins */
    memcpy(request + HEAD_ROOM, run_body.at, run_body.size);
    for (int job; (job = atomic_fetch_add(&next_job, 1)) < jobs;) {
        double began = seconds_of(CLOCK_MONOTONIC);
        size_t head = allocated(&answer, request);
        struct connection server = connected(server_port, context);
        send_all(&server, request + HEAD_ROOM - head, head + run_body.size);
        const char *result = received(&server, &answer);
        if (number(result, 4) != 1 || number(result + 4, 4) != 0) /* Complete, with the exit code 0 */
            fail("a job failed");
        seconds[job] = seconds_of(CLOCK_MONOTONIC) - began;
        close_it(&server);
    }
    free(request);
    free(answer.at);
    return NULL;
}

int main(int count, char **arguments) {
    if (count != 6)
        fail("usage: load SCHEDULER_PORT SERVER_PORT FOLDER JOBS AT_A_TIME");
    scheduler_port = atoi(arguments[1]);
    server_port = atoi(arguments[2]);
    const char *folder = arguments[3];
    jobs = atoi(arguments[4]);
    int threads = atoi(arguments[5]);
    if (jobs < 1 || threads < 1 || threads > MOST_THREADS)
        fail("so many jobs cannot be run");
    alloc_request = content(folder, "alloc");
    head_end = content(folder, "head");
    run_body = content(folder, "body");
    char certificate[4096];
    snprintf(certificate, sizeof certificate, "%s/certificate", folder);
    if (!(context = SSL_CTX_new(TLS_client_method())) || !SSL_CTX_load_verify_file(context, certificate))
        fail("no certificate");
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN); /* it is its own authority */
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_AUTO_RETRY);
    seconds = room_for((size_t)jobs * sizeof *seconds);

    pthread_t running[MOST_THREADS];
    double began = seconds_of(CLOCK_MONOTONIC), used = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    for (int each = 0; each < threads; each++)
        if (pthread_create(&running[each], NULL, run_jobs, NULL))
            fail("no thread");
    for (int each = 0; each < threads; each++)
        pthread_join(running[each], NULL);
    double all = seconds_of(CLOCK_MONOTONIC) - began, cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - used;
    for (int job = 0; job < jobs; job++)
        printf("%.9f\n", seconds[job]);
    printf("%.9f\n%.9f\n", all, cpu);
    return 0;
}
