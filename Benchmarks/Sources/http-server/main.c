// MCP over HTTP/1.1 with one tool, in both eras, as fast as a thread per connection can be, so that what is measured is not its own work.
// It ends when its standard input does.
//
// Usage: http-server json|sse PAYLOAD     prints its port
#include "server.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 1 << 20, PAYLOAD = 2048, RESULT = 4096, ANSWER = 8192 };

static int answers_with_events;
static char payload[PAYLOAD + 1];
static char *tools, *tools_of_stateless;

static void send_all(int peer, const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t sent = send(peer, bytes, count, MSG_NOSIGNAL);
        if (sent <= 0) return;
        bytes += sent;
        count -= (size_t)sent;
    }
}

static void answer(int peer, const char *method, const char *body, size_t count) {
    char id[SERVER_ID], result[RESULT], data[ANSWER], whole[ANSWER + RESULT];
    if (strcmp(method, "POST") != 0) {
        const char *status = strcmp(method, "DELETE") == 0 ? "200 OK" : "405 Method Not Allowed";
        int length = snprintf(whole, sizeof whole, "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", status);
        return send_all(peer, whole, (size_t)length);
    }
    if (!server_id(body, count, id)) {
        static const char accepted[] = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
        return send_all(peer, accepted, sizeof accepted - 1);
    }
    int is_stateless = strstr(body, "io.modelcontextprotocol/protocolVersion") != NULL;
    const char *complete = is_stateless ? ",\"resultType\":\"complete\"" : "";
    const char *uncached = is_stateless ? ",\"resultType\":\"complete\",\"ttlMs\":0,\"cacheScope\":\"private\"" : "";
    const char *session = "";
    if (server_is_method(body, count, "tools/call")) {
        const char *found = NULL;
        snprintf(
            result, sizeof result, "{\"content\":[{\"type\":\"text\",\"text\":\"%s\"}],\"_meta\":{\"bench/received\":%zu}%s}", payload,
            server_argument(body, count, &found), complete);
    } else if (server_is_method(body, count, "tools/list")) {
        snprintf(result, sizeof result, "%s", is_stateless ? tools_of_stateless : tools);
    } else if (server_is_method(body, count, "initialize")) {
        session = "Mcp-Session-Id: 00112233445566778899aabbccddeeff\r\n";
        snprintf(
            result, sizeof result,
            "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{}},\"serverInfo\":{\"name\":\"fast\",\"version\":\"1\"}}");
    } else if (server_is_method(body, count, "server/discover")) {
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
            answer(peer, method, buffer + head, body);
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

static void *end_with_input(void *nothing) {
    char byte;
    while (read(0, &byte, 1) > 0) continue;
    exit(0);
    return nothing;
}

int main(int count, char **arguments) {
    size_t length = count == 3 ? strtoul(arguments[2], NULL, 10) : 0;
    if (count != 3 || length > PAYLOAD) return 2;
    answers_with_events = strcmp(arguments[1], "sse") == 0;
    bench_fill(payload, length, BENCH_PLAIN);
    tools = server_tools(1, "");
    tools_of_stateless = server_tools(1, ",\"resultType\":\"complete\",\"ttlMs\":0,\"cacheScope\":\"private\"");
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listening, (struct sockaddr *)&address, size) != 0 || listen(listening, 128) != 0) return 1;
    getsockname(listening, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    pthread_t watch;
    if (pthread_create(&watch, NULL, end_with_input, NULL) != 0) return 1;
    for (;;) {
        int peer = accept(listening, NULL, NULL);
        pthread_t thread;
        if (peer >= 0 && pthread_create(&thread, NULL, serve, (void *)(long)peer) == 0) pthread_detach(thread);
    }
}
