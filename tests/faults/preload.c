/* Faults of a file system and of a clock, put between a process and its C library.
 *
 * In: FAULTS_CONTROL, the name of a file that holds one struct control. Whoever else maps it
 * gives the orders, and reads what happened, while the process runs. Calls about files whose
 * path begins with `prefix` and contains `part` are counted, if they are of the wanted kinds;
 * those from the `first` to the `last` go wrong. All else goes through untouched.
 *
 * What is counted are calls of the C library, under the names that programs built for large
 * files link to (open64, pread64, ...), as Python does. The struct is repeated in preload.py.
 *
 * Source: ld.so(8), LD_PRELOAD; dlsym(3), RTLD_NEXT.
 */

#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64 /* open is open64, and so on */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum kind { OPEN, READ, WRITE, SYNC, RESIZE, RENAME, UNLINK, CLOSE, MKDIR, LIST, STAT };
static const char *const names[] = {"open",   "read",  "write", "sync", "resize", "rename",
                                    "unlink", "close", "mkdir", "list", "stat"};

/* REFUSED does nothing and fails; BELIED does it and fails; CUT writes half; LATE does it
 * `hang_ms` later, or as soon as `last` is lowered; SPARED goes right. */
enum manner { REFUSED, BELIED, CUT, LATE, SPARED };

struct control {
    char prefix[256], part[64];
    _Atomic uint64_t calls;       /* counted since this was last set to 0 */
    _Atomic uint64_t tally[16];   /* the same, by kind, whether that is wanted or not */
    _Atomic uint64_t first, last; /* which of them go wrong, counted from 1 */
    uint64_t kinds;               /* a bit for each kind that is counted */
    uint64_t manner, error;       /* how they go wrong, and with which errno */
    uint64_t hang_ms;             /* no wait without a bound */
    uint64_t lies;                /* true: nothing is synced, and every sync succeeds */
    int64_t shift_ns;             /* how far CLOCK_REALTIME is off */
    _Atomic uint64_t hurt;        /* calls that went wrong */
    _Atomic uint64_t reused;      /* writes and syncs of descriptors that had failed before */
    char scene[256], reuse[256];  /* the last call that went wrong; the last so reused */
};

static struct control *control;

/* What is known of each descriptor; a process under test never has more of them. */
enum { STRANGE, OURS, SPOILED, FDS = 1 << 16, NS_PER_S = 1000000000 };
static _Atomic unsigned char known[FDS];

/* The next function of that name in the order of loading: the C library's. */
#define REAL(NAME, SYMBOL)                                                                     \
    static __typeof__(&NAME) real;                                                             \
    if (!real)                                                                                 \
    real = (__typeof__(&NAME))dlsym(RTLD_NEXT, SYMBOL)

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULTS_CONTROL");
    int fd = open(path ? path : "", O_RDWR | O_CLOEXEC);
    void *map = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    control = map == MAP_FAILED ? NULL : map;
}

static int is_ours(const char *path) {
    return control && !strncmp(path, control->prefix, strlen(control->prefix));
}

static unsigned char state(int fd) { return fd >= 0 && fd < FDS ? known[fd] : STRANGE; }
static void learn(int fd, unsigned char what) {
    if (fd >= 0 && fd < FDS)
        known[fd] = what;
}

static const char *path_of(int fd, char path[static 256]) {
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, 255);
    path[length < 0 ? 0 : length] = 0;
    return path;
}

/* Count one call, and tell what becomes of it; a late one has waited by then. */
static enum manner turn(enum kind kind, const char *path, int fd) {
    char found[256];
    if (!control || (!path && state(fd) == STRANGE))
        return SPARED;
    path = path ? path : path_of(fd, found);
    if (!is_ours(path) || !strstr(path, control->part))
        return SPARED;
    control->tally[kind]++;
    uint64_t at = control->kinds >> kind & 1 ? ++control->calls : 0;
    enum manner manner = (enum manner)control->manner;
    if (!at || at < control->first || at > control->last || (manner == CUT && kind != WRITE))
        return SPARED;
    snprintf(control->scene, sizeof control->scene, "%s %.240s", names[kind], path);
    control->hurt++;
    if (manner != LATE)
        return manner;
    for (uint64_t ms = 0; ms < control->hang_ms && at <= control->last; ms++)
        usleep(1000);
    return SPARED;
}

static int fails(enum manner manner) {
    if (manner != REFUSED && manner != BELIED)
        return 0;
    errno = (int)control->error;
    return 1;
}

/* What returns -1 when it fails. */
#define FACE(KIND, PATH, FD, CALL)                                                             \
    enum manner manner = turn(KIND, PATH, FD);                                                 \
    ssize_t result = manner == REFUSED ? -1 : (CALL);                                          \
    if (fails(manner))                                                                         \
    result = -1

/* A write or a sync: a descriptor on which one has failed must never see another. */
#define FACE_ONCE(KIND, FD, SIZE, CALL)                                                        \
    if (state(FD) == SPOILED) {                                                                \
        path_of(FD, control->reuse);                                                           \
        control->reused++;                                                                     \
    }                                                                                          \
    FACE(KIND, NULL, FD, CALL);                                                                \
    if (state(FD) != STRANGE && result != (ssize_t)(SIZE))                                     \
    learn(FD, SPOILED)

int open(const char *path, int flags, ...) {
    REAL(open, "open64");
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (is_ours(path) && control->lies)
        flags &= ~O_SYNC; /* O_DSYNC is a part of it */
    enum manner manner = turn(OPEN, path, -1);
    int fd = manner == REFUSED ? -1 : real(path, flags, mode);
    if (manner == BELIED && fd >= 0)
        close(fd);
    if (fails(manner))
        return -1;
    learn(fd, is_ours(path) ? OURS : STRANGE);
    return fd;
}

int close(int fd) { /* closes, whatever it says */
    REAL(close, "close");
    enum manner manner = turn(CLOSE, NULL, fd);
    learn(fd, STRANGE);
    int result = real(fd);
    return fails(manner) ? -1 : result;
}

ssize_t read(int fd, void *bytes, size_t size) {
    REAL(read, "read");
    FACE(READ, NULL, fd, real(fd, bytes, size));
    return result;
}

ssize_t pread(int fd, void *bytes, size_t size, off_t at) {
    REAL(pread, "pread64");
    FACE(READ, NULL, fd, real(fd, bytes, size, at));
    return result;
}

ssize_t write(int fd, const void *bytes, size_t size) {
    REAL(write, "write");
    FACE_ONCE(WRITE, fd, size, real(fd, bytes, manner == CUT ? size / 2 : size));
    return result;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
    REAL(pwrite, "pwrite64");
    FACE_ONCE(WRITE, fd, size, real(fd, bytes, manner == CUT ? size / 2 : size, at));
    return result;
}

int fsync(int fd) {
    REAL(fsync, "fsync");
    FACE_ONCE(SYNC, fd, 0, state(fd) != STRANGE && control->lies ? 0 : real(fd));
    return (int)result;
}

int fdatasync(int fd) {
    REAL(fdatasync, "fdatasync");
    FACE_ONCE(SYNC, fd, 0, state(fd) != STRANGE && control->lies ? 0 : real(fd));
    return (int)result;
}

int posix_fallocate(int fd, off_t at, off_t size) { /* returns the error itself */
    REAL(posix_fallocate, "posix_fallocate64");
    FACE(RESIZE, NULL, fd, real(fd, at, size));
    return result < 0 ? errno : (int)result;
}

/* Where there is nothing to say but what is called, and about which file. */
#define CALL(NAME, SYMBOL, KIND, PATH, FD, PARAMETERS, ARGUMENTS)                              \
    int NAME PARAMETERS {                                                                      \
        REAL(NAME, SYMBOL);                                                                    \
        FACE(KIND, PATH, FD, real ARGUMENTS);                                                  \
        return (int)result;                                                                    \
    }

CALL(ftruncate, "ftruncate64", RESIZE, NULL, fd, (int fd, off_t size), (fd, size))
CALL(rename, "rename", RENAME, to, -1, (const char *from, const char *to), (from, to))
CALL(unlink, "unlink", UNLINK, path, -1, (const char *path), (path))
CALL(mkdir, "mkdir", MKDIR, path, -1, (const char *path, mode_t mode), (path, mode))
CALL(stat, "stat64", STAT, path, -1, (const char *path, struct stat *to), (path, to))
CALL(lstat, "lstat64", STAT, path, -1, (const char *path, struct stat *to), (path, to))
CALL(fstat, "fstat64", STAT, NULL, fd, (int fd, struct stat *to), (fd, to))

DIR *opendir(const char *path) {
    REAL(opendir, "opendir");
    DIR *directory = fails(turn(LIST, path, -1)) ? NULL : real(path);
    if (directory)
        learn(dirfd(directory), is_ours(path) ? OURS : STRANGE);
    return directory;
}

struct dirent *readdir(DIR *directory) { /* NULL with an errno is an error, else the end */
    REAL(readdir, "readdir64");
    return fails(turn(LIST, NULL, dirfd(directory))) ? NULL : real(directory);
}

int closedir(DIR *directory) {
    REAL(closedir, "closedir");
    learn(dirfd(directory), STRANGE);
    return real(directory);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    REAL(clock_gettime, "clock_gettime");
    int result = real(clock, now);
    if (!result && control && control->shift_ns && clock == CLOCK_REALTIME) {
        int64_t ns = now->tv_sec * NS_PER_S + now->tv_nsec + control->shift_ns;
        now->tv_sec = ns / NS_PER_S;
        now->tv_nsec = ns % NS_PER_S;
    }
    return result;
}
