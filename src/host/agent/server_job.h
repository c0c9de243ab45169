/*
 * One server on this host, brought to where its spec wants it: one job, one thread at a time.
 *
 * What the host can be asked is asked. What it can't tell is which of a tenant's orders have been
 * carried out: reboots, rebuilds, and whether a guest that stands still was stopped by us or has
 * powered itself off. That is a small file per server, written after the deed, so a deed that was
 * cut off is done again.
 */
#ifndef YUNDUO_HOST_AGENT_SERVER_JOB_H
#define YUNDUO_HOST_AGENT_SERVER_JOB_H

#include "host/agent/agent.h"
#include "host/disk/disk_store.h"

/* What of the orders is done. */
struct server_done {
    struct object head;             /* the server */
    int64_t reboot_soft, reboot_hard, rebuild, password, nmi, resize;
    const char *power;              /* the last wanted power that was reached; null: none yet */
    const char *boot_id;            /* of the host's run in which it was */
    bool rescue;
    usec_t launched_at;
    VEC_OF(struct observed_task) tasks;     /* snapshots that have ended */
};
extern const struct schema SERVER_DONE_SCHEMA;

struct server_job {
    struct agent *agent;
    struct disk_store *disks;       /* null: simulated hosts have none */
    const char *state_dir;          /* of the small files */
    const char *boot_id;
};

/* One pass over one server. 'ret_again': look again soon even if nothing changes (it waits for a
 * port, for a guest to let go of a disk). Reports by itself. */
void server_job_run(const struct server_job *j, const struct desired *d, const char *id, bool *ret_again);
/* Removes a server that the cloud does not know: domain, disks, file. */
int server_job_reap(const struct server_job *j, const char *id);

#endif
