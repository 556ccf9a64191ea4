#include "server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char text[] = "\"text\":\"";

static size_t head_of(size_t length) { return length < SERVER_HEAD ? length : SERVER_HEAD; }

size_t server_argument(const char *message, size_t length, const char **argument) {
    const char *found = memmem(message, head_of(length), text, sizeof text - 1), *end = message + length;
    if (found == NULL) return 0;
    *argument = found += sizeof text - 1;
    if (end - found >= 4 && memcmp(end - 4, "\"}}}", 4) == 0) return (size_t)(end - 4 - found);
    const char *quote = memchr(found, '"', (size_t)(end - found));
    return quote == NULL ? 0 : (size_t)(quote - found);
}

int server_id(const char *message, size_t length, char id[SERVER_ID]) {
    const char *found = memmem(message, head_of(length), "\"id\":", 5), *end = message + length;
    if (found == NULL) return 0;
    found += 5;
    while (found < end && *found == ' ') found++;
    size_t count = 0;
    while (found + count < end && count < SERVER_ID - 1 && found[count] != ',' && found[count] != '}') count++;
    memcpy(id, found, count);
    id[count] = 0;
    return count > 0;
}

int server_is_method(const char *message, size_t length, const char *name) {
    const char *found = memmem(message, head_of(length), "\"method\":\"", 10), *end = message + length;
    size_t count = strlen(name);
    return found != NULL && (size_t)(end - found) > 10 + count && memcmp(found + 10, name, count) == 0 && found[10 + count] == '"';
}

char *server_tools(int count, const char *more) {
    // As long as a common tool's: a description and three parameters.
    static const char form[] =
        "%s{\"name\":\"tool%0*d\",\"title\":\"Tool number %d\",\"description\":\"Answers each call at once with as many bytes as it was "
        "told to. Does nothing else, and changes nothing.\",\"inputSchema\":{\"type\":\"object\",\"properties\":{\"text\":{\"type\":\"string\","
        "\"description\":\"What is sent.\"},\"path\":{\"type\":\"string\",\"description\":\"A path, which is not looked at.\"},"
        "\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000,\"default\":100}},\"required\":[\"text\"]}}";
    size_t room = (size_t)count * SERVER_TOOL + SERVER_HEAD, have = 0;
    char *list = malloc(room);
    if (list == NULL) return NULL;
    have += (size_t)snprintf(list, room, "{\"tools\":[");
    for (int number = 0; number < count; number++) {
        have += (size_t)snprintf(list + have, room - have, form, number == 0 ? "" : ",", BENCH_NAME_DIGITS, number, number);
    }
    snprintf(list + have, room - have, "]%s}", more);
    return list;
}
