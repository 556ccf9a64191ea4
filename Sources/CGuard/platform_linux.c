#ifdef __linux__

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

void cguard_adopt_orphans(void) { prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

void cguard_die_with_parent(void) { prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); }

// MARK: - Reading /proc

/// Reads what fits of a small file. Returns how much that is; there is a zero behind it.
static size_t read_file(int directory, const char *path, char *text, size_t capacity) {
    int file = openat(directory, path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    size_t length = 0;
    while (length < capacity - 1) {
        ssize_t count = read(file, text + length, capacity - 1 - length);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) break;
        length += (size_t)count;
    }
    close(file);
    text[length] = 0;
    return length;
}

static unsigned long long number_at(const char *text) {
    unsigned long long number = 0;
    for (; *text >= '0' && *text <= '9'; text++) number = number * 10 + (unsigned)(*text - '0');
    return number;
}

/// The place of a field of /proc/…/stat, counted from 1 as in its manual; NULL if there is none. The first is not found this way.
/// The second is a name in brackets, and may itself have any brackets and spaces in it.
static const char *stat_field(const char *text, int wanted) {
    const char *place = strrchr(text, ')');
    for (int field = 2; place != NULL && field < wanted; field++) {
        place = strchr(place, ' ');
        if (place != NULL) place++;
    }
    return place;
}

// MARK: - Children

struct entry {
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};

int cguard_signal_children(int signal, bool (*spare)(pid_t child, const void *context), const void *context) {
    int directory = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return 0;
    unsigned long long self = (unsigned long long)getpid();
    int found = 0;
    _Alignas(struct entry) char entries[8192];
    long length;
    while ((length = syscall(SYS_getdents64, directory, entries, sizeof entries)) > 0) {
        for (long place = 0; place < length;) {
            const struct entry *entry = (const struct entry *)(entries + place);
            place += entry->length;
            if (entry->name[0] < '1' || entry->name[0] > '9' || strlen(entry->name) > 10) continue;
            char path[32], text[1024];
            strcpy(path, entry->name);
            strcat(path, "/stat");
            if (read_file(directory, path, text, sizeof text) == 0) continue;
            const char *parent = stat_field(text, 4);
            if (parent == NULL || number_at(parent) != self) continue;
            pid_t child = (pid_t)number_at(entry->name);
            if (spare(child, context)) continue;
            found++;
            kill(child, signal);
        }
    }
    close(directory);
    return found;
}

// MARK: - Descriptors

void cguard_close_from(int first) {
    if (syscall(SYS_close_range, (unsigned)first, ~0U, 0) == 0) return;
    struct rlimit limit;
    int end = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 65536 ? (int)limit.rlim_cur : 65536;
    for (int descriptor = first; descriptor < end; descriptor++) close(descriptor);
}

// MARK: - Name

void cguard_set_name(pid_t owner) {
    prctl(PR_SET_NAME, "mcp-guard", 0, 0, 0);
    // The command line that is shown is memory of this process: what stands there is written over.
    char text[1024];
    if (read_file(AT_FDCWD, "/proc/self/stat", text, sizeof text) == 0) return;
    const char *start = stat_field(text, 48), *end = stat_field(text, 49);
    if (start == NULL || end == NULL) return;
    char *title = (char *)(uintptr_t)number_at(start);
    size_t capacity = (size_t)(number_at(end) - number_at(start));
    if (title == NULL || capacity == 0 || capacity > 1 << 24) return;
    char wanted[48] = "mcp-guard of process ";
    char digits[16];
    int count = 0;
    for (unsigned number = (unsigned)owner; count == 0 || number > 0; number /= 10) digits[count++] = (char)('0' + number % 10);
    size_t length = strlen(wanted);
    while (count > 0) wanted[length++] = digits[--count];
    if (length > capacity - 1) length = capacity - 1;
    memset(title, 0, capacity);
    memcpy(title, wanted, length);
}

#endif
