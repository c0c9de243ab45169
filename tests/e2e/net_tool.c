/*
 * A network driver at the end of a pipe, for tests and benches: one JSON command a line in,
 * one JSON answer a line out.
 *
 *     {"do": "converge", "spec": {...}}     {"seconds": 0.01, "observed": {...}} or {"error": N}
 *     {"do": "probe"}                       {"missing": ["..."]}
 *     {"do": "listen", "space": "network", "id": "...", "address": "...", "port": 80}
 *                                           {"fd": N} or {"error": N}; from then on every
 *                                           connection is told "ID ADDRESS-OF-THE-CALLER"
 *
 *     {"do": "current", "space": "network", "id": "...", "fd": N}       {"current": true}
 *
 * Options are members of net_config: run_dir, netns_dir, tunnel_address, interface NAME=DEVICE,
 * address NAME=CIDR.
 */
#include "host/net/net_driver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>

struct served {
    int fd;
    char id[80];
};

static void *serve(void *arg)
{
    struct served *s = arg;
    for (;;) {
        struct pollfd p = { s->fd, POLLIN, 0 };
        struct sockaddr_storage from;
        socklen_t n = sizeof(from);
        char address[INET6_ADDRSTRLEN] = "?", line[160];
        if (poll(&p, 1, -1) < 0)
            continue;
        _cleanup_(closep) int c = accept4(s->fd, (struct sockaddr *)&from, &n, SOCK_CLOEXEC);
        if (c < 0)
            continue;
        if (from.ss_family == AF_INET)
            inet_ntop(AF_INET, &((struct sockaddr_in *)&from)->sin_addr, address, sizeof(address));
        else
            inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&from)->sin6_addr, address, sizeof(address));
        int len = snprintf(line, sizeof(line), "%s %s\n", s->id, address);
        (void)send(c, line, (size_t)len, MSG_NOSIGNAL);
    }
    return NULL;
}

static void answer_error(int r)
{
    printf("{\"error\": %d}\n", r);
}

static void converge(struct net_driver *d, const json_t *command)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 30);
    struct net_spec spec = { 0 };
    struct net_observed seen = { 0 };
    struct decode_error problem;
    int r = schema_decode(&NET_SPEC_SCHEMA, json_object_get(command, "spec"), DECODE_STORED, 0, a, &spec,
                          NULL, &problem);
    if (r != 0) {
        answer_error(-EINVAL);
        return;
    }
    usec_t start = clock_mono();
    r = net_converge(d, &spec, a, &seen);
    double seconds = (double)(clock_mono() - start) / 1e6;
    if (r < 0) {
        answer_error(r);
        return;
    }
    _cleanup_(buf_done) struct buf text = BUF_MAX(64u << 20);
    struct json_out out = JSON_OUT(&text);
    json_open_object(&out);
    json_key(&out, "seconds");
    json_double_out(&out, seconds);
    json_key(&out, "observed");
    schema_encode(&NET_OBSERVED_SCHEMA, &seen, &(struct encode_options){ .stored = true }, &out);
    json_close_object(&out);
    printf("%s\n", buf_text(&text));
}

static void do_listen(struct net_driver *d, const json_t *command)
{
    const char *id = json_get_string(command, "id");
    enum net_space space =
        str_eq(json_get_string(command, "space"), "router") ? NET_SPACE_ROUTER : NET_SPACE_NETWORK;
    int fd = net_open_metadata_socket(d, space, id, json_get_string(command, "address"),
                                      (int)json_get_int(command, "port", 80));
    pthread_t thread;
    if (fd < 0) {
        answer_error(fd);
        return;
    }
    struct served *s = calloc(1, sizeof(*s));
    if (!s || pthread_create(&thread, NULL, serve, s) != 0)
        exit(1);
    s->fd = fd;
    snprintf(s->id, sizeof(s->id), "%s", id);
    pthread_detach(thread);
    printf("{\"fd\": %d}\n", fd);
}

static void current(struct net_driver *d, const json_t *command)
{
    enum net_space space =
        str_eq(json_get_string(command, "space"), "router") ? NET_SPACE_ROUTER : NET_SPACE_NETWORK;
    bool is = net_metadata_socket_current(d, space, json_get_string(command, "id"),
                                          (int)json_get_int(command, "fd", -1));
    printf("{\"current\": %s}\n", is ? "true" : "false");
}

static void probe(struct net_driver *d)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    _cleanup_(buf_done) struct buf text = BUF_MAX(1 << 20);
    struct json_out out = JSON_OUT(&text);
    struct strv missing;
    int r = net_probe(d, a, &missing);
    if (r < 0) {
        answer_error(r);
        return;
    }
    json_open_object(&out);
    json_put_strings(&out, "missing", &missing);
    json_close_object(&out);
    printf("%s\n", buf_text(&text));
}

static int option(struct arena *a, struct net_config *c, const char *key, const char *value)
{
    char name[128];
    const char *eq = strchr(value, '=');
    if (STREQ(key, "run_dir"))
        c->run_dir = value;
    else if (STREQ(key, "netns_dir"))
        c->netns_dir = value;
    else if (STREQ(key, "tunnel_address"))
        c->tunnel_address = value;
    else if (eq && (STREQ(key, "interface") || STREQ(key, "address"))) {
        snprintf(name, sizeof(name), "%.*s", (int)(eq - value), value);
        strmap_set(a, STREQ(key, "interface") ? &c->interfaces : &c->addresses, name, eq + 1);
    } else
        return -EINVAL;
    return 0;
}

int main(int argc, char **argv)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    _cleanup_(net_driver_closep) struct net_driver *d = NULL;
    _cleanup_(freep) char *line = NULL;
    struct net_config config = { 0 };
    size_t size = 0;
    for (int i = 1; i + 1 < argc; i += 2)
        if (option(a, &config, argv[i], argv[i + 1]) < 0)
            return 2;
    int r = net_driver_class_find("linux")->open(&config, &d);
    if (r < 0) {
        fprintf(stderr, "net-tool: %s\n", strerrordesc_np(-r));
        return 1;
    }
    for (ssize_t n; (n = getline(&line, &size, stdin)) > 0; fflush(stdout)) {
        char error[200];
        _cleanup_(json_decrefp) json_t *command = json_parse(line, (size_t)n, error, sizeof(error));
        const char *what = command ? json_get_string(command, "do") : NULL;
        if (str_eq(what, "converge"))
            converge(d, command);
        else if (str_eq(what, "listen"))
            do_listen(d, command);
        else if (str_eq(what, "current"))
            current(d, command);
        else if (str_eq(what, "probe"))
            probe(d);
        else
            answer_error(-EINVAL);
    }
    return 0;
}
