/*
 * The compute service (Nova v2.1): what the rest of the cloud sees of it.
 */
#ifndef YUNDUO_COMPUTE_COMPUTE_H
#define YUNDUO_COMPUTE_COMPUTE_H

#include "api/api.h"

extern struct service COMPUTE_SERVICE;
/* WebSockets to consoles and the noVNC pages; wired beside it. */
extern const struct service CONSOLE_SERVICE;

/* Where a server is, for slices that serve it (volumes, addresses). *ret is null where there is none. */
struct compute_server_info {
    const char *id, *name, *project_id, *user_id, *host, *availability_zone, *status;
};
int compute_server_info(struct txn *t, const char *server_id, struct compute_server_info **ret);

#endif
