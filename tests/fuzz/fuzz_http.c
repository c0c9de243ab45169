/*
 * The way of a request: bytes to a real server in this process over a unix socket.
 *
 * The application looks at everything that it is given, so that a string that is no string or a
 * length that lies is found by the sanitizer. A body goes to memory or to a sink by its path.
 */
#include "base/log.h"
#include "http/http.h"

#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sockaddr_un address = { .sun_family = AF_UNIX };
static volatile size_t looked_at;

static int sink_write(struct http_request *rq, const void *data, size_t n)
{
    (void)rq;
    looked_at += n ? ((const unsigned char *)data)[n - 1] : 0;
    return 0;
}
static const struct http_sink SINK = { sink_write };

static int begin(struct http_request *rq, void *app)
{
    (void)app;
    if (strstr(rq->path, "/../") || strlen(rq->path) > strlen(rq->raw_path))
        abort();
    rq->mode = strchr(rq->path, 'w') ? HTTP_WORKER : HTTP_INLINE;
    rq->body_limit = 4096;
    if (strchr(rq->path, 's')) {
        rq->sink = &SINK;
        rq->sink_limit = 10000;
    }
    if (strchr(rq->path, 'r')) {
        http_answer(rq, 403, NULL, NULL, 0);
        return FAULT;
    }
    return 0;
}

static void see_header(void *arg, const char *name, const char *value)
{
    struct http_request *rq = arg;
    looked_at += strlen(name) + strlen(value);
    http_set_header(rq, "X-Seen", value);
}

static void handle(struct http_request *rq, void *app)
{
    (void)app;
    looked_at += strlen(rq->method) + strlen(rq->host) + strlen(str_or(rq->query, ""));
    VEC_FOREACH(arg, &rq->args)
        looked_at += strlen(arg->key) + strlen(arg->value);
    http_headers(rq, see_header, rq);
    if (rq->body && strlen(rq->body) > rq->body_size)
        abort();
    uint64_t first = 0, length = 0;
    if (http_range(http_header(rq, "Range"), 1000, &first, &length) == 0 && first + length > 1000)
        abort();
    http_answer(rq, 200, "text/plain", rq->path, strlen(rq->path));
}

static char dir[] = "/tmp/yunduo-fuzz-XXXXXX";
static struct http_server *server;

static void stop(void)
{
    http_server_stop(server, 0);
    (void)rmdir(dir);
}

static void start(void)
{
    if (!mkdtemp(dir))
        abort();
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", dir);
    struct http_options o = { .unix_path = address.sun_path, .workers = 2, .timeout = SECONDS(2),
                              .app = { begin, handle, NULL, NULL } };
    struct fault fault;
    if (http_server_start(&o, &server, &fault) != 0 || atexit(stop) != 0)
        abort();
}

static int connected(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        abort();
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    if (!started) {
        start();
        started = true;
    }
    int fd = connected();
    (void)!send(fd, data, size, MSG_NOSIGNAL);
    /* libmicrohttpd can miss an end that comes together with data, until the next sweep */
    int left = 1;
    for (int i = 0; i < 10000 && left > 0 && ioctl(fd, SIOCOUTQ, &left) == 0; i++)
        (void)sched_yield();
    (void)shutdown(fd, SHUT_WR);
    char answer[4096];
    while (recv(fd, answer, sizeof(answer), 0) > 0)
        ;
    (void)close(fd);
    return 0;
}
