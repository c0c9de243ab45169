/*
 * How servers move from state to state, and which words clients hear for it.
 */
#ifndef YUNDUO_COMPUTE_STATES_H
#define YUNDUO_COMPUTE_STATES_H

#include "compute/kinds.h"

/* Moves the server, task included (null: none). The only place that assigns vm_state and
 * task_state. 0; -EPROTO, with nothing changed and an error in the log, where the table or the
 * invariant forbids it. */
int server_move(struct server *s, const char *vm_state, const char *task_state);
/* Only the task. */
int server_task(struct server *s, const char *task_state);

/* It waits for the scheduler to find it a host. */
bool server_waits(const struct server *s);

/* "ACTIVE", "VERIFY_RESIZE", ... */
const char *server_status(const struct server *s);
/* The states behind some statuses (without case); false where none of them exists. */
bool states_of_status(struct arena *a, const struct strv *statuses, struct strv *ret_vm, struct strv *ret_task,
                      bool *ret_any_task);
/* How long a task may take; 0: it may take forever. */
usec_t task_deadline(const char *task_state);
/* The number clients see for a POWER_* word. */
int64_t power_number(const char *power);

#endif
