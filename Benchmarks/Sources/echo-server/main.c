// An MCP server on stdin and stdout, of revision 2025-11-25, that costs as little as a server can: each call is answered at once. Each
// answer has a write of its own, as those of common servers have, or leaves with all others to what one read brought.
#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    INPUT = 1 << 20,
    OUTPUT = 256 * 1024,
    /// Of so many calls the argument is compared byte by byte; of later ones its length is measured only.
    COMPARED = 64,
};

static char *payload, *argument, output[OUTPUT];
static size_t payload_length, argument_room, waiting;
static bench_filler filler;
static int compared, is_batching;

static void leave(const char *why) {
    fprintf(stderr, "echo-server: %s\n", why);
    exit(1);
}

static void flush(void) {
    if (waiting > 0 && bench_write_all(1, output, waiting) != 0) exit(0);
    waiting = 0;
}

static void put(const char *bytes, size_t count) {
    if (waiting + count > OUTPUT) flush();
    // What is long is not copied.
    if (count > OUTPUT / 2) {
        flush();
        if (bench_write_all(1, bytes, count) != 0) exit(0);
        return;
    }
    memcpy(output + waiting, bytes, count);
    waiting += count;
}

static void put_text(const char *text) { put(text, strlen(text)); }

static void put_head(const char *id) {
    put_text("{\"jsonrpc\":\"2.0\",\"id\":");
    put_text(id);
}

static int is_as_sent(const char *found, size_t count) {
    if (compared >= COMPARED) return 1;
    compared++;
    if (count > argument_room) {
        if ((argument = realloc(argument, count)) == NULL) leave("there is no memory");
        argument_room = count;
    }
    bench_fill(argument, count, filler);
    return memcmp(argument, found, count) == 0;
}

static void answer_call(const char *line, size_t length, const char *id) {
    const char *found = NULL;
    size_t count = server_argument(line, length, &found);
    char tail[96];
    snprintf(tail, sizeof tail, "\"}],\"_meta\":{\"bench/received\":%zu}}}\n", found == NULL || !is_as_sent(found, count) ? 0 : count);
    put_head(id);
    put_text(",\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"");
    put(payload, payload_length);
    put_text(tail);
}

static void answer(const char *line, size_t length, const char *tools) {
    char id[SERVER_ID];
    if (!server_id(line, length, id) || memmem(line, length < SERVER_HEAD ? length : SERVER_HEAD, "\"method\":", 9) == NULL) return;
    if (server_is_method(line, length, "tools/call")) return answer_call(line, length, id);
    put_head(id);
    if (server_is_method(line, length, "tools/list")) {
        put_text(",\"result\":");
        put_text(tools);
    } else if (server_is_method(line, length, "initialize")) {
        put_text(
            ",\"result\":{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{}},"
            "\"serverInfo\":{\"name\":\"echo-server\",\"version\":\"1\"}}");
    } else if (server_is_method(line, length, "ping")) {
        put_text(",\"result\":{}");
    } else {
        put_text(",\"error\":{\"code\":-32601,\"message\":\"Method not found\"}");
    }
    put_text("}\n");
}

static void serve(const char *tools) {
    size_t room = INPUT, have = 0, looked = 0;
    char *input = malloc(room);
    for (;;) {
        if (input == NULL) leave("there is no memory");
        ssize_t got = read(0, input + have, room - have);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) exit(0);
        have += (size_t)got;
        size_t begin = 0;
        for (char *end; (end = memchr(input + looked, '\n', have - looked)) != NULL; begin = looked) {
            answer(input + begin, (size_t)(end - input) - begin, tools);
            if (!is_batching) flush();
            looked = (size_t)(end - input) + 1;
        }
        memmove(input, input + begin, have - begin);
        looked = have -= begin;
        flush();
        if (have == room) input = realloc(input, room *= 2);
    }
}

int main(int count, char **arguments) {
    int tools = 1;
    for (int each = 1; each + 1 < count; each += 2) {
        const char *name = arguments[each], *value = arguments[each + 1];
        if (strcmp(name, "--tools") == 0) tools = atoi(value);
        else if (strcmp(name, "--payload") == 0) payload_length = strtoul(value, NULL, 10);
        else if (strcmp(name, "--filler") == 0) filler = (bench_filler)atoi(value);
        else if (strcmp(name, "--delay") == 0) usleep((useconds_t)atoi(value) * 1000);
        else if (strcmp(name, "--batching") == 0) is_batching = atoi(value);
        else if (strcmp(name, "--cpu") == 0) bench_pin(0, atoi(value));
        else count = 0;
    }
    if (count % 2 == 0) leave("usage: echo-server [--tools N] [--payload BYTES] [--filler KIND] [--delay MS] [--batching 0|1] [--cpu N]");
    char *list = server_tools(tools, "");
    payload = malloc(payload_length + 1);
    if (list == NULL || payload == NULL) leave("there is no memory");
    bench_fill(payload, payload_length, filler);
    serve(list);
}
