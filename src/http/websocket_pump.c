/*
 * The pump between a WebSocket and a stream socket: one thread, one poll().
 *
 * Each direction holds at most what one read gave; its source is read again when that has left.
 * Answers to pings go before data. When the stream ends the client is told and given a moment
 * to close its side; when the client closes, what it sent before still reaches the stream.
 */
#include "http/websocket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#define PIECE ((size_t)32 << 10)
#define FAREWELL SECONDS(2)

struct side {
    int fd;
    struct buf out;                 /* what must go to it */
    size_t sent;
};

struct pump {
    struct side client, stream;
    struct websocket ws;
    struct websocket_pump *stats;
    usec_t heard;                   /* when the client was last heard */
    unsigned pings;                 /* since then */
    bool client_ended, stream_ended;
    int error;
    char piece[PIECE];
};

static usec_t real_mono(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return SECONDS(ts.tv_sec) + ts.tv_nsec / 1000;
}

static size_t waiting(const struct side *s)
{
    return s->out.len - s->sent;
}

/* Sends what goes. False: the other end is gone. */
static bool side_flush(struct side *s)
{
    while (waiting(s)) {
        ssize_t n = send(s->fd, s->out.data + s->sent, waiting(s), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK;
        s->sent += (size_t)n;
    }
    buf_clear(&s->out);
    s->sent = 0;
    return true;
}

static void from_client(struct pump *p, const void *data, size_t n)
{
    size_t before = p->stream.out.len;
    int r = websocket_feed(&p->ws, data, n, &p->stream.out, &p->client.out);
    p->stats->to_stream += p->stream.out.len - before;
    if (r != 0) {
        p->client_ended = true;
        p->error = MIN(r, 0);
    }
}

/* What could be read: > 0 bytes, 0 at the end, -EAGAIN for nothing now, else negative. */
static ssize_t side_read(struct pump *p, const struct side *s)
{
    ssize_t n = recv(s->fd, p->piece, sizeof(p->piece), MSG_DONTWAIT);
    if (n < 0)
        return errno == EINTR || errno == EWOULDBLOCK ? -EAGAIN : -errno;
    return n;
}

static void client_ready(struct pump *p)
{
    ssize_t n = side_read(p, &p->client);
    if (n == -EAGAIN)
        return;
    p->heard = real_mono();
    p->pings = 0;
    if (n > 0) {
        from_client(p, p->piece, (size_t)n);
        return;
    }
    p->client_ended = true;
    p->error = (int)n;
}

static void stream_ready(struct pump *p)
{
    ssize_t n = side_read(p, &p->stream);
    if (n == -EAGAIN)
        return;
    if (n > 0) {
        websocket_frame(&p->client.out, WEBSOCKET_BINARY, p->piece, (size_t)n);
        p->stats->to_client += (uint64_t)n;
        return;
    }
    p->stream_ended = true;
    websocket_close_frame(&p->client.out, n == 0 ? WEBSOCKET_NORMAL : WEBSOCKET_BROKEN);
}

/* Milliseconds until the client must be asked; asks. Negative: it does not answer. */
static int ask_client(struct pump *p, usec_t every)
{
    usec_t silent = real_mono() - p->heard, due = every * (p->pings + 1);
    if (silent >= due) {
        if (p->pings == 2)
            return -ETIMEDOUT;
        if (waiting(&p->client) < PIECE)
            websocket_frame(&p->client.out, WEBSOCKET_PING, NULL, 0);
        p->pings++;
        due += every;
    }
    return (int)((due - silent) / USEC_PER_MSEC) + 1;
}

/* The last words: until both have what is theirs, or a moment has passed. */
static void farewell(struct pump *p)
{
    usec_t until = real_mono() + FAREWELL;
    bool stream_ok = !p->stream_ended, client_ok = p->error == 0 || waiting(&p->client);
    while ((stream_ok && waiting(&p->stream)) || (client_ok && (waiting(&p->client) || !p->client_ended))) {
        if (stream_ok)
            stream_ok = side_flush(&p->stream);
        if (client_ok)
            client_ok = side_flush(&p->client);
        usec_t left = until - real_mono();
        if (left <= 0)
            return;
        struct pollfd fds[2] = {
            { .fd = client_ok ? p->client.fd : -1,
              .events = (short)((p->client_ended ? 0 : POLLIN) | (waiting(&p->client) ? POLLOUT : 0)) },
            { .fd = stream_ok && waiting(&p->stream) ? p->stream.fd : -1, .events = POLLOUT },
        };
        if (!fds[0].events)
            fds[0].fd = -1;
        if (fds[0].fd < 0 && fds[1].fd < 0)
            return;
        if (poll(fds, 2, (int)(left / USEC_PER_MSEC) + 1) < 0 && errno != EINTR)
            return;
        if (fds[0].fd >= 0 && (fds[0].revents & (POLLIN | POLLHUP | POLLERR)) && !p->client_ended) {
            /* only its close is of interest now */
            client_ready(p);
            buf_clear(&p->stream.out);
            p->stream.sent = 0;
        }
    }
}

static int pump_run(struct pump *p, usec_t every)
{
    for (;;) {
        if (!side_flush(&p->stream)) {
            p->stream_ended = true;
            websocket_close_frame(&p->client.out, WEBSOCKET_BROKEN);
        }
        if (!side_flush(&p->client)) {
            p->client_ended = true;
            p->error = -ECONNRESET;
        }
        if (p->client_ended || p->stream_ended)
            break;
        int ms = ask_client(p, every);
        if (ms < 0) {
            p->error = ms;
            break;
        }
        /* Who has not taken what was read last is the brake for who sent it. A client that does
         * not take the answers to its pings is not read either. */
        short in_client = !waiting(&p->stream) && waiting(&p->client) < 2 * PIECE ? POLLIN : 0;
        short in_stream = waiting(&p->client) ? 0 : POLLIN;
        struct pollfd fds[2] = {
            { .fd = p->client.fd, .events = (short)(in_client | (waiting(&p->client) ? POLLOUT : 0)) },
            { .fd = p->stream.fd, .events = (short)(in_stream | (waiting(&p->stream) ? POLLOUT : 0)) },
        };
        /* A hang-up of a side that nothing is asked of must not spin. */
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
            if (!fds[i].events)
                fds[i].fd = -1;
        if (poll(fds, 2, ms) < 0 && errno != EINTR) {
            p->error = -errno;
            break;
        }
        if (in_client && fds[0].revents & (POLLIN | POLLHUP | POLLERR))
            client_ready(p);
        if (in_stream && !p->client_ended && fds[1].revents & (POLLIN | POLLHUP | POLLERR))
            stream_ready(p);
    }
    farewell(p);
    return p->error;
}

int websocket_pump(int ws_fd, const void *extra, size_t extra_size, int stream_fd, struct websocket_pump *stats)
{
    struct pump *p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->client = (struct side){ .fd = ws_fd, .out = BUF_MAX(1 << 20) };
    p->stream = (struct side){ .fd = stream_fd, .out = BUF_MAX(1 << 20) };
    p->stats = stats;
    p->heard = real_mono();
    for (const char *at = extra; extra_size && !p->client_ended;) {
        size_t n = MIN(extra_size, PIECE);
        from_client(p, at, n);
        at += n;
        extra_size -= n;
    }
    int r = pump_run(p, stats->ping_every ? stats->ping_every : SECONDS(30));
    buf_done(&p->client.out);
    buf_done(&p->stream.out);
    free(p);
    return r;
}
