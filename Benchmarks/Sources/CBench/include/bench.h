#pragma once
#include <stddef.h>
#include <stdint.h>

/// Nanoseconds since some moment in the past.
uint64_t bench_now(void);

// MARK: What is sent

typedef enum {
    /// Letters, digits and blanks.
    BENCH_PLAIN,
    /// Lines of source code as they stand in a JSON string: each has escaped quotes, and an escaped line end.
    BENCH_SOURCE,
    /// Every other letter takes two to four bytes.
    BENCH_UTF8,
} bench_filler;

/// Fills `count` bytes with what may stand between the quotes of a JSON string.
void bench_fill(char *to, size_t count, bench_filler filler);

/// How often a text stands in so many bytes.
int bench_occurrences(const char *text, const char *bytes, size_t count);

/// A descriptor takes all bytes, or -1.
int bench_write_all(int descriptor, const char *bytes, size_t count);

// MARK: Processes

typedef struct {
    int pid;
    /// We write to its standard input here, and read its standard output there.
    int into, out;
} bench_child;

/// Starts a program between two pipes; what it logs goes to the file `errors`. It runs where the calling thread is pinned to.
/// - Returns: 0, or an error number.
int bench_spawn(bench_child *child, char *const arguments[], char *const environment[], const char *errors);
/// Waits for its end and forgets it, or kills it when the time is over. Our ends of its pipes are closed first.
void bench_end(bench_child *child, int patience_ms);
/// Lets a process and all its threads run on one CPU only; on any again if it is -1. The calling thread is process 0.
/// - Returns: whether the system does such a thing.
int bench_pin(int pid, int cpu);
int bench_cpus(void);

/// What /proc says, of all threads of a process; -1 where there is none.
int64_t bench_cpu_ns(int pid);
/// A line of its status, such as "VmRSS:", in kB.
int64_t bench_memory_kb(int pid, const char *what);
/// From now on "VmHWM:" is the peak from now on.
int bench_forget_peak(int pid);

typedef struct {
    int thread;
    int64_t count;
} bench_wakeups;
/// How often each thread of a process went to sleep of its own will, at most `limit`. -1 where the system does not tell.
int bench_count_wakeups(int pid, bench_wakeups *found, int limit);

/// The processes below one, itself not counted, at most `limit`.
int bench_descendants(int pid, int *found, int limit);

// MARK: Load

/// The room of one thread that makes calls. All of it is touched when it is made, and none is added while calls are made.
typedef struct bench_loader bench_loader;
bench_loader *bench_loader_new(size_t longest_line, int window, int calls);
void bench_loader_free(bench_loader *loader);

enum {
    /// Ids are this long, so that they can be overwritten where they stand.
    BENCH_ID_DIGITS = 10,
    BENCH_NAME_DIGITS = 5,
    BENCH_PROBLEM = 400,
    /// Nothing that is measured takes so long: what does not answer by then never will.
    BENCH_PATIENCE_S = 60,
};

typedef struct {
    /// Pipes, or one socket.
    int into, out;
    /// One call with its line end; the id in it is overwritten, and so are the last digits of the tool's name if there are several tools.
    const char *line;
    size_t length, id_at, name_at;
    int tools;
    /// What an answer must be: `before`, the id, `between`, so many bytes of payload, `after`. Anything else is a problem.
    const char *before, *between, *after;
    size_t payload;
    bench_filler filler;
    /// Each payload is compared byte by byte, not only in its length.
    int is_compared;
    /// Calls in flight, and calls in all. Ids count up from `first`.
    int window, calls;
    uint64_t first;
    /// All calls that may be sent at a time leave with one write; otherwise each has a write of its own, as a host's have.
    int is_batching;
    /// Over HTTP: the request up to the value of Content-Length. The window is 1 then.
    const char *head;
    /// Room for one time of each call, in nanoseconds, in the order of the answers.
    uint64_t *times_ns;
} bench_job;

typedef struct {
    uint64_t elapsed_ns;
    /// Lines that were no answer, such as a notification.
    int others;
    char problem[BENCH_PROBLEM];
} bench_outcome;

/// Makes the calls and checks each answer: once, with the right id, whole.
/// - Returns: whether all were right; otherwise `problem` says what was not.
int bench_load(bench_loader *loader, const bench_job *job, bench_outcome *outcome);

/// Writes one or more lines and waits for the line that begins with `beginning`; others are dropped.
/// - Returns: its length without its end, in `line`, which is valid until the next call; -1 if it does not come in time.
ptrdiff_t bench_ask(
    bench_loader *loader, int into, int out, const char *lines, size_t length, const char *beginning, int patience_ms, const char **line);

// MARK: HTTP

/// Connects to a port of this machine, without delay for small pieces. -1 if that fails.
int bench_connect(int port);
/// The message in an answer that came whole, by length or as one event in chunks; NULL while more is to come. `bytes[have]` must be ours.
char *bench_http_message(char *bytes, size_t have, size_t *length);
