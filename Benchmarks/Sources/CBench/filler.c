#include "bench.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const patterns[] = {
    [BENCH_PLAIN] = "abcdefghijklmnopqrstuvwxyz 0123456789 ",
    [BENCH_SOURCE] = "    let text = table[\\\"name\\\"] ?? \\\"none\\\"\\n",
    [BENCH_UTF8] = "aébü\u4e16c\u754cd\U0001f642 ",
};

uint64_t bench_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void bench_fill(char *to, size_t count, bench_filler filler) {
    size_t length = strlen(patterns[filler]), done = 0;
    for (; done + length <= count; done += length) memcpy(to + done, patterns[filler], length);
    // Half a pattern could end within an escape or a letter.
    memset(to + done, 'x', count - done);
}

int bench_occurrences(const char *text, const char *bytes, size_t count) {
    const char *end = bytes + count;
    int found = 0;
    while (count > 0 && (bytes = memmem(bytes, (size_t)(end - bytes), text, strlen(text))) != NULL) {
        bytes += strlen(text);
        found++;
    }
    return found;
}

int bench_write_all(int descriptor, const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t written = write(descriptor, bytes, count);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return -1;
        bytes += written;
        count -= (size_t)written;
    }
    return 0;
}
