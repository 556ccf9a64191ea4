#ifndef CGUARD_INTERNAL_H
#define CGUARD_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "CGuard.h"

/// The life of a keeper, from the fork to its end.
_Noreturn void cguard_keep(int control, int input, int output, int errors);

// MARK: - Clock and signals (common.c)

/// Milliseconds of a clock that nobody sets.
int64_t cguard_now(void);

/// Blocks every signal. Only SIGCHLD comes through, and only in `cguard_wait`.
void cguard_block_signals(void);

/// The opposite, for a process that is about to exec: nothing blocked, nothing ignored, nothing handled.
void cguard_reset_signals(void);

/// Waits until the descriptor can be read, a child has ended, or this time has come. -1 stands for no descriptor, and for no time.
/// Returns whether the descriptor can be read.
bool cguard_wait(int descriptor, int64_t until);

// MARK: - What every system has its own way for (platform_linux.c, platform_portable.c)

/// Orphans below this process become its children instead of those of the first process of the system.
void cguard_adopt_orphans(void);

/// The calling process is killed when its parent ends.
void cguard_die_with_parent(void);

/// What lists of processes show. Neither name contains that of mcpagg, or who ends all processes of that name ends these first.
void cguard_set_name(pid_t owner);

/// Closes every descriptor from this one on.
void cguard_close_from(int first);

/// Sends a signal to each child of this process that `spare` does not spare.
/// A child that nobody has waited for keeps its number; and only this process waits for its children, and not meanwhile. So the
/// signal reaches nobody else.
/// Returns how many there were.
int cguard_signal_children(int signal, bool (*spare)(pid_t child, const void *context), const void *context);

#endif
