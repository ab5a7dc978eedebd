/* tests/crash/shim.c - preloaded into the programs of a job: counts their durable events, and kills
 * or fails at one of them.
 *
 * An event is a call that leaves a trace outside the process: fsync, fdatasync, rename, unlink,
 * ftruncate, a write to a regular file, an MPI or socket send. The environment says what to do:
 *
 *   SHIM_LOG=FOLDER       append every event's name to FOLDER/<who>
 *   SHIM_KILL=<who>:N     SIGKILL before event N (from 1) of that process
 *   SHIM_FAIL=<who>:CLASS:N   the N-th call of the class fails: write, fsync, rename (ENOSPC, EIO,
 *                             ENOSPC), or malloc (NULL)
 *
 * <who> is the program's name, with ".RANK" for a rank of a job and ".check" for the process in
 * which dashd checks one job. For malloc only calls out of the program itself count, not those of
 * libraries, and only one of each call stack: with SHIM_LOG the stacks are numbered as "malloc N".
 */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STACKS_MAX = 1 << 16, DEPTH = 8 };

struct shim {
    bool ready;
    char who[64];
    int log_fd;
    long kill_at; /* 0: never */
    char fail_class[16];
    long fail_at;
    atomic_long events, class_calls, mallocs;
    uintptr_t text_begin, text_end; /* of the program itself */
    atomic_uint_fast64_t stacks[STACKS_MAX];
};

static struct shim shim;
static _Thread_local bool inside; /* the shim's own calls are not events */

static void name_process(const char *first_argument)
{
    bool is_check = first_argument && strcmp(first_argument, "--check") == 0;
    const char *part = is_check ? "check" : getenv("OMPI_COMM_WORLD_RANK");
    char path[256];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    const char *base;

    path[n > 0 ? n : 0] = '\0';
    base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    snprintf(shim.who, sizeof(shim.who), "%.40s%s%s", base, part ? "." : "", part ? part : "");
}

/* "<who>:rest" -> rest, or NULL where it is not for this process. */
static const char *mine(const char *variable)
{
    const char *value = getenv(variable);
    size_t len = strlen(shim.who);

    return value && strncmp(value, shim.who, len) == 0 && value[len] == ':' ? value + len + 1
                                                                            : NULL;
}

/* The first mapping of the executable file that is executable. */
static void find_text(void)
{
    FILE *f = fopen("/proc/self/maps", "r");
    char line[512], exe[256];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

    exe[n > 0 ? n : 0] = '\0';
    while (f && fgets(line, sizeof(line), f)) {
        unsigned long begin, end;
        char mode[8];
        if (sscanf(line, "%lx-%lx %7s", &begin, &end, mode) == 3 && mode[2] == 'x' &&
            strstr(line, exe)) {
            shim.text_begin = begin;
            shim.text_end = end;
            break;
        }
    }
    if (f)
        fclose(f);
}

/* glibc gives constructors the arguments of main(). */
__attribute__((constructor)) static void start(int argc, char **argv)
{
    const char *folder = getenv("SHIM_LOG"), *kill_at, *fail;
    char path[512];
    void *warm[1];

    inside = true;
    backtrace(warm, 1); /* loads what it needs now */
    name_process(argc > 1 ? argv[1] : NULL);
    find_text();
    shim.log_fd = -1;
    if (folder) {
        snprintf(path, sizeof(path), "%s/%s", folder, shim.who);
        shim.log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    }
    kill_at = mine("SHIM_KILL");
    if (kill_at)
        shim.kill_at = atol(kill_at);
    fail = mine("SHIM_FAIL");
    if (fail && sscanf(fail, "%15[a-z]:%ld", shim.fail_class, &shim.fail_at) != 2)
        shim.fail_at = 0;
    shim.ready = true;
    inside = false;
}

static void note(const char *name, long n)
{
    char line[64];
    int len = snprintf(line, sizeof(line), "%s %ld\n", name, n);
    ssize_t (*real)(int, const void *, size_t) =
        (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");

    if (shim.log_fd >= 0 && real(shim.log_fd, line, (size_t)len) < 0)
        abort();
}

static void event(const char *name)
{
    long n;

    if (!shim.ready || inside)
        return;
    inside = true;
    n = atomic_fetch_add(&shim.events, 1) + 1;
    note(name, n);
    inside = false;
    if (n == shim.kill_at) {
        kill(getpid(), SIGKILL);
        for (;;)
            pause();
    }
}

/* True if this call of the class is the one to fail. */
static bool fails(const char *class)
{
    if (!shim.ready || inside || shim.fail_at == 0 || strcmp(class, shim.fail_class) != 0)
        return false;
    return atomic_fetch_add(&shim.class_calls, 1) + 1 == shim.fail_at;
}

#define REAL(type, name, ...)                                                                      \
    type (*real)(__VA_ARGS__) = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

int fsync(int fd)
{
    REAL(int, "fsync", int);

    event("fsync");
    if (fails("fsync"))
        return errno = EIO, -1;
    return real(fd);
}

int fdatasync(int fd)
{
    REAL(int, "fdatasync", int);

    event("fdatasync");
    if (fails("fsync"))
        return errno = EIO, -1;
    return real(fd);
}

int rename(const char *from, const char *to)
{
    REAL(int, "rename", const char *, const char *);

    event("rename");
    if (fails("rename"))
        return errno = ENOSPC, -1;
    return real(from, to);
}

int unlink(const char *path)
{
    REAL(int, "unlink", const char *);

    event("unlink");
    return real(path);
}

int ftruncate(int fd, off_t length)
{
    REAL(int, "ftruncate", int, off_t);

    event("ftruncate");
    return real(fd, length);
}

static bool is_file(int fd)
{
    struct stat st;

    return shim.ready && !inside && fd > 2 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    REAL(ssize_t, "write", int, const void *, size_t);

    if (is_file(fd)) {
        event("write");
        if (fails("write"))
            return errno = ENOSPC, -1;
    }
    return real(fd, bytes, len);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t at)
{
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t);

    if (is_file(fd)) {
        event("write");
        if (fails("write"))
            return errno = ENOSPC, -1;
    }
    return real(fd, bytes, len, at);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    REAL(ssize_t, "sendmsg", int, const struct msghdr *, int);

    event("sendmsg");
    return real(fd, message, flags);
}

/* Open MPI's handles are pointers. */
int MPI_Isend(const void *bytes, int count, void *type, int to, int tag, void *comm,
              void **request);
int MPI_Isend(const void *bytes, int count, void *type, int to, int tag, void *comm, void **request)
{
    REAL(int, "MPI_Isend", const void *, int, void *, int, int, void *, void **);

    event("MPI_Isend");
    return real(bytes, count, type, to, tag, comm, request);
}

/* True if the stack has not been seen before. */
static bool is_new(uint_fast64_t hash)
{
    size_t i = hash % STACKS_MAX, probes;

    for (probes = 0; probes < STACKS_MAX; probes++, i = (i + 1) % STACKS_MAX) {
        uint_fast64_t empty = 0;
        if (atomic_load(&shim.stacks[i]) == hash)
            return false;
        if (atomic_compare_exchange_strong(&shim.stacks[i], &empty, hash))
            return true;
        if (empty == hash)
            return false;
    }
    return false;
}

/* Whether an allocation asked for at `caller` is refused. Counts each call stack within the program
 * once. */
static bool refused(const void *caller)
{
    uintptr_t at = (uintptr_t)caller;
    uint_fast64_t hash = 1469598103934665603ull;
    void *frames[DEPTH + 2];
    int n, i;
    long number;

    if (!shim.ready || inside || at < shim.text_begin || at >= shim.text_end)
        return false;
    if (strcmp(shim.fail_class, "malloc") != 0 && shim.log_fd < 0)
        return false;
    inside = true;
    n = backtrace(frames, DEPTH + 2);
    for (i = 2; i < n; i++)
        hash = (hash ^ ((uintptr_t)frames[i] - shim.text_begin)) * 1099511628211ull;
    number = is_new(hash | 1) ? atomic_fetch_add(&shim.mallocs, 1) + 1 : 0;
    if (number)
        note("malloc", number);
    inside = false;
    return number && number == shim.fail_at && strcmp(shim.fail_class, "malloc") == 0;
}

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *at, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
    return refused(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return refused(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *at, size_t size)
{
    return refused(__builtin_return_address(0)) ? NULL : __libc_realloc(at, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return refused(__builtin_return_address(0)) ? NULL : __libc_memalign(alignment, size);
}
