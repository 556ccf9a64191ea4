#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE 1
#endif

#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

// A keeper launches one program and owns what comes of it: orphans below it become its children, whatever group, session or
// environment they gave themselves. Since nobody else waits for them, their numbers are theirs until the keeper has done so. It kills
// its children, then those that became its children by that, until there are none.

enum {
    /// While there is something to kill it is looked for again after this: not every end of a process is told to us.
    KILL_AGAIN_MS = 20,
    /// After this there is nothing left to be tried: what is still there is not ours to kill, or hangs in the kernel.
    GIVE_UP_MS = 5000,
};

struct keeper {
    /// -1 once it is closed.
    int control;
    /// What was launched; 0 once it has ended.
    pid_t leader;
    bool has_children;
    bool is_killing;
    /// When to begin with that, and when to end with it; -1 for never.
    int64_t kill_at, give_up;
};

static void report(const struct keeper *keeper, int32_t kind, int32_t value) {
    struct cguard_report report = {.kind = kind, .value = value};
    // Eight bytes into an empty socket. If nobody is there to read them, nobody wants to know.
    if (keeper->control >= 0) (void)!write(keeper->control, &report, sizeof report);
}

// MARK: - The order

struct order {
    struct cguard_order header;
    char *text;
    size_t mapped;
    char **memory;
    char *path;
    const char *directory;
    char **arguments, **variables;
};

static bool read_all(int descriptor, void *bytes, size_t length) {
    for (size_t done = 0; done < length;) {
        ssize_t count = read(descriptor, (char *)bytes + done, length - done);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        done += (size_t)count;
    }
    return true;
}

/// Returns false if there is none: we are gone, or it is none of ours.
static bool read_order(int control, struct order *order) {
    struct cguard_order *header = &order->header;
    if (!read_all(control, header, sizeof *header)) return false;
    size_t pointers = (size_t)header->arguments + header->variables + 2;
    if (header->length > CGUARD_ORDER_LIMIT || pointers > header->length + 2u) return false;
    // The pointers first, where they are aligned; before them place for one more, see `execute`.
    order->mapped = (1 + pointers) * sizeof(char *) + header->length;
    void *memory = mmap(NULL, order->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    if (memory == MAP_FAILED) return false;
    order->memory = memory;
    order->arguments = order->memory + 1;
    order->variables = order->arguments + header->arguments + 1;
    order->text = (char *)(order->variables + header->variables + 1);
    if (!read_all(control, order->text, header->length)) return false;
    char *place = order->text, *end = order->text + header->length;
    for (uint32_t index = 0; index < header->arguments + header->variables + 2; index++) {
        char *zero = memchr(place, 0, (size_t)(end - place));
        if (zero == NULL) return false;
        if (index == 0) {
            order->path = place;
        } else if (index == 1) {
            order->directory = place;
        } else if (index - 2 < header->arguments) {
            order->arguments[index - 2] = place;
        } else {
            order->variables[index - 2 - header->arguments] = place;
        }
        place = zero + 1;
    }
    return true;
}

// MARK: - The launch

static char shell[] = "/bin/sh";

/// Whether the file is none for another system, or damaged.
static bool is_text(const char *path) {
    char start[256];
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, start, sizeof start);
    if (file >= 0) close(file);
    return length > 0 && memchr(start, 0, (size_t)length) == NULL;
}

/// In the new process. Returns only if that cannot be, with what is to be reported.
static struct cguard_report execute(const struct order *order, const int descriptors[3], pid_t keeper) {
    setpgid(0, 0);
    cguard_die_with_parent();
    // Too late to be told of it: it has ended already.
    if (getppid() != keeper) _exit(1);
    // Their numbers are above those of the guard, so none is in the place of another.
    for (int number = 0; number < 3; number++) {
        if (dup2(descriptors[number], number) < 0) return (struct cguard_report){CGUARD_NOT_EXECUTED, errno};
    }
    if (chdir(order->directory) != 0) return (struct cguard_report){CGUARD_NO_DIRECTORY, errno};
    cguard_reset_signals();
    // Everything above 2 closes itself here.
    execve(order->path, order->arguments, order->variables);
    int code = errno;
    if (code != ENOEXEC || !is_text(order->path)) return (struct cguard_report){CGUARD_NOT_EXECUTED, code};
    // A script whose first line does not say what runs it: as everywhere, the shell does.
    order->memory[0] = shell;
    order->arguments[0] = order->path;
    execve(shell, order->memory, order->variables);
    return (struct cguard_report){CGUARD_NOT_EXECUTED, errno};
}

/// Returns when the new program runs, or cannot.
static void launch(struct keeper *keeper, const struct order *order, const int descriptors[3]) {
    int failure[2];
    if (pipe(failure) != 0) return report(keeper, CGUARD_NO_PROCESS, errno);
    for (int end = 0; end < 2; end++) fcntl(failure[end], F_SETFD, FD_CLOEXEC);
    pid_t self = getpid();
    pid_t child = fork();
    if (child == 0) {
        struct cguard_report outcome = execute(order, descriptors, self);
        (void)!write(failure[1], &outcome, sizeof outcome);
        _exit(1);
    }
    int code = errno;
    close(failure[1]);
    struct cguard_report outcome;
    if (child < 0) {
        report(keeper, CGUARD_NO_PROCESS, code);
    } else if (read_all(failure[0], &outcome, sizeof outcome)) {
        waitpid(child, NULL, 0);
        report(keeper, outcome.kind, outcome.value);
    } else {
        keeper->leader = child;
        keeper->has_children = true;
        report(keeper, CGUARD_LAUNCHED, child);
    }
    close(failure[0]);
}

// MARK: - The end

static bool is_leader(pid_t child, const void *context) { return child == ((const struct keeper *)context)->leader; }

static bool is_nobody(pid_t child, const void *context) {
    (void)child;
    (void)context;
    return false;
}

static void kill_after(struct keeper *keeper, int64_t delay) {
    int64_t at = cguard_now() + delay;
    if (keeper->kill_at < 0 || at < keeper->kill_at) keeper->kill_at = at;
}

static void terminate(const struct keeper *keeper) {
    if (keeper->leader > 0) kill(-keeper->leader, SIGTERM);
    cguard_signal_children(SIGTERM, is_leader, keeper);
}

/// Takes leave of children that have ended.
static void collect(struct keeper *keeper) {
    for (;;) {
        siginfo_t info;
        info.si_pid = 0;
        // First a look: until it is collected, neither its number nor that of its group is anybody else's.
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0) {
            if (errno == EINTR) continue;
            keeper->has_children = false;
            return;
        }
        if (info.si_pid == 0) return;
        bool was_leader = info.si_pid == keeper->leader;
        // What is left of its group holds our pipes open.
        if (was_leader) kill(-keeper->leader, SIGKILL);
        int status = 0;
        while (waitpid(info.si_pid, &status, 0) < 0 && errno == EINTR) {}
        if (!was_leader) continue;
        keeper->leader = 0;
        if (WIFSIGNALED(status)) {
            report(keeper, CGUARD_SIGNALED, WTERMSIG(status));
        } else {
            report(keeper, CGUARD_EXITED, WEXITSTATUS(status));
        }
        // What left the group is all that can still be there.
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD) continue;
        if (!keeper->is_killing) terminate(keeper);
        kill_after(keeper, CGUARD_LEFTOVER_GRACE_MS);
    }
}

static void read_commands(struct keeper *keeper) {
    char commands[64];
    ssize_t length = recv(keeper->control, commands, sizeof commands, MSG_DONTWAIT);
    if (length < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (length <= 0) {
        close(keeper->control);
        keeper->control = -1;
        if (!keeper->is_killing && keeper->kill_at < 0) terminate(keeper);
        return kill_after(keeper, CGUARD_GRACE_MS);
    }
    for (ssize_t index = 0; index < length; index++) {
        if (commands[index] == CGUARD_TERMINATE) terminate(keeper);
        if (commands[index] == CGUARD_KILL) kill_after(keeper, 0);
    }
}

static void kill_all(const struct keeper *keeper) {
    if (keeper->leader > 0) kill(-keeper->leader, SIGKILL);
    cguard_signal_children(SIGKILL, is_nobody, NULL);
    // Where children cannot be listed.
    if (keeper->leader > 0) kill(keeper->leader, SIGKILL);
}

static bool is_closed(int control) {
    char byte;
    return recv(control, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

_Noreturn void cguard_keep(int control, int input, int output, int errors) {
    cguard_adopt_orphans();
    struct keeper keeper = {.control = control, .kill_at = -1, .give_up = -1};
    struct order order = {.text = NULL};
    // Not launched only to be ended again.
    if (!read_order(control, &order) || is_closed(control)) _exit(0);
    int descriptors[3] = {input, output, errors};
    launch(&keeper, &order, descriptors);
    for (int index = 0; index < 3; index++) close(descriptors[index]);
    munmap(order.memory, order.mapped);
    for (;;) {
        if (keeper.has_children) collect(&keeper);
        if (!keeper.has_children) _exit(0);
        int64_t now = cguard_now();
        if (!keeper.is_killing && keeper.kill_at >= 0 && now >= keeper.kill_at) {
            keeper.is_killing = true;
            keeper.give_up = now + GIVE_UP_MS;
        }
        if (keeper.is_killing) {
            if (now >= keeper.give_up) _exit(1);
            kill_all(&keeper);
        }
        if (cguard_wait(keeper.control, keeper.is_killing ? now + KILL_AGAIN_MS : keeper.kill_at)) read_commands(&keeper);
    }
}
