#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE 1
#endif

#include "internal.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/select.h>
#include <time.h>

int64_t cguard_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void child_ended(int number) { (void)number; }

void cguard_block_signals(void) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    // A handler, though an idle one: an ignored signal would end no wait, and whoever started us may have had it ignored.
    struct sigaction action = {.sa_handler = child_ended};
    sigemptyset(&action.sa_mask);
    sigaction(SIGCHLD, &action, NULL);
}

void cguard_reset_signals(void) {
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigemptyset(&action.sa_mask);
    // Those that cannot be set are refused, and are as they should be.
    for (int number = 1; number < NSIG; number++) sigaction(number, &action, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

bool cguard_wait(int descriptor, int64_t until) {
    fd_set readable;
    FD_ZERO(&readable);
    if (descriptor >= 0) FD_SET(descriptor, &readable);
    sigset_t blocked;
    sigfillset(&blocked);
    sigdelset(&blocked, SIGCHLD);
    struct timespec timeout = {0, 0};
    if (until >= 0) {
        int64_t left = until - cguard_now();
        if (left > 0) timeout = (struct timespec){.tv_sec = left / 1000, .tv_nsec = (left % 1000) * 1000000};
    }
    int count = pselect(descriptor + 1, &readable, NULL, NULL, until >= 0 ? &timeout : NULL, &blocked);
    return count > 0 && descriptor >= 0;
}
