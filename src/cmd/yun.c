/*
 * yun: the operator's tool. It makes a cloud, looks at it, copies it.
 *
 *     yun init --data DIR [--password PW] [--listen ADDR:PORT] [--public-url URL] [--region NAME]
 *     yun status --data DIR
 *     yun backup --data DIR FILE
 *     yun restore --data DIR FILE
 *     yun check --data DIR
 *
 * What a tenant does goes through the `openstack` client.
 */
#include "base/log.h"
#include "cmd/cloud.h"
#include "cmd/services.h"
#include "http/client.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/stat.h>

struct arguments {
    const char *data, *password, *listen, *public_url, *region, *file;
};

static void usage(FILE *out)
{
    (void)fputs(
        "usage: yun init --data DIR [--password PW] [--listen ADDR:PORT] [--public-url URL] [--region NAME]\n"
        "       yun status --data DIR          is it running, what does it hold\n"
        "       yun check --data DIR           let the store check itself\n"
        "       yun backup --data DIR FILE     copy the store, also while in use\n"
        "       yun restore --data DIR FILE    put a copy in place; yund must be stopped\n",
        out);
}

static int write_file(const char *path, mode_t mode, const char *text)
{
    _cleanup_(closep) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return -errno;
    size_t n = strlen(text);
    return write(fd, text, n) == (ssize_t)n && fsync(fd) == 0 ? 0 : -EIO;
}

/* ---- init ---- */

static const char *new_password(struct arena *a)
{
    static const char LETTERS[] = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    unsigned char raw[20];
    random_bytes(raw, sizeof(raw));
    char text[21] = "";
    for (size_t i = 0; i < sizeof(raw); i++)
        text[i] = LETTERS[raw[i] % (sizeof(LETTERS) - 1)];
    return arena_strdup(a, text);
}

struct seed_job {
    struct api *api;
    const struct seed_options *options;
};

static int seed_all(struct txn *t, void *arg)
{
    struct seed_job *job = arg;
    for (size_t i = 0; api_services(job->api)[i]; i++) {
        const struct service *s = api_services(job->api)[i];
        int r = s->seed ? s->seed(job->api, t, job->options) : 0;
        if (r)
            return r;
    }
    return 0;
}

static int write_configuration(const struct arguments *arg, struct arena *a)
{
    const char *conf = arena_printf(a,
                                    "# Written by yun init; `yund --describe` lists every knob.\n"
                                    "data_dir = %s\nlisten = %s\nregion = %s\n%s%s%s",
                                    arg->data, arg->listen, arg->region, arg->public_url ? "public_url = " : "",
                                    str_or(arg->public_url, ""), arg->public_url ? "\n" : "");
    const char *agent = arena_printf(a,
                                     "# Settings of the host agent; `yun-agent --describe` lists every knob.\n"
                                     "server_socket = %s/agent.sock\nstate_dir = %s/agent\n"
                                     "physical_interfaces = {\"public\": \"\"}\n"
                                     "physical_addresses = {\"public\": \"172.24.4.1/24\"}\n",
                                     arg->data, arg->data);
    const char *conf_path = arena_printf(a, "%s/yunduo.conf", arg->data);
    const char *agent_path = arena_printf(a, "%s/agent.conf", arg->data);
    if (arena_failed(a))
        return -ENOMEM;
    int r = write_file(conf_path, 0640, conf);
    return r < 0 ? r : write_file(agent_path, 0640, agent);
}

static int init(struct arguments *arg, struct fault *fault)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    if (!a)
        return -ENOMEM;
    bool made_up = !arg->password;
    arg->password = made_up ? new_password(a) : arg->password;
    arg->listen = str_or(arg->listen, "127.0.0.1:8700");
    arg->region = str_or(arg->region, "RegionOne");
    if (mkdir(arg->data, 0750) < 0 && errno != EEXIST)
        return fault_set(fault, 0, "init", "%s: %s", arg->data, strerror(errno));
    char *full = realpath(arg->data, NULL);
    if (!full)
        return -errno;
    arg->data = arena_strdup(a, full);
    free(full);
    int r = write_configuration(arg, a);
    if (r == -EEXIST)
        return fault_set(fault, 0, "init", "%s holds a cloud already", arg->data);
    if (r < 0)
        return r;
    struct cloud c = { 0 };
    const char *conf = arena_printf(a, "%s/yunduo.conf", arg->data);
    r = cloud_load(&c, conf, fault);
    if (r == 0)
        r = cloud_open(&c, fault);
    const char *url = arg->public_url ? arg->public_url : arena_printf(a, "http://%s", arg->listen);
    struct seed_options options = { arg->password, arg->region, url };
    struct seed_job job = { c.api, &options };
    if (r == 0)
        r = store_write(c.store, a, seed_all, &job);
    cloud_done(&c);
    if (r == FAULT && !fault->message[0])
        return fault_set(fault, 0, "init", "a service refused to be set up");
    if (r)
        return r;
    (void)printf("cloud made in %s\nidentity at %s/identity/v3, user admin, project admin\n", arg->data, url);
    if (made_up)
        (void)printf("password: %s\n", arg->password);
    return 0;
}

/* ---- the others ---- */

static int load(const struct arguments *arg, struct cloud *c, struct fault *fault)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/yunduo.conf", arg->data);
    return cloud_load(c, path, fault);
}

static void print_counts(struct cloud *c)
{
    struct txn *t = NULL;
    if (store_read(c->store, c->arena, &t) < 0)
        return;
    for (size_t i = 0; c->kinds[i]; i++) {
        struct query q = { .kind = c->kinds[i] };
        uint64_t n = 0;
        if (txn_count(t, &q, &n) == 0 && n)
            (void)printf("%-28s %llu\n", c->kinds[i]->name, (unsigned long long)n);
    }
    txn_done(t);
}

static bool answers(const struct cloud *c)
{
    struct http_client_options o = { .unix_path = c->config.unix_socket, .timeout = SECONDS(5) };
    _cleanup_(http_client_freep) struct http_client *client = NULL;
    if (http_client_new(&o, &client) < 0)
        return false;
    _cleanup_(buf_done) struct buf body = BUF_MAX(4096);
    struct http_call call = { .url = "http://localhost/healthcheck", .into = &body };
    struct http_reply reply = { 0 };
    return http_client_call(client, &call, c->arena, &reply) == 0 && reply.status == 200;
}

static int status(struct arguments *arg, struct fault *fault)
{
    struct cloud c = { 0 };
    int r = load(arg, &c, fault);
    if (r == 0) {
        (void)printf("%-28s %s\n", "yund", answers(&c) ? "running" : "not running");
        (void)printf("%-28s %s\n", "listen", c.config.listen);
        r = cloud_open(&c, fault);
    }
    if (r == 0)
        print_counts(&c);
    cloud_done(&c);
    return r;
}

static int check(struct arguments *arg, struct fault *fault)
{
    struct cloud c = { 0 };
    int r = load(arg, &c, fault);
    if (r == 0)
        r = cloud_open(&c, fault);
    if (r == 0)
        r = store_check(c.store, fault);
    if (r == 0)
        (void)puts("the store is whole");
    cloud_done(&c);
    return r;
}

static int backup(struct arguments *arg, struct fault *fault)
{
    struct cloud c = { 0 };
    int r = load(arg, &c, fault);
    if (r == 0)
        r = cloud_open(&c, fault);
    if (r == 0)
        r = store_backup(c.store, arg->file);
    cloud_done(&c);
    return r;
}

/* The copy is opened and checked under another name first, then takes the place of the store. */
static int restore(struct arguments *arg, struct fault *fault)
{
    struct cloud c = { 0 };
    int r = load(arg, &c, fault);
    if (r == 0 && answers(&c))
        r = fault_set(fault, 0, "restore", "yund is running: stop it first");
    const char *db = r ? NULL : arena_printf(c.arena, "%s/yunduo.db", c.config.data_dir);
    const char *fresh = r ? NULL : arena_printf(c.arena, "%s.restored", db);
    struct store *s = NULL;
    if (r == 0) {
        c.kinds = all_kinds();
        struct store_options from = { .path = arg->file, .kinds = c.kinds };
        r = c.kinds ? store_open(&from, &s, fault) : -ENOMEM;
    }
    if (r == 0)
        r = store_check(s, fault);
    if (r == 0) {
        (void)unlink(fresh);
        r = store_backup(s, fresh);
    }
    store_close(s);
    if (r == 0) {
        static const char *const SIDES[] = { "-wal", "-shm" };
        for (size_t i = 0; i < ARRAY_SIZE(SIDES); i++)
            (void)unlink(arena_printf(c.arena, "%s%s", db, SIDES[i]));
        r = rename(fresh, db) < 0 ? -errno : 0;
    }
    cloud_done(&c);
    return r;
}

static const struct {
    const char *name;
    int (*run)(struct arguments *arg, struct fault *fault);
    bool file;
} COMMANDS[] = {
    { "init", init, false },     { "status", status, false },  { "check", check, false },
    { "backup", backup, true },  { "restore", restore, true },
};

int main(int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        { "data", required_argument, NULL, 'd' },   { "password", required_argument, NULL, 'p' },
        { "listen", required_argument, NULL, 'l' }, { "public-url", required_argument, NULL, 'u' },
        { "region", required_argument, NULL, 'r' }, { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'v' },      { 0 },
    };
    struct arguments arg = { 0 };
    int o;
    while ((o = getopt_long(argc, argv, "h", OPTIONS, NULL)) != -1) {
        switch (o) {
        case 'd': arg.data = optarg; break;
        case 'p': arg.password = optarg; break;
        case 'l': arg.listen = optarg; break;
        case 'u': arg.public_url = optarg; break;
        case 'r': arg.region = optarg; break;
        case 'h': usage(stdout); return 0;
        case 'v': (void)puts("yun " YUNDUO_VERSION); return 0;
        default: usage(stderr); return 2;
        }
    }
    const char *command = optind < argc ? argv[optind] : "";
    for (size_t i = 0; i < ARRAY_SIZE(COMMANDS); i++) {
        if (!STREQ(COMMANDS[i].name, command))
            continue;
        if (!arg.data || argc - optind != (COMMANDS[i].file ? 2 : 1))
            break;
        arg.file = COMMANDS[i].file ? argv[optind + 1] : NULL;
        log_setup(LOG_LEVEL_WARNING, LOG_FORMAT_TEXT);
        struct fault fault = { 0 };
        int r = COMMANDS[i].run(&arg, &fault);
        return r ? cloud_complain("yun", r, &fault) : 0;
    }
    usage(stderr);
    return 2;
}
