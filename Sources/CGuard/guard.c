#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE 1
#endif

#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    /// Keepers of one guard; no config file has as many servers.
    KEEPERS = 4096,
    /// When we are gone, keepers have this long to end what they keep before the guard does it for them.
    KEEPERS_TIME_MS = 1000,
    /// While there is something to kill it is looked for again after this: not every end of a process is told to us.
    SWEEP_AGAIN_MS = 20,
    /// After this there is nothing left to be tried: what is still there is not ours to kill, or hangs in the kernel.
    GIVE_UP_MS = 10000,
    /// Where the guard has its descriptors; 0, 1 and 2 lead nowhere.
    COMMANDS = 3,
    LIFE = 4,
    /// The descriptors of a launch: control, input, output, errors.
    LAUNCH_DESCRIPTORS = 4,
};

#ifdef MSG_CMSG_CLOEXEC
#define RECEIVE_FLAGS MSG_CMSG_CLOEXEC
#else
#define RECEIVE_FLAGS 0
#endif
#ifdef MSG_NOSIGNAL
#define SEND_FLAGS (MSG_NOSIGNAL | MSG_DONTWAIT)
#else
#define SEND_FLAGS MSG_DONTWAIT
#endif

/// Room for the descriptors of one launch beside a byte.
union ancillary {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int) * LAUNCH_DESCRIPTORS)];
};

// MARK: - On our side

static void close_on_exec(int descriptor) { fcntl(descriptor, F_SETFD, FD_CLOEXEC); }

int cguard_make_control(int ends[2]) {
#ifdef SOCK_CLOEXEC
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return errno;
#else
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return errno;
    for (int end = 0; end < 2; end++) close_on_exec(ends[end]);
#endif
#ifdef SO_NOSIGPIPE
    int on = 1;
    for (int end = 0; end < 2; end++) setsockopt(ends[end], SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
    return 0;
}

int cguard_launch(int commands, int control, int input, int output, int errors) {
    int descriptors[LAUNCH_DESCRIPTORS] = {control, input, output, errors};
    char byte = 'L';
    struct iovec bytes = {.iov_base = &byte, .iov_len = 1};
    union ancillary ancillary;
    memset(&ancillary, 0, sizeof ancillary);
    struct msghdr message = {
        .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = ancillary.bytes, .msg_controllen = sizeof ancillary.bytes};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof descriptors);
    memcpy(CMSG_DATA(header), descriptors, sizeof descriptors);
    while (sendmsg(commands, &message, SEND_FLAGS) < 0) {
        if (errno != EINTR) return errno;
    }
    return 0;
}

// MARK: - The guard

struct guard {
    pid_t owner;
    pid_t keepers[KEEPERS];
    int count;
    /// We are still there.
    bool is_open;
    /// A keeper was killed: what it kept is ours now, and to be killed.
    bool is_sweeping;
    int64_t sweep_until;
    /// Once we are gone: when the keepers have had their time, and when to give up.
    int64_t keepers_until, give_up;
};

static bool is_keeper(pid_t child, const void *context) {
    const struct guard *guard = context;
    for (int index = 0; index < guard->count; index++) {
        if (guard->keepers[index] == child) return true;
    }
    return false;
}

static bool is_nobody(pid_t child, const void *context) {
    (void)child;
    (void)context;
    return false;
}

/// Returns false at the end of the commands. A launch without all of its descriptors is dropped: its control socket is closed.
static bool receive_launch(int descriptors[LAUNCH_DESCRIPTORS], bool *is_whole) {
    char byte;
    struct iovec bytes = {.iov_base = &byte, .iov_len = 1};
    union ancillary ancillary;
    memset(&ancillary, 0, sizeof ancillary);
    struct msghdr message = {
        .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = ancillary.bytes, .msg_controllen = sizeof ancillary.bytes};
    *is_whole = false;
    ssize_t length = recvmsg(COMMANDS, &message, RECEIVE_FLAGS);
    if (length < 0) return errno == EINTR || errno == EAGAIN;
    if (length == 0) return false;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != NULL; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        int count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        int received[LAUNCH_DESCRIPTORS];
        memcpy(received, CMSG_DATA(header), sizeof(int) * (size_t)count);
        for (int index = 0; index < count; index++) close_on_exec(received[index]);
        if (count == LAUNCH_DESCRIPTORS) {
            memcpy(descriptors, received, sizeof received);
            *is_whole = true;
        } else {
            for (int index = 0; index < count; index++) close(received[index]);
        }
    }
    return true;
}

static void launch(struct guard *guard) {
    int descriptors[LAUNCH_DESCRIPTORS];
    bool is_whole;
    if (!receive_launch(descriptors, &is_whole)) {
        guard->is_open = false;
        close(COMMANDS);
        guard->keepers_until = cguard_now() + KEEPERS_TIME_MS;
        guard->give_up = cguard_now() + GIVE_UP_MS;
        return;
    }
    if (!is_whole) return;
    errno = EAGAIN;
    pid_t keeper = guard->count < KEEPERS ? fork() : -1;
    if (keeper == 0) {
        close(COMMANDS);
        close(LIFE);
        cguard_keep(descriptors[0], descriptors[1], descriptors[2], descriptors[3]);
    }
    if (keeper > 0) {
        guard->keepers[guard->count++] = keeper;
    } else {
        struct cguard_report report = {.kind = CGUARD_NO_PROCESS, .value = errno};
        (void)!write(descriptors[0], &report, sizeof report);
    }
    for (int index = 0; index < LAUNCH_DESCRIPTORS; index++) close(descriptors[index]);
}

/// Takes leave of children that have ended. Returns whether any is left.
static bool collect(struct guard *guard) {
    for (;;) {
        int status;
        pid_t child = waitpid(-1, &status, WNOHANG);
        if (child < 0 && errno == EINTR) continue;
        if (child <= 0) return child == 0;
        for (int index = 0; index < guard->count; index++) {
            if (guard->keepers[index] != child) continue;
            guard->keepers[index] = guard->keepers[--guard->count];
            // It leaves nothing behind but when it is killed, or has given up.
            if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
                guard->is_sweeping = true;
                guard->sweep_until = cguard_now() + GIVE_UP_MS;
            }
            break;
        }
    }
}

static _Noreturn void run(pid_t owner) {
    static struct guard guard;
    guard = (struct guard){.owner = owner, .is_open = true};
    for (;;) {
        bool has_children = collect(&guard);
        if (!has_children && !guard.is_open) _exit(0);
        int64_t now = cguard_now(), until = -1;
        if (!guard.is_open) {
            if (now >= guard.give_up) _exit(1);
            // Whatever holds the keepers up: without them, what they kept is ours.
            if (now >= guard.keepers_until) {
                cguard_signal_children(SIGKILL, is_nobody, NULL);
                until = now + SWEEP_AGAIN_MS;
            } else {
                until = guard.keepers_until;
            }
        }
        if (guard.is_sweeping) {
            guard.is_sweeping =
                has_children && cguard_signal_children(SIGKILL, is_keeper, &guard) > 0 && now < guard.sweep_until;
            if (guard.is_sweeping) until = now + SWEEP_AGAIN_MS;
        }
        if (cguard_wait(guard.is_open ? COMMANDS : -1, until)) launch(&guard);
    }
}

/// Leaves behind everything of the process it was forked from: its descriptors, its session, its directory, its name.
static _Noreturn void become_guard(int commands, int life, pid_t owner) {
    cguard_block_signals();
    setsid();
    (void)!chdir("/");
    // Out of the way first: they may have any numbers.
    commands = fcntl(commands, F_DUPFD, LIFE + 1);
    life = fcntl(life, F_DUPFD, LIFE + 1);
    int nowhere = open("/dev/null", O_RDWR);
    if (commands < 0 || life < 0 || nowhere < 0) _exit(1);
    for (int descriptor = 0; descriptor <= 2; descriptor++) dup2(nowhere, descriptor);
    dup2(commands, COMMANDS);
    dup2(life, LIFE);
    close_on_exec(COMMANDS);
    close_on_exec(LIFE);
    cguard_close_from(LIFE + 1);
    cguard_set_name(owner);
    cguard_adopt_orphans();
    run(owner);
}

int cguard_start(struct cguard *guard) {
    int commands[2], life[2];
    int code = cguard_make_control(commands);
    if (code != 0) return code;
    if (pipe(life) != 0) {
        code = errno;
        close(commands[0]);
        close(commands[1]);
        return code;
    }
    for (int end = 0; end < 2; end++) close_on_exec(life[end]);
    pid_t owner = getpid();
    // None of our handlers may run in the child.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t process = fork();
    code = errno;
    if (process == 0) become_guard(commands[1], life[1], owner);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(commands[1]);
    close(life[1]);
    if (process < 0) {
        close(commands[0]);
        close(life[0]);
        return code;
    }
    *guard = (struct cguard){.process = process, .commands = commands[0], .life = life[0]};
    return 0;
}
