#pragma once
#include "bench.h"

/// What both servers know of messages: they search for a few words in the lines they get, and are no example of how to read JSON.

enum {
    /// The head of a message, in which its id and method stand.
    SERVER_HEAD = 2048,
    SERVER_ID = 64,
    SERVER_TOOL = 1024,
};

/// The bytes of an argument `text`, which must be the last thing in the message or hold no quotes.
size_t server_argument(const char *message, size_t length, const char **argument);
/// The id as it is written. 0 if there is none.
int server_id(const char *message, size_t length, char id[SERVER_ID]);
int server_is_method(const char *message, size_t length, const char *name);
/// An answer to tools/list without its envelope: `{"tools":[…]}`, with a NUL at its end, or NULL if there is no memory.
char *server_tools(int count, const char *more);
