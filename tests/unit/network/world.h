/* The network service alone, in memory, without sockets; calls may come from several threads. */
#ifndef YUNDUO_TEST_NETWORK_WORLD_H
#define YUNDUO_TEST_NETWORK_WORLD_H

#include "base/effect.h"
#include "network/internal.h"

struct world;

struct world *world_new(void);
void world_free(struct world *w);

/* A request; 'who' is "admin", "demo" or "other" (the project is "project-<who>"). Returns the status.
 * The body is this thread's until its next call. */
int world_call(struct world *w, const char *who, const char *method, const char *path, const char *format,
               ...) _printf_(5, 6);
const char *world_text(void);
/* Drops the answer of this thread; one that called and ends must. */
void world_forget(void);
/* A member of the answer by path: "port.fixed_ips.0.ip_address"; "" where there is none. */
const char *world_string(const char *path);
int64_t world_int(const char *path);
/* Elements of the list, or -1. */
int world_size(const char *path);
/* The same in memory of the world: outlives other calls. */
const char *world_keep(struct world *w, const char *path);

/* What an agent of this host reports. */
void world_report(struct world *w, const char *host, const char *json);
/* The section of this host; freed by the caller. */
json_t *world_section(struct world *w, const char *host);
size_t world_count(struct world *w, const struct kind *k);
/* Objects that refer to what is not there, addresses that two ports have. */
size_t world_faults(struct world *w);

#endif
