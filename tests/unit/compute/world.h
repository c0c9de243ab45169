/*
 * A cloud of one service in memory: the store, the API without sockets, agents that carry out
 * what they are told at once, and networks and images that are rows in the same store. So each
 * test sees the whole way of a server, and can ask at the end what is left.
 */
#ifndef YUNDUO_TEST_COMPUTE_WORLD_H
#define YUNDUO_TEST_COMPUTE_WORLD_H

#include "base/effect.h"
#include "compute/internal.h"

struct world;

struct world *world_new(void);
void world_free(struct world *w);
static inline void world_freep(struct world **w)
{
    world_free(*w);
}

/* A request; 'who' is "admin", "demo" or "other". Returns the status; the body is w's until the
 * next call. 'minor' is the microversion. */
int world_call(struct world *w, const char *who, int minor, const char *method, const char *path, const char *body);
const json_t *world_body(const struct world *w);
const char *world_text(const struct world *w);
/* A member of the answer by path: "server.status", "servers.0.id". */
const char *world_string(const struct world *w, const char *path);
int64_t world_int(const struct world *w, const char *path);
const json_t *world_get(const struct world *w, const char *path);

/* Adds a host that polls and reports. */
void world_host(struct world *w, const char *name, int64_t vcpus, int64_t memory_mb, int64_t disk_gb);
/* From now on the host neither polls nor reports. */
void world_host_silent(struct world *w, const char *name, bool silent);
/* The next 'n' starts of servers on this host fail; 'retry': another host may do better. */
void world_host_breaks(struct world *w, const char *name, int n, bool retry);
/* How many domains run or are defined there. */
size_t world_domains(const struct world *w, const char *name);
/* The guest powers itself off. */
void world_guest_off(struct world *w, const char *server_id);

/* Images that servers made have their bytes. */
void world_image_ready(struct world *w);

/* Runs scheduler, controller and agents until nothing happens any more. */
void world_settle(struct world *w);
void world_advance(struct world *w, usec_t by);

/* "ACTIVE" and so on; "" where there is no such server. */
const char *world_status(struct world *w, const char *server_id);
/* Domains, ports, legs, snapshots and claims that belong to no server. */
size_t world_orphans(struct world *w);
size_t world_count(struct world *w, const struct kind *k);
struct store *world_store(struct world *w);
struct api *world_api(struct world *w);

#define WORLD_IMAGE "11111111-1111-4111-8111-111111111111"
#define WORLD_NETWORK "22222222-2222-4222-8222-222222222222"
/* Makes flavor "1" (1 vCPU, 512 MB, 1 GB) and "2" (2, 1024, 2). */
void world_flavors(struct world *w);
/* A server of demo's by name; returns its id in memory of the world. */
const char *world_boot(struct world *w, const char *name);

/* A volume nobody has; its id in memory of the world. */
const char *world_volume(struct world *w, bool bootable);

extern const struct kind TEST_PORT_KIND, TEST_IMAGE_KIND, TEST_VOLUME_KIND;

#endif
