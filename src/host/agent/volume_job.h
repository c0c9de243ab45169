/*
 * One item of the volume service's list, one pass: from what is there to what should be.
 *
 * What is there is asked of the backend, and a guest that has the volume open is asked of the
 * hypervisor: it copies and grows its own disk, since nobody else may touch the file meanwhile.
 */
#ifndef YUNDUO_HOST_AGENT_VOLUME_JOB_H
#define YUNDUO_HOST_AGENT_VOLUME_JOB_H

#include "host/agent/agent.h"
#include "host/disk/disk_store.h"
#include "host/disk/volume_driver.h"

struct volume_job {
    struct agent *agent;
    struct volume_driver *driver;
    const char *backup_dir;
};

/* Reports how it went. *ret_again: it waits for something or may work later. */
void volume_job_run(const struct volume_job *j, const struct desired *d, const char *id, bool last_try, bool *ret_again);

#endif
