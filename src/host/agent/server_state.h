/* The small file of what was done for one server: loading, saving, forgetting. */
#ifndef YUNDUO_HOST_AGENT_SERVER_STATE_H
#define YUNDUO_HOST_AGENT_SERVER_STATE_H

#include "host/agent/server_job.h"

/* *ret_known is false where there is no file (yet). */
int server_state_load(const char *dir, const char *id, struct arena *a, struct server_done *ret, bool *ret_known);
int server_state_save(const char *dir, const struct server_done *s, struct arena *a);
void server_state_forget(const char *dir, const char *id, struct arena *a);

#endif
