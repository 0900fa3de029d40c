/* Delays reads of RDMA counters, as where a driver asks its firmware; for LD_PRELOAD.
 *
 * RAILWATCH_READ_DELAY_US is how long each pread of a file below /infiniband/ sleeps before it is
 * passed on. The descriptors of such files are noted when they are opened. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST_DESCRIPTORS = 65536 };
static char is_slow[MOST_DESCRIPTORS];

static void delay(int descriptor)
{
    static long microseconds = -1;
    if (microseconds < 0) {
        const char *text = getenv("RAILWATCH_READ_DELAY_US");
        microseconds = text ? atol(text) : 0;
    }
    if (microseconds > 0 && descriptor >= 0 && descriptor < MOST_DESCRIPTORS && is_slow[descriptor]) {
        struct timespec pause = {microseconds / 1000000, microseconds % 1000000 * 1000};
        nanosleep(&pause, NULL);
    }
}

static int noted(int descriptor, const char *path)
{
    if (descriptor >= 0 && descriptor < MOST_DESCRIPTORS)
        is_slow[descriptor] = strstr(path, "/infiniband/") && strstr(path, "counters/");
    return descriptor;
}

int open64(const char *path, int flags, ...)
{
    static int (*real)(const char *, int, ...);
    va_list rest;
    mode_t mode;

    if (!real)
        real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open64");
    va_start(rest, flags);
    mode = va_arg(rest, mode_t);
    va_end(rest);
    return noted(real(path, flags, mode), path);
}

ssize_t pread64(int descriptor, void *buffer, size_t size, off64_t offset)
{
    static ssize_t (*real)(int, void *, size_t, off64_t);

    if (!real)
        real = (ssize_t (*)(int, void *, size_t, off64_t))dlsym(RTLD_NEXT, "pread64");
    delay(descriptor);
    return real(descriptor, buffer, size, offset);
}
