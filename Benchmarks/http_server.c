/* The server of http_latency.py: MCP over HTTP/1.1 with one tool, in both eras, as fast as a thread per connection can be, so that what is
 * measured is not its own work. It knows the shape of the messages it gets, reads them by searching for a few words, and is no example
 * of how to read JSON.
 *
 * Usage: http_server json|sse     prints its port
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 1 << 20, ANSWER = 4096 };

static int answers_with_events;

static void send_all(int peer, const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t sent = send(peer, bytes, count, MSG_NOSIGNAL);
        if (sent <= 0) return;
        bytes += sent;
        count -= (size_t)sent;
    }
}

static int is_method(const char *body, const char *name) {
    const char *at = strstr(body, "\"method\"");
    if (at == NULL || (at = strchr(at + 8, '"')) == NULL) return 0;
    return strncmp(at + 1, name, strlen(name)) == 0 && at[1 + strlen(name)] == '"';
}

/* The id as it is written, a number of ours or of the client under measurement. */
static int id_of(const char *body, char *id, size_t size) {
    const char *at = strstr(body, "\"id\"");
    if (at == NULL) return 0;
    at += 4;
    while (*at == ':' || *at == ' ') at++;
    size_t length = strcspn(at, ",} ");
    if (length == 0 || length >= size) return 0;
    memcpy(id, at, length);
    id[length] = 0;
    return 1;
}

static void answer(int peer, const char *method, const char *body) {
    char id[64], result[2048], data[3072], whole[ANSWER];
    if (strcmp(method, "POST") != 0) {
        const char *status = strcmp(method, "DELETE") == 0 ? "200 OK" : "405 Method Not Allowed";
        int length = snprintf(whole, sizeof whole, "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", status);
        return send_all(peer, whole, (size_t)length);
    }
    if (!id_of(body, id, sizeof id)) {
        static const char accepted[] = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
        return send_all(peer, accepted, sizeof accepted - 1);
    }
    int is_stateless = strstr(body, "io.modelcontextprotocol/protocolVersion") != NULL;
    const char *complete = is_stateless ? ",\"resultType\":\"complete\"" : "";
    const char *uncached = is_stateless ? ",\"resultType\":\"complete\",\"ttlMs\":0,\"cacheScope\":\"private\"" : "";
    const char *session = "";
    if (is_method(body, "tools/call")) {
        snprintf(result, sizeof result, "{\"content\":[{\"type\":\"text\",\"text\":\"answered\"}]%s}", complete);
    } else if (is_method(body, "tools/list")) {
        snprintf(result, sizeof result, "{\"tools\":[{\"name\":\"echo\",\"inputSchema\":{\"type\":\"object\"}}]%s}", uncached);
    } else if (is_method(body, "initialize")) {
        session = "Mcp-Session-Id: 00112233445566778899aabbccddeeff\r\n";
        snprintf(
            result, sizeof result,
            "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{}},\"serverInfo\":{\"name\":\"fast\",\"version\":\"1\"}}");
    } else if (is_method(body, "server/discover")) {
        snprintf(result, sizeof result, "{\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"tools\":{}}%s}", uncached);
    } else {
        snprintf(result, sizeof result, "{}");
    }
    int length = snprintf(data, sizeof data, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":%s}", id, result);
    if (answers_with_events) {
        length = snprintf(
            whole, sizeof whole,
            "HTTP/1.1 200 OK\r\n%sContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            "%x\r\nevent: message\ndata: %s\n\n\r\n0\r\n\r\n",
            session, length + 23, data);
    } else {
        length = snprintf(
            whole, sizeof whole, "HTTP/1.1 200 OK\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", session, length,
            data);
    }
    send_all(peer, whole, (size_t)length);
}

static void *serve(void *argument) {
    int peer = (int)(long)argument, on = 1;
    char *buffer = malloc(BUFFER + 1);
    size_t have = 0;
    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    while (buffer != NULL) {
        buffer[have] = 0;
        char *end = strstr(buffer, "\r\n\r\n");
        size_t head = end == NULL ? 0 : (size_t)(end - buffer) + 4, body = 0;
        if (end != NULL) {
            char *length = strcasestr(buffer, "\r\ncontent-length:");
            body = length != NULL && length < end ? strtoul(length + 17, NULL, 10) : 0;
        }
        if (end != NULL && have >= head + body) {
            char method[8] = "", saved = buffer[head + body];
            sscanf(buffer, "%7s", method);
            buffer[head + body] = 0;
            answer(peer, method, buffer + head);
            buffer[head + body] = saved;
            have -= head + body;
            memmove(buffer, buffer + head + body, have);
            continue;
        }
        ssize_t count = have < BUFFER ? recv(peer, buffer + have, BUFFER - have, 0) : 0;
        if (count <= 0) break;
        have += (size_t)count;
    }
    free(buffer);
    close(peer);
    return NULL;
}

int main(int count, char **arguments) {
    answers_with_events = count > 1 && strcmp(arguments[1], "sse") == 0;
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listening, (struct sockaddr *)&address, size) != 0 || listen(listening, 128) != 0) return 1;
    getsockname(listening, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int peer = accept(listening, NULL, NULL);
        pthread_t thread;
        if (peer >= 0 && pthread_create(&thread, NULL, serve, (void *)(long)peer) == 0) pthread_detach(thread);
    }
}
