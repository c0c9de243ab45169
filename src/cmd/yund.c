/*
 * yund: the control process. All APIs on one port, the controllers, the store.
 *
 * Nothing but wiring: what it serves is in services.c. It stays in the foreground; SIGTERM and
 * SIGINT finish what is under way and end it, SIGHUP reads the log levels again.
 */
#include "base/buf.h"
#include "base/config.h"
#include "base/log.h"
#include "cmd/cloud.h"
#include "cmd/services.h"

#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

LOG_MODULE("yund");

static void usage(FILE *out)
{
    (void)fputs("usage: yund --config FILE\n"
                "       yund --routes | --rules | --describe | --version\n\n"
                "  --config FILE   serve the cloud of this configuration\n"
                "  --routes        print every route: method, path, policy rule\n"
                "  --rules         print every policy rule with its default\n"
                "  --describe      print every configuration knob with its default\n", out);
}

static void print(void (*describe)(struct buf *out))
{
    _cleanup_(buf_done) struct buf b = BUF_MAX((size_t)16 << 20);
    describe(&b);
    (void)fputs(buf_text(&b), stdout);
}

static void routes(struct buf *out)
{
    api_describe_routes(SERVICES, out);
}

static void rules(struct buf *out)
{
    api_describe_rules(SERVICES, out);
}

static void knobs(struct buf *out)
{
    config_describe(&CLOUD_CONFIG_SCHEMA, out);
}

static int set_log(const struct cloud_config *o)
{
    enum log_format f = STREQ(o->log_format, "json")   ? LOG_FORMAT_JSON
                        : STREQ(o->log_format, "text") ? LOG_FORMAT_TEXT
                                                       : LOG_FORMAT_AUTO;
    log_setup(LOG_LEVEL_INFO, f);
    return log_set_levels(o->log_level);
}

static void reload(const char *path)
{
    struct cloud fresh = { 0 };
    struct fault fault = { 0 };
    if (cloud_load(&fresh, path, &fault) == 0 && set_log(&fresh.config) == 0)
        log_info("log levels read again", KV("levels", fresh.config.log_level));
    else
        log_error("configuration not read again", KV("reason", fault.message));
    cloud_done(&fresh);
}

static void wait_for_stop(const sigset_t *signals, const char *config_path)
{
    for (;;) {
        int got = 0;
        if (sigwait(signals, &got) != 0)
            continue;
        if (got == SIGHUP) {
            reload(config_path);
            continue;
        }
        log_info("stopping", KV("signal", got));
        return;
    }
}

static int serve(struct cloud *c, const char *config_path, const sigset_t *signals, struct fault *fault)
{
    usec_t begun = clock_mono();
    int r = cloud_open(c, fault);
    if (r)
        return r;
    const struct cloud_config *o = &c->config;
    r = api_start(c->api);
    struct http_server *server = NULL;
    if (r == 0) {
        struct http_options http = {
            .listen = o->listen, .unix_path = o->unix_socket, .tls_cert = o->tls_cert, .tls_key = o->tls_key,
            .tls_client_ca = o->agent_ca, .workers = (unsigned)o->workers, .app = api_http_app(c->api),
        };
        r = http_server_start(&http, &server, fault);
    }
    if (r == 0) {
        log_info("serving", KV("listen", o->listen), KV("version", YUNDUO_VERSION),
                 KV("start_us", clock_mono() - begun));
        wait_for_stop(signals, config_path);
        http_server_stop(server, SECONDS(o->stop_seconds));
    }
    api_stop(c->api);
    return r;
}

int main(int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        { "config", required_argument, NULL, 'c' }, { "routes", no_argument, NULL, 'r' },
        { "rules", no_argument, NULL, 'p' },        { "describe", no_argument, NULL, 'd' },
        { "version", no_argument, NULL, 'v' },      { "help", no_argument, NULL, 'h' }, { 0 },
    };
    const char *config_path = NULL;
    int o;
    while ((o = getopt_long(argc, argv, "c:h", OPTIONS, NULL)) != -1) {
        switch (o) {
        case 'c': config_path = optarg; break;
        case 'r': print(routes); return 0;
        case 'p': print(rules); return 0;
        case 'd': print(knobs); return 0;
        case 'v': (void)puts("yund " YUNDUO_VERSION); return 0;
        case 'h': usage(stdout); return 0;
        default: usage(stderr); return 2;
        }
    }
    if (!config_path || optind != argc) {
        usage(stderr);
        return 2;
    }
    /* Before any thread: all inherit the mask, and the signals come to sigwait() alone. */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);

    struct cloud c = { 0 };
    struct fault fault = { 0 };
    int r = cloud_load(&c, config_path, &fault);
    if (r == 0 && set_log(&c.config) < 0)
        r = fault_set(&fault, 0, "config", "log_level: '%s' is not understood", c.config.log_level);
    if (r == 0)
        r = serve(&c, config_path, &signals, &fault);
    int status = r ? cloud_complain("yund", r, &fault) : 0;
    cloud_done(&c);
    return status;
}
