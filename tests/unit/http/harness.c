/* See the header. */
#include "harness.h"

#include "http/websocket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

static ssize_t count_next(void *cookie, uint64_t offset, char *out, size_t max)
{
    const uint64_t *size = (const uint64_t *)cookie + 1;
    size_t n = (size_t)MIN((uint64_t)max, *size - offset);
    for (size_t i = 0; i < n; i++)
        out[i] = (char)('a' + (offset + i) % 26);
    return (ssize_t)n;
}

static ssize_t broken_next(void *cookie, uint64_t offset, char *out, size_t max)
{
    (void)cookie;
    (void)max;
    if (offset > 0)
        return -EIO;
    memset(out, 'x', 100);
    return 100;
}

struct stream_cookie {
    struct harness *h;
    uint64_t size;
};

static void stream_free(void *cookie)
{
    struct stream_cookie *s = cookie;
    pthread_mutex_lock(&s->h->lock);
    s->h->streams_freed++;
    pthread_cond_broadcast(&s->h->changed);
    pthread_mutex_unlock(&s->h->lock);
    free(s);
}

static int sink_write(struct http_request *rq, const void *data, size_t n)
{
    struct harness *h = rq->app_data;
    if (STREQ(rq->path, "/sink/fails"))
        return -ENOSPC;
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((const unsigned char *)data)[i];
    pthread_mutex_lock(&h->lock);
    h->sunk += n;
    h->sunk_sum += sum;
    bool gate = STREQ(rq->path, "/sink/gate");
    pthread_cond_broadcast(&h->changed);
    while (gate && !h->gate_open)
        pthread_cond_wait(&h->changed, &h->lock);
    pthread_mutex_unlock(&h->lock);
    return 0;
}

static const struct http_sink SINK = { sink_write };

static int app_begin(struct http_request *rq, void *app)
{
    struct harness *h = app;
    rq->app_data = h;
    pthread_mutex_lock(&h->lock);
    h->begun++;
    pthread_mutex_unlock(&h->lock);
    rq->mode = str_starts(rq->path, "/inline") ? HTTP_INLINE : HTTP_WORKER;
    rq->body_limit = 1000;
    if (str_starts(rq->path, "/refuse")) {
        http_answer(rq, 401, "text/plain", "no", 2);
        return FAULT;
    }
    if (str_starts(rq->path, "/sink")) {
        rq->sink = &SINK;
        rq->sink_limit = STREQ(rq->path, "/sink/limited") ? 1000 : -1;
    }
    return 0;
}

static void woken(struct http_request *rq, void *arg, enum http_wake_reason why)
{
    static const char *const WHY[] = { "woken", "timed out", "stopping" };
    (void)arg;
    http_answer(rq, why == HTTP_STOPPING ? 503 : 200, "text/plain", WHY[why], strlen(WHY[why]));
}

static void echo(int fd, const void *extra, size_t extra_size, void *arg)
{
    struct harness *h = arg;
    char data[1024];
    ssize_t n = (ssize_t)extra_size;
    if (fd >= 0 && n > 0)
        (void)!write(fd, extra, extra_size);
    while (fd >= 0 && (n = read(fd, data, sizeof(data))) > 0)
        if (send(fd, data, (size_t)n, MSG_NOSIGNAL) < 0)
            break;
    pthread_mutex_lock(&h->lock);
    h->upgrades_ended++;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

static void add_header_text(void *arg, const char *name, const char *value)
{
    buf_printf(arg, "%s=%s\n", name, value);
}

/* What the request looked like, as text. */
static void describe(struct http_request *rq)
{
    struct buf b = BUF_MAX(1 << 16);
    buf_printf(&b, "method=%s\npath=%s\nraw=%s\nquery=%s\nhost=%s\npeer=%s\nlocal=%d\ntls=%d\ntls_name=%s\n", rq->method,
               rq->path, rq->raw_path, str_or(rq->query, "-"), rq->host, rq->peer, rq->local, rq->tls,
               str_or(rq->tls_peer_name, "-"));
    VEC_FOREACH(arg, &rq->args)
        buf_printf(&b, "arg %s=%s\n", arg->key, arg->value);
    http_headers(rq, add_header_text, &b);
    buf_printf(&b, "length=%lld\nbody=%.*s\n", (long long)rq->content_length, (int)rq->body_size, rq->body);
    http_answer_buf(rq, 200, "text/plain", &b);
}

static void app_handle(struct http_request *rq, void *app)
{
    struct harness *h = app;
    pthread_mutex_lock(&h->lock);
    h->handled++;
    h->sink_error = rq->sink_error;
    pthread_cond_broadcast(&h->changed);
    bool gate = STREQ(rq->path, "/gate");
    while (gate && !h->gate_open)
        pthread_cond_wait(&h->changed, &h->lock);
    pthread_mutex_unlock(&h->lock);

    if (str_starts(rq->path, "/sink")) {
        http_answer(rq, rq->sink_error ? 507 : 201, "text/plain", "sunk", 4);
    } else if (STREQ(rq->path, "/empty")) {
        http_answer(rq, 204, NULL, NULL, 0);
    } else if (STREQ(rq->path, "/nothing")) {
        return;
    } else if (STREQ(rq->path, "/headers")) {
        http_set_header(rq, "X-One", "1");
        http_set_header(rq, "Vary", "a");
        http_set_header(rq, "Vary", "b");
        http_set_header(rq, "X-Split", "a\r\nX-Evil: 1");
        http_set_header(rq, "Content-Length", "7");
        http_answer(rq, 200, "text/plain", "ok", 2);
    } else if (STREQ(rq->path, "/stream") || STREQ(rq->path, "/stream/chunked") ||
               STREQ(rq->path, "/stream/broken")) {
        struct stream_cookie *s = calloc(1, sizeof(*s));
        assert(s);
        s->h = h;
        s->size = 3000000;
        bool broken = STREQ(rq->path, "/stream/broken");
        http_answer_stream(rq, 200, "text/plain", STREQ(rq->path, "/stream/chunked") ? UINT64_MAX : s->size,
                           broken ? broken_next : count_next, stream_free, s);
    } else if (STREQ(rq->path, "/file")) {
        char path[64];
        (void)snprintf(path, sizeof(path), "%s/file", h->dir);
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert(fd >= 0);
        (void)unlink(path);
        uint64_t cookie[2] = { 0, 2000000 };
        char *data = malloc(2000000);
        assert(data);
        (void)count_next(cookie, 0, data, 2000000);
        assert(write(fd, data, 2000000) == 2000000);
        free(data);
        http_answer_file(rq, 206, "text/plain", fd, 26, 2000000 - 26);
    } else if (str_starts(rq->path, "/park") || STREQ(rq->path, "/inline/park")) {
        struct http_parked *p =
            http_park(rq, STREQ(rq->path, "/park/short") ? 20 * USEC_PER_MSEC : SECONDS(60), woken, h);
        if (STREQ(rq->path, "/park/early"))
            http_wake(p);
        pthread_mutex_lock(&h->lock);
        http_parked_unref(h->parked);
        h->parked = p;
        pthread_cond_broadcast(&h->changed);
        pthread_mutex_unlock(&h->lock);
    } else if (STREQ(rq->path, "/upgrade")) {
        http_upgrade(rq, "echo", echo, h);
    } else if (STREQ(rq->path, "/websocket")) {
        struct fault fault = { 0 };
        if (websocket_upgrade(rq, echo, h, &fault) != 0)
            http_answer(rq, fault.status, "text/plain", fault.message, strlen(fault.message));
    } else {
        describe(rq);
    }
}

static void app_done(struct http_request *rq, void *app)
{
    (void)rq;
    struct harness *h = app;
    pthread_mutex_lock(&h->lock);
    h->done++;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

void harness_start(struct harness *h, const struct http_options *o)
{
    static const struct http_options DEFAULTS = { .listen = "127.0.0.1:0", .threads = 1, .workers = 4 };
    *h = (struct harness){ .dir = "/tmp/yunduo-http-XXXXXX" };
    pthread_mutex_init(&h->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&h->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    assert_non_null(mkdtemp(h->dir));
    (void)snprintf(h->unix_path, sizeof(h->unix_path), "%s/socket", h->dir);
    struct http_options options = o ? *o : DEFAULTS;
    options.unix_path = h->unix_path;
    options.app = (struct http_app){ app_begin, app_handle, app_done, h };
    struct fault fault = { 0 };
    int r = http_server_start(&options, &h->server, &fault);
    if (r != 0)
        fail_msg("the server does not start: %s", fault.message);
}

void harness_stop(struct harness *h, usec_t grace)
{
    http_server_stop(TAKE_PTR(h->server), grace);
    http_parked_unref(TAKE_PTR(h->parked));
    assert_int_equal(h->begun, h->done);
    assert_int_equal(counter_read("http_requests_under_way"), 0);
    assert_int_equal(access(h->unix_path, F_OK), -1);
    assert_int_equal(rmdir(h->dir), 0);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->changed);
}

void harness_wait(struct harness *h, const unsigned *counter, unsigned n)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += 20;
    pthread_mutex_lock(&h->lock);
    int r = 0;
    while (*counter < n && r == 0)
        r = pthread_cond_timedwait(&h->changed, &h->lock, &until);
    pthread_mutex_unlock(&h->lock);
    assert_int_equal(r, 0);
}

void harness_open_gate(struct harness *h)
{
    pthread_mutex_lock(&h->lock);
    h->gate_open = true;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

static int with_timeout(int fd)
{
    struct timeval t = { .tv_sec = 20 };
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
    return fd;
}

int harness_connect(const struct harness *h)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)http_server_port(h->server)) };
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return with_timeout(fd);
}

int harness_connect_unix(const struct harness *h)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    (void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", h->unix_path);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return with_timeout(fd);
}

void send_text(int fd, const char *text)
{
    size_t n = strlen(text);
    assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), (ssize_t)n);
}

const char *answer_header(const struct answer *a, const char *name, char *out, size_t size)
{
    out[0] = 0;
    size_t n = strlen(name);
    for (const char *line = a->head; line && *line; line = strstr(line, "\r\n"), line = line ? line + 2 : NULL) {
        if (strncasecmp(line, name, n) == 0 && line[n] == ':') {
            const char *value = line + n + 1;
            while (*value == ' ')
                value++;
            (void)snprintf(out, size, "%.*s", (int)strcspn(value, "\r"), value);
            break;
        }
    }
    return out;
}

/* One byte at a time is slow but never reads into the next answer. */
static bool read_line(int fd, char *out, size_t size)
{
    size_t n = 0;
    while (n + 1 < size) {
        if (recv(fd, out + n, 1, 0) != 1)
            return false;
        if (out[n++] == '\n') {
            out[n] = 0;
            return true;
        }
    }
    return false;
}

static bool read_exactly(int fd, struct buf *b, size_t n)
{
    char *at = buf_reserve(b, n);
    if (!at)
        return false;
    while (n > 0) {
        ssize_t got = recv(fd, at, n, 0);
        if (got <= 0)
            return false;
        at += got;
        n -= (size_t)got;
        b->len += (size_t)got;
    }
    b->data[b->len] = 0;
    return true;
}

bool read_answer(int fd, bool head_only, struct answer *ret)
{
    *ret = (struct answer){ .keeps = true };
    size_t n = 0;
    for (;;) {
        char line[1024];
        if (!read_line(fd, line, sizeof(line)))
            return false;
        if (STREQ(line, "\r\n"))
            break;
        n += (size_t)snprintf(ret->head + n, sizeof(ret->head) - n, "%s", line);
        assert_true(n < sizeof(ret->head));
    }
    assert_int_equal(sscanf(ret->head, "HTTP/1.1 %d ", &ret->status), 1);
    char value[256];
    ret->keeps = strcasecmp(answer_header(ret, "Connection", value, sizeof(value)), "close") != 0;
    if (head_only || ret->status == 204 || ret->status == 304 || ret->status < 200)
        return true;
    struct buf b = BUF_MAX(64 << 20);
    bool ok = true;
    if (strcasecmp(answer_header(ret, "Transfer-Encoding", value, sizeof(value)), "chunked") == 0) {
        for (;;) {
            char line[64];
            ok = read_line(fd, line, sizeof(line));
            size_t size = ok ? strtoul(line, NULL, 16) : 0;
            ok = ok && (size == 0 || read_exactly(fd, &b, size)) && read_line(fd, line, sizeof(line));
            if (!ok || size == 0)
                break;
        }
    } else {
        (void)answer_header(ret, "Content-Length", value, sizeof(value));
        ok = value[0] && read_exactly(fd, &b, strtoul(value, NULL, 10));
    }
    ret->body_size = b.len;
    ret->body = buf_take(&b);
    return ok;
}

void answer_done(struct answer *a)
{
    free(TAKE_PTR(a->body));
}

bool at_end(int fd)
{
    char c;
    ssize_t n = recv(fd, &c, 1, 0);
    return n == 0 || (n < 0 && errno != EAGAIN);
}

int one_shot(const struct harness *h, const char *request, struct answer *ret)
{
    _cleanup_(closep) int fd = harness_connect(h);
    send_text(fd, request);
    struct answer a;
    bool ok = read_answer(fd, str_starts(request, "HEAD"), &a);
    int status = ok ? a.status : 0;
    if (ret)
        *ret = a;
    else
        answer_done(&a);
    return status;
}
