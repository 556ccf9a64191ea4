#include "bench.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int bench_connect(int port) {
    int server = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons((unsigned short)port);
    if (connect(server, (struct sockaddr *)&address, sizeof address) != 0) {
        close(server);
        return -1;
    }
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return server;
}

char *bench_http_message(char *bytes, size_t have, size_t *length) {
    bytes[have] = 0;
    char *end = strstr(bytes, "\r\n\r\n"), *size = strstr(bytes, "Content-Length: ");
    if (end == NULL) return NULL;
    if (size != NULL && size < end) {
        *length = strtoul(size + 16, NULL, 10);
        return have >= (size_t)(end + 4 - bytes) + *length ? end + 4 : NULL;
    }
    char *data = strstr(end, "data: "), *line_end = data == NULL ? NULL : strchr(data, '\n');
    if (line_end == NULL || have < 5 || memcmp(bytes + have - 5, "0\r\n\r\n", 5) != 0) return NULL;
    *length = (size_t)(line_end - data) - 6;
    return data + 6;
}
