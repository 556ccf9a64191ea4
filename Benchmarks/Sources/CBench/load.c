#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    /// As long as all that is in flight fits into a pipe, no write ever waits, and nobody need ask whether it would.
    FITS_A_PIPE = 48 * 1024,
    /// Shorter payloads are compared each time: it costs less than a look at the clock.
    ALWAYS_COMPARED = 4096,
    /// Of an answer that is wrong.
    SHOWN = 200,
    ROOM = 1 << 16,
};

static const uint64_t second_ns = 1000000000u;

struct bench_loader {
    char *to_send, *received, *expected;
    size_t send_room, receive_room, expected_room;
    size_t have;
    /// Of each call, when it was sent; 0 before that, and after its answer.
    uint64_t *sent;
    int calls;
    /// What `expected` holds.
    size_t filled;
    bench_filler filler;
};

static char *touched(size_t count) {
    char *bytes = malloc(count);
    if (bytes != NULL) memset(bytes, 1, count);
    return bytes;
}

static void wake(int number) { (void)number; }

bench_loader *bench_loader_new(size_t longest_line, int window, int calls) {
    bench_loader *made = calloc(1, sizeof *made);
    if (made == NULL) return NULL;
    // Without SA_RESTART, so that a read which waits too long returns. A peer that has gone is an error of the write.
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = wake}, NULL);
    signal(SIGPIPE, SIG_IGN);
    made->receive_room = longest_line * 2 + ROOM;
    made->send_room = longest_line > FITS_A_PIPE ? longest_line + ROOM : longest_line * (size_t)window + ROOM;
    made->expected_room = longest_line;
    made->to_send = touched(made->send_room);
    made->received = touched(made->receive_room);
    made->expected = touched(made->expected_room);
    made->sent = (uint64_t *)touched((size_t)calls * sizeof *made->sent);
    made->calls = calls;
    if (made->to_send != NULL && made->received != NULL && made->expected != NULL && made->sent != NULL) return made;
    bench_loader_free(made);
    return NULL;
}

void bench_loader_free(bench_loader *loader) {
    if (loader == NULL) return;
    free(loader->to_send);
    free(loader->received);
    free(loader->expected);
    free(loader->sent);
    free(loader);
}

typedef struct {
    bench_loader *loader;
    const bench_job *job;
    bench_outcome *outcome;
    size_t before, between, after, answer;
    int started, answered;
} run;

static int fail(run *state, const char *why, const char *bytes, size_t count) {
    char *problem = state->outcome->problem;
    int shown = count < SHOWN ? (int)count : SHOWN;
    snprintf(
        problem, BENCH_PROBLEM, "%s, after %d of %d answers%s%.*s", why, state->answered, state->job->calls, shown > 0 ? ": " : "", shown,
        bytes == NULL ? "" : bytes);
    return 0;
}

static void put_digits(char *to, int digits, uint64_t number) {
    for (int each = digits - 1; each >= 0; each--, number /= 10) to[each] = (char)('0' + number % 10);
}

/// Makes the line at `to` the next call.
static void stamp(run *state, char *to) {
    const bench_job *job = state->job;
    uint64_t id = job->first + (uint64_t)state->started;
    put_digits(to + job->id_at, BENCH_ID_DIGITS, id);
    // Each tool comes as often as the others, and none after its neighbour.
    if (job->tools > 1) put_digits(to + job->name_at, BENCH_NAME_DIGITS, id * 7919 % (uint64_t)job->tools);
}

static size_t compose(run *state, char *to) {
    memcpy(to, state->job->line, state->job->length);
    stamp(state, to);
    return state->job->length;
}

static int is_payload_right(run *state, const char *payload) {
    const bench_job *job = state->job;
    if (job->payload > ALWAYS_COMPARED && !job->is_compared) return 1;
    bench_loader *loader = state->loader;
    if (loader->filled != job->payload || loader->filler != job->filler) {
        bench_fill(loader->expected, job->payload, job->filler);
        loader->filled = job->payload;
        loader->filler = job->filler;
    }
    return memcmp(payload, loader->expected, job->payload) == 0;
}

/// Looks at an answer of the right length.
static int take_answer(run *state, const char *line, uint64_t now) {
    const bench_job *job = state->job;
    const char *at = line + state->before;
    uint64_t id = 0;
    for (int each = 0; each < BENCH_ID_DIGITS; each++) id = id * 10 + (uint64_t)(at[each] - '0');
    at += BENCH_ID_DIGITS;
    if (memcmp(at, job->between, state->between) != 0) return fail(state, "wrong answer", line, state->answer);
    at += state->between;
    if (!is_payload_right(state, at)) return fail(state, "wrong payload", line, state->answer);
    if (memcmp(at + job->payload, job->after, state->after) != 0) {
        return fail(state, "wrong end", at + job->payload - (job->payload < 20 ? job->payload : 20), 120);
    }
    uint64_t number = id - job->first;
    if (number >= (uint64_t)state->started || state->loader->sent[number] == 0) return fail(state, "id of no call", line, state->answer);
    job->times_ns[state->answered++] = now - state->loader->sent[number];
    state->loader->sent[number] = 0;
    return 1;
}

/// Looks at all answers that are whole.
static int take_lines(run *state, uint64_t now) {
    bench_loader *loader = state->loader;
    size_t begin = 0;
    while (loader->have > begin) {
        const char *line = loader->received + begin;
        size_t have = loader->have - begin;
        int is_answer = have >= state->before && memcmp(line, state->job->before, state->before) == 0;
        if (is_answer && have > state->answer) {
            if (line[state->answer] != '\n') return fail(state, "answer of another length", line, have);
            if (!take_answer(state, line, now)) return 0;
            begin += state->answer + 1;
            continue;
        }
        if (is_answer && have > ALWAYS_COMPARED) break;
        const char *end = memchr(line, '\n', have);
        if (end == NULL) break;
        if (is_answer) return fail(state, "answer of another length", line, have);
        state->outcome->others += 1;
        begin += (size_t)(end - line) + 1;
    }
    loader->have -= begin;
    if (loader->have > 0 && begin > 0) memmove(loader->received, loader->received + begin, loader->have);
    return 1;
}

/// One read, and what is whole then. 0 after a failure.
static int take(run *state) {
    bench_loader *loader = state->loader;
    ssize_t got = read(state->job->out, loader->received + loader->have, loader->receive_room - loader->have);
    if (got < 0 && errno == EAGAIN) return 1;
    if (got < 0 && errno == EINTR) return fail(state, "no answer in time", loader->received, loader->have);
    if (got <= 0) return fail(state, "the output was closed", loader->received, loader->have);
    uint64_t now = bench_now();
    loader->have += (size_t)got;
    return take_lines(state, now);
}

static int has_room(const run *state) {
    return state->started < state->job->calls && state->started - state->answered < state->job->window;
}

/// All in flight fits into the pipes: writes and reads that wait, and nothing else.
static int load_small(run *state) {
    const bench_job *job = state->job;
    while (state->answered < job->calls) {
        while (has_room(state)) {
            int from = state->started;
            size_t length = 0;
            do {
                length += compose(state, state->loader->to_send + length);
                state->started += 1;
            } while (job->is_batching && has_room(state));
            uint64_t now = bench_now();
            for (int each = from; each < state->started; each++) state->loader->sent[each] = now;
            if (bench_write_all(job->into, state->loader->to_send, length) != 0) return fail(state, "the input was closed", "", 0);
        }
        if (!take(state)) return 0;
    }
    return 1;
}

/// Writes as far as the pipe takes it; `left` bytes of the last call have not gone yet.
static int give(run *state, size_t *left) {
    const bench_job *job = state->job;
    for (;;) {
        if (*left == 0) {
            if (!has_room(state)) return 1;
            stamp(state, state->loader->to_send);
            *left = job->length;
            state->loader->sent[state->started++] = bench_now();
        }
        ssize_t put = write(job->into, state->loader->to_send + job->length - *left, *left);
        if (put < 0 && errno == EAGAIN) return 1;
        if (put <= 0) return fail(state, "the input was closed", "", 0);
        *left -= (size_t)put;
    }
}

static int load_large(run *state) {
    const bench_job *job = state->job;
    size_t left = 0;
    while (state->answered < job->calls) {
        if (!give(state, &left)) return 0;
        struct pollfd wanted[2] = {{.fd = job->out, .events = POLLIN}, {.fd = left > 0 ? job->into : -1, .events = POLLOUT}};
        if (poll(wanted, 2, BENCH_PATIENCE_S * 1000) <= 0) {
            return fail(state, "no answer in time", state->loader->received, state->loader->have);
        }
        if (wanted[0].revents != 0 && !take(state)) return 0;
    }
    return 1;
}

static int load_http(run *state) {
    const bench_job *job = state->job;
    bench_loader *loader = state->loader;
    char *body = loader->to_send + ROOM / 2;
    while (state->answered < job->calls) {
        size_t length = compose(state, body) - 1, have = 0, size = 0;
        int head = snprintf(loader->to_send, ROOM / 2, "%s%zu\r\n\r\n", job->head, length);
        memmove(loader->to_send + head, body, length);
        loader->sent[state->started++] = bench_now();
        if (send(job->into, loader->to_send, (size_t)head + length, MSG_NOSIGNAL) < 0) return fail(state, "the input was closed", "", 0);
        char *message = NULL;
        while (message == NULL) {
            ssize_t got = recv(job->out, loader->received + have, loader->receive_room - 1 - have, 0);
            if (got < 0 && errno == EINTR) return fail(state, "no answer in time", loader->received, have);
            if (got <= 0) return fail(state, "the output was closed", loader->received, have);
            have += (size_t)got;
            message = bench_http_message(loader->received, have, &size);
        }
        uint64_t now = bench_now();
        if (size != state->answer || memcmp(message, job->before, state->before) != 0) return fail(state, "wrong answer", message, size);
        if (!take_answer(state, message, now)) return 0;
    }
    return 1;
}

static void let_wait(int descriptor, int waits) {
    int flags = fcntl(descriptor, F_GETFL);
    fcntl(descriptor, F_SETFL, waits ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

int bench_load(bench_loader *loader, const bench_job *job, bench_outcome *outcome) {
    run state = {.loader = loader, .job = job, .outcome = outcome};
    state.before = strlen(job->before);
    state.between = strlen(job->between);
    state.after = strlen(job->after);
    state.answer = state.before + BENCH_ID_DIGITS + state.between + job->payload + state.after;
    *outcome = (bench_outcome){0};
    loader->have = 0;
    size_t line = state.answer + 1 > job->length ? state.answer + 1 : job->length;
    int fits = job->calls <= loader->calls && line * 2 <= loader->receive_room && line <= loader->send_room;
    if (!fits) return fail(&state, "too small a loader", "", 0);
    memset(loader->sent, 0, (size_t)job->calls * sizeof *loader->sent);
    int is_small = line * (size_t)job->window <= FITS_A_PIPE;
    if (job->head == NULL) {
        let_wait(job->into, is_small);
        let_wait(job->out, is_small);
    }
    // A long line is not copied for each call: to write it is what a host does.
    if (!is_small) memcpy(loader->to_send, job->line, job->length);
    // Ends a wait for what never comes; whoever waits knows it by the interruption.
    alarm(BENCH_PATIENCE_S);
    uint64_t begun = bench_now();
    int is_right = job->head != NULL ? load_http(&state) : is_small ? load_small(&state) : load_large(&state);
    outcome->elapsed_ns = bench_now() - begun;
    alarm(0);
    if (is_right && loader->have > 0) return fail(&state, "more than was asked for", loader->received, loader->have);
    return is_right;
}

ptrdiff_t bench_ask(
    bench_loader *loader, int into, int out, const char *lines, size_t length, const char *beginning, int patience_ms, const char **line) {
    size_t have = 0, looked = 0;
    let_wait(into, 1);
    let_wait(out, 1);
    if (bench_write_all(into, lines, length) != 0) return -1;
    uint64_t end = bench_now() + (uint64_t)patience_ms * (second_ns / 1000);
    for (;;) {
        uint64_t now = bench_now();
        struct pollfd wanted = {.fd = out, .events = POLLIN};
        if (now >= end || poll(&wanted, 1, (int)((end - now) / 1000000u) + 1) <= 0) return -1;
        ssize_t got = read(out, loader->received + have, loader->receive_room - have);
        if (got <= 0) return -1;
        have += (size_t)got;
        for (char *found; (found = memchr(loader->received + looked, '\n', have - looked)) != NULL;) {
            size_t count = (size_t)(found - loader->received);
            if (count >= strlen(beginning) && memcmp(loader->received, beginning, strlen(beginning)) == 0) {
                *found = 0;
                *line = loader->received;
                return (ptrdiff_t)count;
            }
            have -= count + 1;
            memmove(loader->received, found + 1, have);
            looked = 0;
        }
        looked = have;
        if (have == loader->receive_room) return -1;
    }
}
