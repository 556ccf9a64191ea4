#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE 1
#endif

#include "CGuard.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "a handler must not wait for a lock");

/// Where the numbers are written. Set before there are handlers, and never again.
static int note_end = -1;
/// Of each signal, how many are noted and not yet taken.
static atomic_int noted[NSIG];

/// Runs on any thread, at any place: nothing in here may wait, allocate, or be seen in errno.
static void note(int number) {
    int code = errno;
    // Each signal has places of its own, and all together fit into any pipe: a flood of one never costs another.
    if (atomic_fetch_add(&noted[number], 1) < CGUARD_NOTED_LIMIT) {
        unsigned char byte = (unsigned char)number;
        while (write(note_end, &byte, 1) < 0 && errno == EINTR) continue;
    } else {
        atomic_fetch_sub(&noted[number], 1);
    }
    errno = code;
}

int cguard_note_signals(const int *numbers, int count, int *read_end) {
    if (note_end >= 0) return EBUSY;
    for (int index = 0; index < count; index++) {
        if (numbers[index] <= 0 || numbers[index] >= NSIG || numbers[index] > UCHAR_MAX) return EINVAL;
    }
    int ends[2];
    if (pipe(ends) != 0) return errno;
    for (int end = 0; end < 2; end++) {
        fcntl(ends[end], F_SETFD, FD_CLOEXEC);
        fcntl(ends[end], F_SETFL, fcntl(ends[end], F_GETFL) | O_NONBLOCK);
    }
    note_end = ends[1];
    *read_end = ends[0];
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = note;
    // Calls that can go on do so, as if the signal were ignored.
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigset_t all;
    sigemptyset(&all);
    for (int index = 0; index < count; index++) {
        if (sigaction(numbers[index], &action, NULL) != 0) return errno;
        sigaddset(&all, numbers[index]);
    }
    // Whoever started us may have blocked them.
    return pthread_sigmask(SIG_UNBLOCK, &all, NULL);
}

void cguard_signal_taken(int number) {
    if (number > 0 && number < NSIG) atomic_fetch_sub(&noted[number], 1);
}
