/*
 * The metadata part: http://169.254.169.254 for guests.
 *
 * For each network that is served from this host a socket listens inside the network's
 * namespace, and one inside each router's; connections are handed to one HTTP server. Who asks is
 * known by the socket it came through and its address, which anti-spoofing makes true: the network
 * (or the networks behind the router) and the fixed address name the port and so the server. A
 * header that claims otherwise is not looked at.
 */
#include "base/log.h"
#include "host/agent/agent.h"
#include "host/metadata_doc.h"
#include "http/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>

LOG_MODULE("agent.metadata");

#define PORT 80
#define ADDRESS_4 "169.254.169.254"
#define ADDRESS_6 "fe80::a9fe:a9fe"
#define SOCKETS_MAX 4096
#define LOOK_EVERY_MS 1000

struct ear {
    char id[64];                    /* network or router */
    enum net_space space;
    bool v6;
    int fd;
    bool wanted;
};

struct metadata_part {
    struct agent *agent;
    struct http_server *server;
    pthread_t thread;
    _Atomic bool stopping;
    struct ear *ears;
    size_t n, cap;
};

/* ---- who asks ---- */

static bool has_address(const struct port_spec *p, const char *address)
{
    VEC_FOREACH(ip, &p->fixed_ips)
        if (str_eq(ip->ip_address, address))
            return true;
    return false;
}

static bool behind_router(const struct desired *d, const char *router_id, const char *network_id)
{
    VEC_FOREACH(r, &d->net.routers) {
        if (!str_eq(r->id, router_id))
            continue;
        VEC_FOREACH(leg, &r->interfaces)
            if (str_eq(leg->network_id, network_id))
                return true;
    }
    return false;
}

/* The link-local address that a guest has made of its MAC (RFC 4291, appendix A). */
static bool is_link_local_of(const char *address, const char *mac)
{
    unsigned m[6];
    unsigned char want[16] = { 0xfe, 0x80 }, have[16];
    if (sscanf(mac, "%2x:%2x:%2x:%2x:%2x:%2x", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5]) != 6 ||
        inet_pton(AF_INET6, address, have) != 1)
        return false;
    want[8] = (unsigned char)(m[0] ^ 2);
    want[9] = (unsigned char)m[1];
    want[10] = (unsigned char)m[2];
    want[11] = 0xff;
    want[12] = 0xfe;
    want[13] = (unsigned char)m[3];
    want[14] = (unsigned char)m[4];
    want[15] = (unsigned char)m[5];
    return memcmp(want, have, sizeof(want)) == 0;
}

/* peer: "n/<network>/<address>" or "r/<router>/<address>". */
static const struct server_spec *who(const struct desired *d, const char *peer)
{
    char space = 0, id[64] = "", address[64] = "";
    if (!d || sscanf(peer, "%c/%63[^/]/%63s", &space, id, address) != 3)
        return NULL;
    VEC_FOREACH(p, &d->net.ports) {
        bool here = space == 'n' ? str_eq(p->network_id, id) : behind_router(d, id, p->network_id);
        if (here && (has_address(p, address) || is_link_local_of(address, str_or(p->mac_address, ""))))
            return desired_server(d, p->device_id);
    }
    return NULL;
}

/* ---- answers ---- */

static int on_begin(struct http_request *rq, void *app)
{
    (void)app;
    rq->mode = HTTP_INLINE;
    rq->body_limit = 65536;
    return 0;
}

static void on_handle(struct http_request *rq, void *app)
{
    struct metadata_part *p = app;
    _cleanup_(desired_unrefp) struct desired *d = agent_desired(p->agent);
    const struct server_spec *s = who(d, rq->peer);
    _cleanup_(buf_done) struct buf b = BUF_MAX((size_t)1 << 20);
    const char *type = "text/plain";
    if (!STREQ(rq->method, "GET") && !STREQ(rq->method, "HEAD")) {
        http_answer(rq, 405, NULL, NULL, 0);
        return;
    }
    if (!s || s->deleted || !metadata_get(s, rq->path, &b, &type) || buf_error(&b)) {
        http_answer(rq, 404, "text/plain", "404 Not Found", 13);
        return;
    }
    http_answer_buf(rq, 200, type, &b);
}

/* ---- sockets ---- */

static struct ear *ear_of(struct metadata_part *p, enum net_space space, const char *id, bool v6)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->ears[i].space == space && p->ears[i].v6 == v6 && STREQ(p->ears[i].id, id))
            return &p->ears[i];
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 16;
        struct ear *grown = cap > SOCKETS_MAX ? NULL : realloc(p->ears, cap * sizeof(*grown));
        if (!grown)
            return NULL;
        p->ears = grown;
        p->cap = cap;
    }
    struct ear *e = &p->ears[p->n++];
    *e = (struct ear){ .space = space, .v6 = v6, .fd = -1 };
    (void)snprintf(e->id, sizeof(e->id), "%s", id);
    return e;
}

static void want(struct metadata_part *p, enum net_space space, const char *id, bool v6)
{
    struct ear *e = ear_of(p, space, id, v6);
    if (!e)
        return;
    e->wanted = true;
    if (e->fd >= 0 && net_metadata_socket_current(agent_net(p->agent), space, id, e->fd))
        return;
    closep(&e->fd);
    e->fd = -1;
    /* not there yet is normal: the network part makes the namespace in its own time */
    int fd = net_open_metadata_socket(agent_net(p->agent), space, id, v6 ? ADDRESS_6 : ADDRESS_4, PORT);
    if (fd >= 0)
        e->fd = fd;
}

static void follow_networks(struct metadata_part *p)
{
    _cleanup_(desired_unrefp) struct desired *d = agent_desired(p->agent);
    if (!d)
        return;
    for (size_t i = 0; i < p->n; i++)
        p->ears[i].wanted = false;
    VEC_FOREACH(n, &d->net.networks) {
        if (!n->dhcp_mac)
            continue;
        want(p, NET_SPACE_NETWORK, n->id, false);
        want(p, NET_SPACE_NETWORK, n->id, true);
    }
    VEC_FOREACH(r, &d->net.routers)
        want(p, NET_SPACE_ROUTER, r->id, false);
    for (size_t i = p->n; i-- > 0; ) {
        if (p->ears[i].wanted)
            continue;
        closep(&p->ears[i].fd);
        p->ears[i] = p->ears[--p->n];
    }
}

static void take_connection(struct metadata_part *p, const struct ear *e)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } from = { 0 };
    socklen_t size = sizeof(from);
    int fd = accept4(e->fd, &from.any, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    char address[INET6_ADDRSTRLEN] = "", peer[112];
    if (from.any.sa_family == AF_INET)
        (void)inet_ntop(AF_INET, &from.v4.sin_addr, address, sizeof(address));
    else
        (void)inet_ntop(AF_INET6, &from.v6.sin6_addr, address, sizeof(address));
    (void)snprintf(peer, sizeof(peer), "%c/%s/%s", e->space == NET_SPACE_NETWORK ? 'n' : 'r', e->id, address);
    if (http_server_adopt(p->server, fd, peer) < 0)
        log_debug("a guest's connection was not taken", KV("peer", peer));
}

static void *metadata_main(void *arg)
{
    struct metadata_part *p = arg;
    usec_t next = 0;
    while (!p->stopping) {
        if (clock_mono() >= next) {
            follow_networks(p);
            next = clock_mono() + LOOK_EVERY_MS * USEC_PER_MSEC;
        }
        struct pollfd *polls = calloc(p->n + 1, sizeof(*polls));
        if (!polls)
            break;
        for (size_t i = 0; i < p->n; i++)
            polls[i] = (struct pollfd){ p->ears[i].fd, POLLIN, 0 };
        int ready = poll(polls, p->n, LOOK_EVERY_MS / 4);
        for (size_t i = 0; ready > 0 && i < p->n; i++)
            if (polls[i].revents & POLLIN)
                take_connection(p, &p->ears[i]);
        free(polls);
    }
    return NULL;
}

/* ---- life ---- */

static int metadata_start(struct agent *a, void **ret)
{
    struct metadata_part *p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->agent = a;
    struct http_options o = { .adopt = true, .threads = 1, .workers = 1, .app = { on_begin, on_handle, NULL, p } };
    struct fault fault = { 0 };
    int r = http_server_start(&o, &p->server, &fault);
    if (r == FAULT) {
        log_error("the metadata server did not start", KV("reason", fault.message));
        r = -EIO;
    }
    if (r == 0)
        r = -pthread_create(&p->thread, NULL, metadata_main, p);
    if (r < 0) {
        http_server_stop(p->server, 0);
        free(p);
        return r;
    }
    (void)pthread_setname_np(p->thread, "metadata");
    *ret = p;
    return 0;
}

static void metadata_stop(void *state)
{
    struct metadata_part *p = state;
    p->stopping = true;
    (void)pthread_join(p->thread, NULL);
    http_server_stop(p->server, 0);
    for (size_t i = 0; i < p->n; i++)
        closep(&p->ears[i].fd);
    free(p->ears);
    free(p);
}

const struct agent_part PART_METADATA = { "metadata", metadata_start, NULL, metadata_stop };
