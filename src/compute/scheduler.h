/*
 * What scheduler.c and filters.c share: the table of hosts and what is asked of it.
 */
#ifndef YUNDUO_COMPUTE_SCHEDULER_H
#define YUNDUO_COMPUTE_SCHEDULER_H

#include "compute/internal.h"

#include <uthash.h>

/* A host as the scheduler remembers it. */
struct sched_host {
    char name[64];
    struct arena *arena;            /* of 'record' */
    const struct compute_host *record;
    struct host_usage capacity, used;
    const char *zone;               /* in the table's arena, like what follows */
    VEC_OF(const struct strmap *) aggregates;   /* metadata of those it is in */
    bool up;
    bool dirty;                     /* 'used' may be wrong */
    UT_hash_handle hh;
};

struct host_count { const char *host; int64_t n; };

/* What a server asks of its host. */
struct sched_request {
    const struct server *server;
    const struct flavor_copy *flavor;
    const struct server_image *image;
    struct claim claim;
    const char *zone;               /* null: any */
    const char *only_host;          /* forced; null: any */
    const char *volume_host;        /* where its volumes are; null: any */
    bool unfiltered;                /* forced without filters */
    const struct strv *excluded;
    struct strv same_as, different_from;        /* hosts */
    bool has_same;
    const char *group_policy;
    int64_t group_max;
    VEC_OF(struct host_count) group_hosts;
    bool needs_trait;
};

struct host_filter {
    const char *name;
    bool (*pass)(const struct sched_request *q, const struct sched_host *h);
};
extern const struct host_filter HOST_FILTERS[];
extern const size_t N_HOST_FILTERS;

/* How many of the group are on this host. */
/* Whether the rule of its group allows this host. */
bool group_allows(const struct sched_request *q, const struct sched_host *h);
int64_t group_count(const struct sched_request *q, const char *host);

#endif
