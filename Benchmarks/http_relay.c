/* The floor for a program that stands between a host on pipes and a server over HTTP: each line of stdin becomes the body of a POST on one
 * connection, and what answers it a line of stdout. It looks into nothing and does one thing at a time.
 *
 * Usage: http_relay PORT HEAD     HEAD is the request up to the value of Content-Length
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 1 << 20, HEAD = 4096 };

static char line[BUFFER], request[BUFFER + HEAD], answer[BUFFER];

/* The message in an answer that is whole, and its length; NULL while more is to come. */
static char *message_in(size_t have, size_t *length) {
    answer[have] = 0;
    char *head = strstr(answer, "\r\n\r\n"), *size = strstr(answer, "Content-Length: ");
    if (head == NULL) return NULL;
    if (size != NULL && size < head) {
        *length = strtoul(size + 16, NULL, 10);
        return have >= (size_t)(head + 4 - answer) + *length ? head + 4 : NULL;
    }
    char *data = strstr(head, "data: "), *end = data == NULL ? NULL : strchr(data, '\n');
    if (end == NULL || have < 5 || memcmp(answer + have - 5, "0\r\n\r\n", 5) != 0) return NULL;
    *length = (size_t)(end - data) - 6;
    return data + 6;
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    int server = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons((unsigned short)atoi(arguments[1]));
    if (connect(server, (struct sockaddr *)&address, sizeof address) != 0) return 1;
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
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
        } while ((message = message_in(have, &size)) == NULL);
        message[size] = '\n';
        if (write(1, message, size + 1) < 0) return 1;
    }
}
