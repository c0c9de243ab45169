/*
 * The simulated driver: a host's networks as one document in memory.
 *
 * A pass replaces the document by what is wanted, less the objects that a test has told to
 * fail. It counts differences between the old and the new document as changes, so a test
 * can require that a second pass does nothing, just as with a real host.
 */
#include "host/net/net_driver.h"

#include <errno.h>
#include <sys/socket.h>
#include <netinet/in.h>

enum { SIMULATED_MAGIC = 0x5e7d0001 };

struct simulated {
    struct net_driver driver;
    uint32_t magic;
    struct buf state;
    size_t ports;
    struct arena *arena; /* failures */
    struct strmap failures;
    unsigned fail_pass;
    int fail_error;
};

static struct simulated *simulated(struct net_driver *d)
{
    struct simulated *s = CONTAINER_OF(d, struct simulated, driver);
    assert(s->magic == SIMULATED_MAGIC);
    return s;
}

static int simulated_open(const struct net_config *config, struct net_driver **ret)
{
    (void)config;
    struct simulated *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->driver.class = &NET_SIMULATED;
    s->magic = SIMULATED_MAGIC;
    s->state = BUF_MAX(256u << 20);
    s->arena = arena_new(0);
    if (!s->arena) {
        free(s);
        return -ENOMEM;
    }
    *ret = &s->driver;
    return 0;
}

static void simulated_close(struct net_driver *d)
{
    struct simulated *s = simulated(d);
    buf_done(&s->state);
    arena_free(s->arena);
    free(s);
}

static int simulated_probe(struct net_driver *d, struct arena *a, struct strv *ret_missing)
{
    (void)d;
    (void)a;
    *ret_missing = (struct strv){ 0 };
    return 0;
}

static const char *reason(struct simulated *s, struct arena *a, const char *id)
{
    return arena_strdup(a, strmap_get(&s->failures, id));
}

static bool network_known(const struct net_spec *spec, const char *id)
{
    VEC_FOREACH(n, &spec->networks)
        if (str_eq(n->id, id))
            return true;
    return false;
}

static int simulated_converge(struct net_driver *d, const struct net_spec *wanted, struct arena *a,
                              struct net_observed *ret)
{
    struct simulated *s = simulated(d);
    if (s->fail_pass && --s->fail_pass == 0)
        return s->fail_error;

    struct net_observed seen = { 0 };
    VEC_FOREACH(n, &wanted->networks) {
        const char *why = reason(s, a, n->id);
        struct network_observed o = {
            .id = arena_strdup(a, n->id),
            .up = !why,
            .dhcp_up = !why && n->dhcp_mac,
            .reason = why,
        };
        vec_push(a, &seen.networks, o);
    }
    VEC_FOREACH(p, &wanted->ports) {
        char name[NET_NAME_SIZE];
        const char *why = reason(s, a, p->id);
        if (!why)
            why = reason(s, a, p->network_id);
        if (!why && !network_known(wanted, p->network_id))
            why = arena_strdup(a, "The port's network is not part of what was asked for.");
        struct port_observed o = {
            .id = arena_strdup(a, p->id),
            .wired = !why,
            .device = arena_strdup(a, port_device(p, name)),
            .reason = why,
        };
        vec_push(a, &seen.ports, o);
    }
    VEC_FOREACH(r, &wanted->routers) {
        const char *why = reason(s, a, r->id);
        struct router_observed o = { .id = arena_strdup(a, r->id), .up = !why, .reason = why };
        vec_push(a, &seen.routers, o);
    }

    struct buf text = BUF_MAX(256u << 20);
    struct json_out out = JSON_OUT(&text);
    schema_encode(&NET_SPEC_SCHEMA, wanted, &(struct encode_options){ .stored = true }, &out);
    if (buf_error(&text) || arena_failed(a)) {
        buf_done(&text);
        return -ENOMEM;
    }
    seen.changes = !STREQ(buf_text(&s->state), buf_text(&text));
    buf_done(&s->state);
    s->state = text;
    s->ports = wanted->ports.n;
    *ret = seen;
    return 0;
}

/* A socket on the loopback address, whatever was asked for: a simulated host has no
 * namespaces, and a test can still talk to the service. */
static int simulated_socket(struct net_driver *d, enum net_space space, const char *id, const char *address,
                            int port)
{
    (void)d;
    (void)space;
    (void)id;
    (void)address;
    (void)port;
    _cleanup_(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 || listen(fd, 64) < 0)
        return -errno;
    return TAKE_FD(fd);
}

static bool simulated_current(struct net_driver *d, enum net_space space, const char *id, int fd)
{
    (void)d;
    (void)space;
    (void)id;
    return fd >= 0;
}

const struct net_driver_class NET_SIMULATED = {
    .name = "simulated",
    .open = simulated_open,
    .close = simulated_close,
    .probe = simulated_probe,
    .converge = simulated_converge,
    .open_metadata_socket = simulated_socket,
    .metadata_socket_current = simulated_current,
};

int net_simulated_fail(struct net_driver *d, const char *id, const char *why)
{
    struct simulated *s = simulated(d);
    if (!why)
        strmap_drop(&s->failures, id);
    else if (!strmap_set(s->arena, &s->failures, id, why))
        return -ENOMEM;
    return 0;
}

void net_simulated_fail_pass(struct net_driver *d, unsigned n, int error)
{
    struct simulated *s = simulated(d);
    s->fail_pass = n;
    s->fail_error = error;
}

const char *net_simulated_state(struct net_driver *d)
{
    return buf_text(&simulated(d)->state);
}

size_t net_simulated_ports(struct net_driver *d)
{
    return simulated(d)->ports;
}
