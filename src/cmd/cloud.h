/* A cloud's configuration and store, as yund and yun open them. */
#ifndef YUNDUO_CMD_CLOUD_H
#define YUNDUO_CMD_CLOUD_H

#include "api/config.h"

struct cloud {
    struct arena *arena;
    struct cloud_config config;
    const struct kind **kinds;
    struct store *store;
    struct api *api;
};

/* Loads the configuration; fills the paths that depend on data_dir. As config_load(). */
int cloud_load(struct cloud *c, const char *config_path, struct fault *fault);
/* Opens the store and wires the services; nothing runs yet. */
int cloud_open(struct cloud *c, struct fault *fault);
void cloud_done(struct cloud *c);

/* Says on standard error why; returns the exit status for main(). */
int cloud_complain(const char *program, int r, const struct fault *fault);

#endif
