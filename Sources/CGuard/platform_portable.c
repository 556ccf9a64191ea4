#ifndef __linux__

#include "internal.h"

#include <unistd.h>

// Without a way to be given the orphans of one's descendants: process groups are ended, and what left them is not found.

void cguard_adopt_orphans(void) {}

void cguard_die_with_parent(void) {}

void cguard_set_name(pid_t owner) { (void)owner; }

void cguard_close_from(int first) {
    long limit = sysconf(_SC_OPEN_MAX);
    int end = limit > 0 && limit < 65536 ? (int)limit : 65536;
    for (int descriptor = first; descriptor < end; descriptor++) close(descriptor);
}

int cguard_signal_children(int signal, bool (*spare)(pid_t child, const void *context), const void *context) {
    (void)signal;
    (void)spare;
    (void)context;
    return 0;
}

#endif
