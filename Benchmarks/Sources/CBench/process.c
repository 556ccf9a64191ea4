#include "bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif

enum { PATH = 64, TEXT = 4096, LOOK_AGAIN_US = 1000 };

int bench_spawn(bench_child *child, char *const arguments[], char *const environment[], const char *errors) {
    int input[2], output[2];
    if (pipe(input) != 0) return errno;
    if (pipe(output) != 0) {
        int problem = errno;
        close(input[0]);
        close(input[1]);
        return problem;
    }
    // A child that kept our ends would keep another one's input open.
    fcntl(input[1], F_SETFD, FD_CLOEXEC);
    fcntl(output[0], F_SETFD, FD_CLOEXEC);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input[0], 0);
    posix_spawn_file_actions_adddup2(&actions, output[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (input[0] > 2) posix_spawn_file_actions_addclose(&actions, input[0]);
    if (output[1] > 2) posix_spawn_file_actions_addclose(&actions, output[1]);
    // What we ignore ourselves.
    sigset_t usual;
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &usual);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    pid_t pid = 0;
    int problem = posix_spawn(&pid, arguments[0], &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close(input[0]);
    close(output[1]);
    if (problem != 0) {
        close(input[1]);
        close(output[0]);
        return problem;
    }
    *child = (bench_child){.pid = pid, .into = input[1], .out = output[0]};
    return 0;
}

void bench_end(bench_child *child, int patience_ms) {
    if (child->pid <= 0) return;
    close(child->into);
    uint64_t end = bench_now() + (uint64_t)patience_ms * 1000000u;
    while (waitpid(child->pid, NULL, WNOHANG) == 0) {
        if (bench_now() > end) {
            kill(child->pid, SIGKILL);
            waitpid(child->pid, NULL, 0);
            break;
        }
        usleep(LOOK_AGAIN_US);
    }
    close(child->out);
    child->pid = 0;
}

/// Calls `look` with the number of each entry of a directory, until it returns 0.
static int each_number(const char *directory, int (*look)(int number, void *context), void *context) {
    DIR *entries = opendir(directory);
    if (entries == NULL) return -1;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        int number = atoi(entry->d_name);
        if (number > 0 && !look(number, context)) break;
    }
    closedir(entries);
    return 0;
}

#ifdef __linux__
static int pin_one(int thread, void *context) {
    sched_setaffinity(thread, sizeof(cpu_set_t), context);
    return 1;
}
#endif

int bench_pin(int pid, int cpu) {
#ifdef __linux__
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int each = 0; each < bench_cpus(); each++) {
        if (cpu < 0 || each == cpu) CPU_SET(each, &set);
    }
    if (pid == 0) return sched_setaffinity(0, sizeof set, &set) == 0;
    char directory[PATH];
    snprintf(directory, sizeof directory, "/proc/%d/task", pid);
    return each_number(directory, pin_one, &set) == 0;
#else
    (void)pid;
    (void)cpu;
    return 0;
#endif
}

int bench_cpus(void) { return (int)sysconf(_SC_NPROCESSORS_ONLN); }

static int read_text(const char *path, char *text) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count = file < 0 ? -1 : read(file, text, TEXT - 1);
    if (file >= 0) close(file);
    text[count > 0 ? count : 0] = 0;
    return count > 0;
}

typedef struct {
    int pid;
    int64_t sum;
} sum;

static int add_run_time(int thread, void *context) {
    sum *all = context;
    char path[PATH], text[TEXT];
    snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", all->pid, thread);
    if (read_text(path, text)) all->sum += strtoll(text, NULL, 10);
    return 1;
}

static int64_t sum_of_threads(int pid, int (*add)(int, void *)) {
    char directory[PATH];
    sum all = {.pid = pid};
    snprintf(directory, sizeof directory, "/proc/%d/task", pid);
    return each_number(directory, add, &all) == 0 ? all.sum : -1;
}

int64_t bench_cpu_ns(int pid) { return sum_of_threads(pid, add_run_time); }

typedef struct {
    int pid, count, limit;
    bench_wakeups *found;
} sleepers;

static int add_wakeups(int thread, void *context) {
    sleepers *all = context;
    char path[PATH], text[TEXT];
    snprintf(path, sizeof path, "/proc/%d/task/%d/status", all->pid, thread);
    char *line = read_text(path, text) ? strstr(text, "\nvoluntary_ctxt_switches:") : NULL;
    if (line != NULL) all->found[all->count++] = (bench_wakeups){.thread = thread, .count = strtoll(line + 25, NULL, 10)};
    return all->count < all->limit;
}

int bench_count_wakeups(int pid, bench_wakeups *found, int limit) {
    char directory[PATH];
    sleepers all = {.pid = pid, .limit = limit, .found = found};
    snprintf(directory, sizeof directory, "/proc/%d/task", pid);
    return each_number(directory, add_wakeups, &all) == 0 ? all.count : -1;
}

int64_t bench_memory_kb(int pid, const char *what) {
    char path[PATH], text[TEXT];
    // The proportional share stands in another file than the rest.
    snprintf(path, sizeof path, strncmp(what, "Pss:", 4) == 0 ? "/proc/%d/smaps_rollup" : "/proc/%d/status", pid);
    char *line = read_text(path, text) ? strstr(text, what) : NULL;
    return line == NULL ? -1 : strtoll(line + strlen(what), NULL, 10);
}

int bench_forget_peak(int pid) {
    char path[PATH];
    snprintf(path, sizeof path, "/proc/%d/clear_refs", pid);
    int file = open(path, O_WRONLY | O_CLOEXEC);
    int is_done = file >= 0 && write(file, "5", 1) == 1;
    if (file >= 0) close(file);
    return is_done;
}

typedef struct {
    int *found;
    int count, limit;
} family;

static int parent_of(int pid) {
    char path[PATH], text[TEXT];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    char *line = read_text(path, text) ? strstr(text, "\nPPid:") : NULL;
    return line == NULL ? 0 : atoi(line + 6);
}

static int add_child(int pid, void *context) {
    family *members = context;
    int parent = parent_of(pid);
    for (int each = 0; each < members->count; each++) {
        if (members->found[each] == pid) return 1;
    }
    for (int each = 0; each < members->count && members->count < members->limit; each++) {
        if (members->found[each] != parent) continue;
        members->found[members->count++] = pid;
        break;
    }
    return 1;
}

int bench_descendants(int pid, int *found, int limit) {
    family members = {.found = found, .count = 1, .limit = limit};
    found[0] = pid;
    // A child may have a lower number than its parent: looked through until nobody new is found.
    for (int before = 0; before < members.count;) {
        before = members.count;
        if (each_number("/proc", add_child, &members) != 0) return 0;
    }
    memmove(found, found + 1, (size_t)(members.count - 1) * sizeof *found);
    return members.count - 1;
}
