// The floor for a program that stands between a host on pipes and a server over HTTP: each line of stdin becomes the body of a POST on one
// connection, and what answers it a line of stdout. It looks into nothing and does one thing at a time.
//
// Usage: http-relay PORT HEAD     HEAD is the request up to the value of Content-Length
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 1 << 20, HEAD = 4096 };

static char line[BUFFER], request[BUFFER + HEAD], answer[BUFFER];

int main(int count, char **arguments) {
    if (count != 3) return 2;
    int server = bench_connect(atoi(arguments[1]));
    if (server < 0) return 1;
    for (;;) {
        size_t length = 0;
        do {
            ssize_t got = read(0, line + length, BUFFER - length);
            if (got <= 0) return 0;
            length += (size_t)got;
        } while (line[length - 1] != '\n');
        length -= 1;
        int head = snprintf(request, HEAD, "%s%zu\r\n\r\n", arguments[2], length);
        memcpy(request + head, line, length);
        if (send(server, request, (size_t)head + length, MSG_NOSIGNAL) < 0) return 1;
        size_t have = 0, size = 0;
        char *message;
        do {
            ssize_t got = recv(server, answer + have, BUFFER - 1 - have, 0);
            if (got <= 0) return 1;
            have += (size_t)got;
        } while ((message = bench_http_message(answer, have, &size)) == NULL);
        message[size] = '\n';
        if (bench_write_all(1, message, size + 1) < 0) return 1;
    }
}
