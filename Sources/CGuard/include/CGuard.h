#ifndef CGUARD_H
#define CGUARD_H

#include <stdint.h>
#include <sys/types.h>

// What must not run Swift: the processes that outlive us, and the handler of signals.
//
// The processes end what we launched. See docs/decisions/0014-no-orphans.md.
//
//   mcpagg ─ guard ─ keeper ─ server ─ whatever it starts
//                  └ keeper ─ server …
//
// All of it is C without allocation: the guard is forked from a process that may have threads, and does without exec.

/// A guard, as its parent sees it. Both descriptors are closed on exec.
struct cguard {
    pid_t process;
    /// Launches are asked for here. The guard ends when it is closed and no keeper is left.
    int commands;
    /// Ends with the guard. Nothing is ever written to it.
    int life;
};

/// Forks a guard. It keeps none of our descriptors, and is in a session of its own.
/// Returns 0, or what errno said.
int cguard_start(struct cguard *guard);

/// Makes a pair of connected sockets, closed on exec: one end for us, one for `cguard_launch`.
/// Returns 0, or what errno said.
int cguard_make_control(int ends[2]);

/// Asks for a keeper. It gets copies of these descriptors, so all of them can be closed then. Never waits.
/// `control` is its end of the pair, the others are the standard descriptors of what it will launch.
/// Returns 0, or what errno said; EPIPE if there is no guard any more.
int cguard_launch(int commands, int control, int input, int output, int errors);

/// What a keeper is told first, on its control socket: this, then `length` bytes. They are strings, each with its zero: the path of
/// the executable, the working directory, `arguments` words (the name it is called by is the first) and `variables` of the environment.
struct cguard_order {
    uint32_t length;
    uint32_t arguments;
    uint32_t variables;
};

/// Bytes of the strings of an order. No system takes as much.
enum { CGUARD_ORDER_LIMIT = 8 * 1024 * 1024 };

/// What it may be told after that, one byte each. When the socket is closed instead, because we closed it or are no more, it sends
/// SIGTERM, and SIGKILL after `CGUARD_GRACE_MS`, to all that came of the launch.
enum {
    /// SIGTERM to the process group, and to those that left it as far as their parents have ended.
    CGUARD_TERMINATE = 'T',
    /// SIGKILL to all that came of the launch, at once.
    CGUARD_KILL = 'K',
};

/// What a keeper says. Its socket is closed when nothing that came of the launch is left.
struct cguard_report {
    int32_t kind;
    int32_t value;
};

enum {
    /// It runs; the value is its process id, and the number of its process group.
    CGUARD_LAUNCHED = 1,
    /// It never ran; the value is what errno said. Nothing else follows.
    CGUARD_NO_PROCESS = 2,
    CGUARD_NO_DIRECTORY = 3,
    CGUARD_NOT_EXECUTED = 4,
    /// It has ended, with this code or by this signal, and so has what was left of its process group. What left the group has
    /// SIGTERM, and gets SIGKILL after `CGUARD_LEFTOVER_GRACE_MS`.
    CGUARD_EXITED = 5,
    CGUARD_SIGNALED = 6,
};

enum {
    /// Time between SIGTERM and SIGKILL when we have ended without a word.
    CGUARD_GRACE_MS = 400,
    /// The same for what a server leaves behind outside its group.
    CGUARD_LEFTOVER_GRACE_MS = 200,
};

// MARK: - Signals to ourselves (signals.c)

enum {
    /// How many of one signal may wait to be taken; more of them say nothing more. The second is the last that makes a difference.
    CGUARD_NOTED_LIMIT = 2,
};

/// From now on each of these signals does nothing but put its number, one byte, into a pipe. A new program does not inherit that.
/// They are not blocked in the calling thread any more.
/// `read_end` is never waited for, closed on exec, and never ends. Only once in a process.
/// Returns 0, or what errno said; EBUSY the second time.
int cguard_note_signals(const int *numbers, int count, int *read_end);

/// To be said of each byte that was read: makes place for another one.
void cguard_signal_taken(int number);

#endif
