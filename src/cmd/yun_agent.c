/*
 * yun-agent: the host agent. Nothing but wiring: see host/agent/agent.h.
 *
 * It stays in the foreground; SIGTERM and SIGINT end it, the guests run on.
 */
#include "base/config.h"
#include "base/log.h"
#include "host/agent/agent.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

LOG_MODULE("yun-agent");

static void usage(FILE *out)
{
    (void)fputs("usage: yun-agent --config FILE\n"
                "       yun-agent --describe | --version\n", out);
}

static int set_log(const struct agent_config *c)
{
    log_setup(LOG_LEVEL_INFO, STREQ(c->log_format, "json")   ? LOG_FORMAT_JSON
                              : STREQ(c->log_format, "text") ? LOG_FORMAT_TEXT
                                                             : LOG_FORMAT_AUTO);
    return log_set_levels(c->log_level);
}

static int serve(const struct agent_config *c, const sigset_t *signals, struct fault *fault)
{
    struct agent *a = NULL;
    int r = agent_new(c, &a, fault);
    if (r == 0)
        r = agent_start(a);
    if (r == 0) {
        int got = 0;
        log_info("working", KV("host", agent_host(a)), KV("hypervisor", c->hypervisor), KV("network", c->network));
        while (sigwait(signals, &got) != 0)
            ;
        log_info("stopping", KV("signal", got));
        agent_stop(a);
    }
    agent_free(a);
    return r;
}

int main(int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        { "config", required_argument, NULL, 'c' }, { "describe", no_argument, NULL, 'd' },
        { "version", no_argument, NULL, 'v' },      { "help", no_argument, NULL, 'h' }, { 0 },
    };
    const char *config_path = NULL;
    _cleanup_(buf_done) struct buf text = BUF_MAX((size_t)1 << 20);
    int o;
    while ((o = getopt_long(argc, argv, "c:h", OPTIONS, NULL)) != -1) {
        switch (o) {
        case 'c': config_path = optarg; break;
        case 'd':
            config_describe(&AGENT_CONFIG_SCHEMA, &text);
            (void)fputs(buf_text(&text), stdout);
            return 0;
        case 'v': (void)puts("yun-agent " YUNDUO_VERSION); return 0;
        case 'h': usage(stdout); return 0;
        default: usage(stderr); return 2;
        }
    }
    if (!config_path || optind != argc) {
        usage(stderr);
        return 2;
    }
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);

    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    struct agent_config config = { 0 };
    struct fault fault = { 0 };
    int r = arena ? config_load(&AGENT_CONFIG_SCHEMA, config_path, false, arena, &config, &fault) : -ENOMEM;
    if (r == 0 && set_log(&config) < 0)
        r = fault_set(&fault, 0, "config", "log_level: '%s' is not understood", config.log_level);
    if (r == 0)
        r = serve(&config, &signals, &fault);
    if (r)
        (void)fprintf(stderr, "yun-agent: %s\n", r < 0 ? strerror(-r) : fault.message);
    return r ? 1 : 0;
}
