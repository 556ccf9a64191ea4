// What the C library knows of this process's memory, and can be told of it. Nothing here does anything where it is not known how.
#pragma once

/// Lets all threads share what is free. Otherwise each would keep its own, whose end is never given back (glibc). One thread does nearly
/// all the work here, and waits for none.
/// To be called while there is one thread.
void memory_share_free(void);

/// Gives whole free pages back to the system; what is in use stays where it is.
void memory_release_free(void);

/// Unmaps the pages of our own executable that are as they are in its file: code and constants. What is needed again comes back from the
/// page cache when it is touched.
void memory_release_code(void);
