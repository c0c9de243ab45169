/*
 * Start and stop, listeners, the list of spare requests.
 *
 * Each listener is a libmicrohttpd daemon with its own threads: one for TCP with a thread a
 * core, one for the unix socket with a single thread. Both serve the same application.
 *
 * The stop has an order that libmicrohttpd asks for: nothing may be suspended when its threads
 * end. So first nothing new is accepted and what is parked is woken; then what is under way may
 * finish; then what still runs is cut, which waits for the handlers alone, never for a client.
 */
#include "base/log.h"
#include "http/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define POOL_SIZE ((size_t)32 << 10)
#define SPARE_MAX 256
/* What a spare request may keep. */
#define SPARE_ARENA_MAX ((size_t)64 << 10)
#define SPARE_BODY_MAX ((size_t)16 << 10)

LOG_MODULE("http.server");
GAUGE(connections, "http_connections", "Open connections.");

/* ---- spare requests ---- */

struct http_connection *http_connection_take(struct http_server *s)
{
    pthread_mutex_lock(&s->spare_lock);
    struct http_connection *c = s->spare;
    if (c) {
        s->spare = c->next;
        s->n_spare--;
    }
    pthread_mutex_unlock(&s->spare_lock);
    if (!c) {
        c = calloc(1, sizeof(*c));
        if (c && !(c->rq.arena = arena_new(0))) {
            free(c);
            c = NULL;
        }
        if (!c)
            return NULL;
    }
    c->server = s;
    c->rq.self = c;
    c->rq.sink_limit = -1;
    return c;
}

static void connection_free(struct http_connection *c)
{
    arena_free(c->rq.arena);
    buf_done(&c->body);
    free(c);
}

void http_connection_give(struct http_connection *c)
{
    struct http_server *s = c->server;
    struct arena *arena = c->rq.arena;
    struct buf body = c->body;
    if (body.cap > SPARE_BODY_MAX)
        buf_done(&body);
    buf_clear(&body);
    bool small = arena_used(arena) <= SPARE_ARENA_MAX;
    arena_reset(arena);
    *c = (struct http_connection){ .rq.arena = arena, .body = body };
    bool kept = false;
    pthread_mutex_lock(&s->spare_lock);
    if (small && s->n_spare < SPARE_MAX) {
        c->next = s->spare;
        s->spare = c;
        s->n_spare++;
        kept = true;
    }
    pthread_mutex_unlock(&s->spare_lock);
    if (!kept)
        connection_free(c);
}

void http_note_progress(struct http_server *s)
{
    if (!s->stopping)
        return;
    pthread_mutex_lock(&s->idle_lock);
    pthread_cond_broadcast(&s->idle);
    pthread_mutex_unlock(&s->idle_lock);
}

/* ---- connections ---- */

static void on_connection(void *cls, struct MHD_Connection *mhd, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_listener *l = cls;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        struct http_peer *gone = TAKE_PTR(*socket_context);
        counter_add(&connections, -1);
        if (gone)
            http_peer_remove(l->server, gone);
        free(gone);
        return;
    }
    counter_add(&connections, 1);
    struct http_peer *peer = calloc(1, sizeof(*peer));
    *socket_context = peer;
    if (!peer)
        return;
    peer->local = l->local;
    peer->tls = l->tls;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info ? info->client_addr : NULL;
    if (address && address->sa_family == AF_INET)
        (void)inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr, peer->address,
                        sizeof(peer->address));
    else if (address && address->sa_family == AF_INET6)
        (void)inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr,
                        peer->address, sizeof(peer->address));
    else if (address && l->adopts)
        (void)snprintf(peer->address, sizeof(peer->address), "%s",
                       ((const struct sockaddr_un *)(const void *)address)->sun_path);
    else
        (void)snprintf(peer->address, sizeof(peer->address), "%s", l->local ? "unix" : "unknown");
    info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    peer->fd = info ? info->connect_fd : -1;
    http_peer_add(l->server, peer);
}

static void on_log(void *cls, const char *format, va_list ap) _printf_(2, 0);
static void on_log(void *cls, const char *format, va_list ap)
{
    (void)cls;
    char text[256];
    (void)vsnprintf(text, sizeof(text), format, ap);
    text[strcspn(text, "\n")] = 0;
    log_debug("libmicrohttpd", KV("says", text));
}

/* The target is decoded in head.c. */
static size_t unescape_not(void *cls, struct MHD_Connection *mhd, char *s)
{
    (void)cls;
    (void)mhd;
    return strlen(s);
}

/* ---- listeners ---- */

static int listen_inet(const char *where, unsigned *ret_port, int *ret_fd, struct fault *fault)
{
    char host[256];
    const char *colon = strrchr(where, ':');
    if (!colon || (size_t)(colon - where) >= sizeof(host))
        return fault_set(fault, 400, "BadAddress", "'%s' is not an address and a port.", where);
    const char *start = where, *end = colon;
    if (*start == '[' && end > start && end[-1] == ']') {
        start++;
        end--;
    }
    (void)snprintf(host, sizeof(host), "%.*s", (int)(end - start), start);
    struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
                              .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    int r = getaddrinfo(*host ? host : NULL, colon + 1, &hints, &found);
    if (r != 0)
        return fault_set(fault, 400, "BadAddress", "'%s' is not an address and a port: %s.", where,
                         gai_strerror(r));
    _cleanup_(closep) int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1, failed = 0;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } bound = { 0 };
    socklen_t size = sizeof(bound);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0 ||
        getsockname(fd, &bound.any, &size) < 0)
        failed = errno;
    freeaddrinfo(found);
    if (failed)
        return fault_set(fault, 503, "CannotListen", "Can't listen on %s: %s.", where, strerror(failed));
    *ret_port = ntohs(bound.any.sa_family == AF_INET6 ? bound.v6.sin6_port : bound.v4.sin_port);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static int listen_unix(const char *path, int *ret_fd, struct fault *fault)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if ((size_t)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path) >= sizeof(address.sun_path))
        return fault_set(fault, 400, "BadAddress", "The socket's path '%s' is too long.", path);
    _cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fault_set(fault, 503, "CannotListen", "Can't make a socket: %s.", strerror(errno));
    /* One that nobody answers on was left by a server that died. */
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fault_set(fault, 503, "CannotListen", "Another server answers on %s.", path);
    if (errno == ECONNREFUSED)
        (void)unlink(path);
    (void)close(fd);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, 0660) < 0 ||
        listen(fd, SOMAXCONN) < 0)
        return fault_set(fault, 503, "CannotListen", "Can't listen on %s: %s.", path, strerror(errno));
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static int listener_start(struct http_listener *l, int fd, unsigned threads, unsigned connections_max,
                          usec_t timeout, struct fault *fault)
{
    struct http_server *s = l->server;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_INTERNAL_POLLING_THREAD | MHD_ALLOW_SUSPEND_RESUME |
                     MHD_ALLOW_UPGRADE | MHD_USE_ITC | MHD_USE_ERROR_LOG | (l->tls ? MHD_USE_TLS : 0) |
                     (l->adopts ? MHD_USE_NO_LISTEN_SOCKET : 0);
    struct MHD_OptionItem options[16];
    size_t n = 0;
    if (!l->adopts)
        options[n++] = (struct MHD_OptionItem){ MHD_OPTION_LISTEN_SOCKET, fd, NULL };
    if (threads > 1)
        options[n++] = (struct MHD_OptionItem){ MHD_OPTION_THREAD_POOL_SIZE, threads, NULL };
    options[n++] = (struct MHD_OptionItem){ MHD_OPTION_CONNECTION_LIMIT, MAX(connections_max, threads), NULL };
    options[n++] = (struct MHD_OptionItem){ MHD_OPTION_CONNECTION_TIMEOUT,
                                            (intptr_t)MAX(timeout / SECONDS(1), (usec_t)1), NULL };
    options[n++] = (struct MHD_OptionItem){ MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)POOL_SIZE, NULL };
    if (l->tls) {
        options[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_CERT, 0, s->tls_cert };
        options[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_KEY, 0, s->tls_key };
        if (s->tls_ca)
            options[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_TRUST, 0, s->tls_ca };
    }
    options[n] = (struct MHD_OptionItem){ MHD_OPTION_END, 0, NULL };
    l->daemon = MHD_start_daemon(flags, 0, NULL, NULL, http_on_access, l,
                                 MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
                                 MHD_OPTION_URI_LOG_CALLBACK, http_on_target, l,
                                 MHD_OPTION_UNESCAPE_CALLBACK, unescape_not, NULL,
                                 MHD_OPTION_NOTIFY_COMPLETED, http_on_completed, l,
                                 MHD_OPTION_NOTIFY_CONNECTION, on_connection, l,
                                 MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    if (l->daemon)
        return 0;
    closep(&fd);
    return fault_set(fault, 500, "CannotListen", "The HTTP server can't start%s.",
                     l->tls ? "; are certificate and key a pair?" : "");
}

/* ---- start and stop ---- */

static int read_text(const char *path, char **ret, struct fault *fault)
{
    if (!path)
        return 0;
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    _cleanup_(buf_done) struct buf b = BUF_MAX(1 << 20);
    ssize_t n = fd < 0 ? -1 : 1;
    while (n > 0) {
        char piece[4096];
        n = read(fd, piece, sizeof(piece));
        if (n > 0)
            buf_add(&b, piece, (size_t)n);
    }
    if (n < 0)
        return fault_set(fault, 500, "CannotRead", "Can't read %s: %s.", path, strerror(errno));
    char *text = buf_take(&b);
    if (!text)
        return -ENOMEM;
    *ret = text;
    return 0;
}

static void server_free(struct http_server *s)
{
    http_workers_end(s);
    http_park_end(s);
    while (s->spare) {
        struct http_connection *c = s->spare;
        s->spare = c->next;
        connection_free(c);
    }
    (void)pthread_mutex_destroy(&s->spare_lock);
    (void)pthread_mutex_destroy(&s->lock);
    (void)pthread_mutex_destroy(&s->peers_lock);
    (void)pthread_mutex_destroy(&s->idle_lock);
    (void)pthread_cond_destroy(&s->work);
    (void)pthread_cond_destroy(&s->idle);
    (void)pthread_cond_destroy(&s->park_changed);
    free(s->unix_path);
    free(s->tls_cert);
    if (s->tls_key)
        explicit_bzero(s->tls_key, strlen(s->tls_key));
    free(s->tls_key);
    free(s->tls_ca);
    free(s);
}

static void server_freep(struct http_server **s)
{
    if (*s)
        http_server_stop(*s, 0);
}

int http_server_start(const struct http_options *o, struct http_server **ret, struct fault *fault)
{
    _cleanup_(server_freep) struct http_server *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&s->spare_lock, NULL);
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_mutex_init(&s->peers_lock, NULL);
    (void)pthread_mutex_init(&s->idle_lock, NULL);
    (void)pthread_cond_init(&s->work, NULL);
    (void)pthread_cond_init(&s->idle, &monotonic);
    (void)pthread_cond_init(&s->park_changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    s->app = o->app;
    s->workers_max = o->workers ? o->workers : 32;
    for (size_t i = 0; i < ARRAY_SIZE(s->listeners); i++)
        s->listeners[i].server = s;

    int r = http_workers_start(s);
    if (r == 0)
        r = read_text(o->tls_cert, &s->tls_cert, fault);
    if (r == 0)
        r = read_text(o->tls_key, &s->tls_key, fault);
    if (r == 0)
        r = read_text(o->tls_client_ca, &s->tls_ca, fault);
    if (r != 0)
        return r;
    unsigned cores = (unsigned)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L);
    unsigned connections_max = o->connections_max ? o->connections_max : 8192;
    usec_t timeout = o->timeout ? o->timeout : MINUTES(1);
    s->timeout = timeout;
    int fd = -1;
    if (o->listen) {
        struct http_listener *l = &s->listeners[0];
        l->tls = s->tls_cert && s->tls_key;
        r = listen_inet(o->listen, &s->port, &fd, fault);
        if (r == 0)
            r = listener_start(l, fd, o->threads ? o->threads : cores, connections_max, timeout, fault);
        if (r != 0)
            return r;
    }
    if (o->unix_path) {
        r = listen_unix(o->unix_path, &fd, fault);
        if (r != 0)
            return r;
        s->unix_path = strdup(o->unix_path);
        s->listeners[1].local = true;
        r = listener_start(&s->listeners[1], fd, 1, connections_max, timeout, fault);
        if (r != 0)
            return r;
    }
    if (o->adopt) {
        s->listeners[0].adopts = true;
        r = listener_start(&s->listeners[0], -1, 1, connections_max, timeout, fault);
        if (r != 0)
            return r;
    }
    *ret = TAKE_PTR(s);
    return 0;
}

int http_server_adopt(struct http_server *s, int fd, const char *peer)
{
    /* libmicrohttpd keeps the address for us: it is where the name travels. */
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", peer);
    if (MHD_add_connection(s->listeners[0].daemon, fd, (struct sockaddr *)&address, sizeof(address)) == MHD_YES)
        return 0;
    return -EMFILE;     /* it has closed the socket */
}

unsigned http_server_port(const struct http_server *s)
{
    return s->port;
}

/* Until 'count' is zero or the time is up. */
static void wait_none(struct http_server *s, _Atomic int *count, usec_t at_most)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += at_most / SECONDS(1);
    until.tv_nsec += at_most % SECONDS(1) * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&s->idle_lock);
    while (atomic_load(count) > 0 && pthread_cond_timedwait(&s->idle, &s->idle_lock, &until) == 0)
        ;
    pthread_mutex_unlock(&s->idle_lock);
}

void http_server_stop(struct http_server *s, usec_t grace)
{
    if (!s)
        return;
    s->stopping = true;
    for (size_t i = 0; i < ARRAY_SIZE(s->listeners); i++) {
        MHD_socket fd = s->listeners[i].daemon ? MHD_quiesce_daemon(s->listeners[i].daemon) : -1;
        if (fd >= 0)
            (void)close(fd);
    }
    if (s->unix_path)
        (void)unlink(s->unix_path);
    http_park_stop(s);
    wait_none(s, &s->active, grace);
    s->cutting = true;
    while (atomic_load(&s->suspended) > 0)
        wait_none(s, &s->suspended, SECONDS(10));
    http_upgraded_cut(s);
    for (size_t i = 0; i < ARRAY_SIZE(s->listeners); i++)
        if (s->listeners[i].daemon)
            MHD_stop_daemon(s->listeners[i].daemon);
    server_free(s);
}
