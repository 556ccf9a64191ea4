// The floor for a program that stands between a host and a server on pipes: it starts the server, and copies bytes between the same pipes.
// It looks at nothing.
//
// Usage: raw-relay COMMAND [ARGUMENT...]
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

// More than a pipe holds, so that one read empties it.
enum { BUFFER = 256 * 1024 };

typedef struct {
    int from, to;
    char *bytes;
    size_t begin, end;
    int is_over;
} flow;

static void take(flow *way) {
    ssize_t got = read(way->from, way->bytes + way->end, BUFFER - way->end);
    if (got > 0) way->end += (size_t)got;
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) way->is_over = 1;
}

static void give(flow *way) {
    ssize_t put = write(way->to, way->bytes + way->begin, way->end - way->begin);
    if (put > 0) way->begin += (size_t)put;
    if (put < 0 && errno != EAGAIN && errno != EINTR) way->is_over = 1, way->begin = way->end;
    if (way->begin == way->end) way->begin = way->end = 0;
}

int main(int count, char **arguments) {
    int input[2], output[2];
    if (count < 2 || pipe(input) != 0 || pipe(output) != 0) return 2;
    signal(SIGPIPE, SIG_IGN);
    pid_t child = fork();
    if (child < 0) return 1;
    if (child == 0) {
        dup2(input[0], 0);
        dup2(output[1], 1);
        close(input[0]);
        close(input[1]);
        close(output[0]);
        close(output[1]);
        signal(SIGPIPE, SIG_DFL);
        execv(arguments[1], arguments + 1);
        _exit(127);
    }
    close(input[0]);
    close(output[1]);
    flow ways[2] = {{.from = 0, .to = input[1]}, {.from = output[0], .to = 1}};
    for (int each = 0; each < 2; each++) {
        fcntl(ways[each].from, F_SETFL, fcntl(ways[each].from, F_GETFL) | O_NONBLOCK);
        fcntl(ways[each].to, F_SETFL, fcntl(ways[each].to, F_GETFL) | O_NONBLOCK);
        if ((ways[each].bytes = malloc(BUFFER)) == NULL) return 1;
    }
    while (!ways[1].is_over || ways[1].end > 0) {
        struct pollfd wanted[4];
        for (int each = 0; each < 2; each++) {
            flow *way = &ways[each];
            int has_room = !way->is_over && way->end < BUFFER, has_bytes = way->end > 0;
            // A negative descriptor is passed over, and so are its errors, which would come again and again.
            wanted[2 * each] = (struct pollfd){.fd = has_room ? way->from : -1, .events = POLLIN};
            wanted[2 * each + 1] = (struct pollfd){.fd = has_bytes ? way->to : -1, .events = POLLOUT};
        }
        if (poll(wanted, 4, -1) < 0 && errno != EINTR) return 1;
        for (int each = 0; each < 2; each++) {
            flow *way = &ways[each];
            if (wanted[2 * each].fd >= 0 && wanted[2 * each].revents != 0) take(way);
            if (way->end > 0) give(way);
        }
        if (ways[0].is_over && ways[0].end == 0 && ways[0].to >= 0) {
            close(ways[0].to);
            ways[0].to = -1;
        }
    }
    return 0;
}
