/*
 * The host agent: makes this host match its desired state, and tells what it found.
 *
 * One thread polls `yund` for what should be; each answer is a whole, kept as an immutable
 * snapshot that parts hold while they work on it. The parts (servers, network, volumes, the
 * host's own facts) each have a section of it: they converge in threads of their own and put
 * what they observe in the outbox, which another thread posts until `yund` has taken it. Nothing
 * is remembered that the host can't be asked, but for small state files of what was done.
 *
 * Kill it anywhere: guests run on, and the next start looks at everything again.
 */
#ifndef YUNDUO_HOST_AGENT_AGENT_H
#define YUNDUO_HOST_AGENT_AGENT_H

#include "base/error.h"
#include "host/hypervisor/hypervisor.h"
#include "host/net/net_driver.h"
#include "host/spec_volume.h"
#include "http/client.h"

struct agent_config {
    const char *host;                   /* null: the machine's name */
    const char *server_socket;          /* unix socket of yund on this machine */
    const char *server_url;             /* or where it is */
    const char *tls_ca, *tls_cert, *tls_key;
    const char *state_dir;
    const char *hypervisor, *network;   /* names of drivers */
    const char *hypervisor_uri, *accel, *machine, *cpu_mode, *console_host;
    bool spice;
    int64_t memory_reserved_mb;
    int64_t workers;
    int64_t stop_seconds;               /* for guests asked to power off */
    int64_t orphan_seconds;             /* domains nobody wants live this long */
    int64_t image_keep_seconds;         /* unused images stay cached this long */
    int64_t facts_seconds;
    int64_t sim_vcpus, sim_memory_mb, sim_disk_gb, sim_delay_ms;
    const char *volume_driver, *volume_backend, *volume_path, *volume_format, *backup_dir;
    bool volume_shared;
    const char *log_level, *log_format;
    struct net_config net;
};
extern const struct schema AGENT_CONFIG_SCHEMA;

struct agent;

/* FAULT: a sentence for the operator. */
int agent_new(const struct agent_config *c, struct agent **ret, struct fault *fault);
/* Starts its threads. */
int agent_start(struct agent *a);
/* Guests run on. */
void agent_stop(struct agent *a);
void agent_free(struct agent *a);

/* ---- for the parts ---- */

/* What yund wants, decoded; immutable, counted. */
struct desired {
    _Atomic int refs;
    struct arena *arena;
    int64_t revision;
    json_t *tree;
    VEC_OF(struct server_spec) servers;
    struct net_spec net;
    VEC_OF(struct volume_spec) volumes;
};
/* The newest, or null before the first answer. */
struct desired *agent_desired(struct agent *a);
void desired_unref(struct desired *d);
static inline void desired_unrefp(struct desired **d)
{
    desired_unref(*d);
}
const struct server_spec *desired_server(const struct desired *d, const char *id);
const struct volume_spec *desired_volume(const struct desired *d, const char *id);

const struct agent_config *agent_config(const struct agent *a);
const char *agent_host(const struct agent *a);
struct hypervisor *agent_hypervisor(const struct agent *a);
struct net_driver *agent_net(const struct agent *a);
bool agent_stopping(const struct agent *a);

/* Puts one element of a list section ("servers": [...]) in the outbox, in place of an older one
 * of the same id. 'text' is JSON and is copied. */
void agent_report_item(struct agent *a, const char *section, const char *id, const char *text);
/* Puts a section that is one object in the outbox. */
void agent_report_whole(struct agent *a, const char *section, const char *text);

/* A client for calls of a part's own (image bytes): to yund, with this host's identity. The
 * caller frees it. 'ret_base' is the root of URLs. */
int agent_client(struct agent *a, usec_t timeout, struct http_client **ret, const char **ret_base);

/* A part: all entries run in the agent's order; started once the first desired state is there. */
struct agent_part {
    const char *name;
    int (*start)(struct agent *a, void **ret_state);
    /* Something new is wanted; must not block. */
    void (*wanted)(void *state);
    void (*stop)(void *state);
};
extern const struct agent_part PART_NETWORK;
extern const struct agent_part PART_SERVERS;
extern const struct agent_part PART_HOST;
extern const struct agent_part PART_METADATA;
extern const struct agent_part PART_QUESTIONS;
extern const struct agent_part PART_VOLUMES;
/* What a part keeps, for the others; null before it has started. */
void *agent_part_state(const struct agent *a, const struct agent_part *part);

/* network.c: whether the device of this port was in place after the last pass. False wakes
 * the network part; 'reason' (or null) lives in 'arena'. */
bool network_port_wired(struct agent *a, const char *port_id, struct arena *arena, const char **ret_reason);
/* servers.c: look at this server again (its port got wired, its domain changed). Null: at all. */
void servers_look(struct agent *a, const char *server_id);
/* servers.c: the image cache, for volumes made of images; null before the part has started. */
struct disk_store;
struct disk_store *servers_disk_store(struct agent *a);

#endif
