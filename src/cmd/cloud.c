/* A cloud's configuration and store, as yund and yun open them. */
#include "cmd/cloud.h"
#include "base/config.h"
#include "cmd/services.h"

#include <errno.h>
#include <stdio.h>

int cloud_load(struct cloud *c, const char *config_path, struct fault *fault)
{
    c->arena = arena_new(0);
    if (!c->arena)
        return -ENOMEM;
    int r = config_load(&CLOUD_CONFIG_SCHEMA, config_path, false, c->arena, &c->config, fault);
    if (r)
        return r;
    struct cloud_config *o = &c->config;
    if (!o->unix_socket)
        o->unix_socket = arena_printf(c->arena, "%s/agent.sock", o->data_dir);
    if (!o->backup_dir)
        o->backup_dir = arena_printf(c->arena, "%s/backups", o->data_dir);
    return arena_failed(c->arena) ? -ENOMEM : 0;
}

int cloud_open(struct cloud *c, struct fault *fault)
{
    const char *path = arena_printf(c->arena, "%s/yunduo.db", c->config.data_dir);
    c->kinds = all_kinds();
    if (!path || !c->kinds)
        return -ENOMEM;
    struct store_options options = { .path = path, .kinds = c->kinds };
    int r = store_open(&options, &c->store, fault);
    if (r)
        return r;
    struct api_options api = {
        .store = c->store, .services = SERVICES, .policy_file = c->config.policy_file,
        .public_url = c->config.public_url, .cors_origins = c->config.cors_origins,
        .data_dir = c->config.data_dir, .config = &c->config, .agents_by_local_socket = true,
    };
    return api_new(&api, &c->api, fault);
}

void cloud_done(struct cloud *c)
{
    api_free(c->api);
    store_close(c->store);
    free(c->kinds);
    arena_free(c->arena);
    *c = (struct cloud){ 0 };
}

int cloud_complain(const char *program, int r, const struct fault *fault)
{
    (void)fprintf(stderr, "%s: %s\n", program, r < 0 ? strerror(-r) : fault->message);
    return 1;
}
