/*
 * The states of a server.
 *
 *     building ──> active <──> paused, suspended, stopped, rescued, resized
 *         │          │ ^                    │
 *         v          v └── shelved ── shelved_offloaded
 *       error <── any state ──> soft-delete ──> back, or gone
 *
 * One function moves, and it checks the table and the invariant first. Being deleted is no
 * state but a flag beside it, so that it works in all of them.
 */
#include "compute/states.h"
#include "base/log.h"

#include <errno.h>
#include <strings.h>

LOG_MODULE("compute.states");

enum vm {
    BUILDING, ACTIVE, PAUSED, SUSPENDED, STOPPED, RESCUED, RESIZED, SOFT_DELETED, DELETED, ERROR, SHELVED,
    OFFLOADED, N_VM,
};
#define TO(x) (1u << (x))
#define ALIVE (TO(ACTIVE) | TO(STOPPED))

static const struct {
    const char *name;
    const char *status;
    unsigned to;
} VM[N_VM] = {
    [BUILDING] = { VM_BUILDING, "BUILD", TO(ACTIVE) | TO(STOPPED) | TO(SOFT_DELETED) },
    [ACTIVE] = { VM_ACTIVE, "ACTIVE", TO(PAUSED) | TO(SUSPENDED) | TO(STOPPED) | TO(RESCUED) | TO(RESIZED) |
                 TO(SOFT_DELETED) | TO(SHELVED) | TO(OFFLOADED) },
    [PAUSED] = { VM_PAUSED, "PAUSED", ALIVE | TO(SUSPENDED) | TO(SOFT_DELETED) | TO(SHELVED) | TO(OFFLOADED) },
    [SUSPENDED] = { VM_SUSPENDED, "SUSPENDED", ALIVE | TO(SOFT_DELETED) | TO(SHELVED) | TO(OFFLOADED) },
    [STOPPED] = { VM_STOPPED, "SHUTOFF", TO(ACTIVE) | TO(RESCUED) | TO(RESIZED) | TO(SOFT_DELETED) |
                  TO(SHELVED) | TO(OFFLOADED) },
    [RESCUED] = { VM_RESCUED, "RESCUE", ALIVE | TO(SOFT_DELETED) },
    [RESIZED] = { VM_RESIZED, "VERIFY_RESIZE", ALIVE | TO(SOFT_DELETED) },
    [SOFT_DELETED] = { VM_SOFT_DELETED, "SOFT_DELETED", ALIVE | TO(PAUSED) | TO(SUSPENDED) | TO(RESCUED) |
                       TO(RESIZED) | TO(SHELVED) | TO(OFFLOADED) },
    [DELETED] = { VM_DELETED, "DELETED", 0 },
    [ERROR] = { VM_ERROR, "ERROR", ALIVE | TO(PAUSED) | TO(SUSPENDED) | TO(RESCUED) | TO(RESIZED) |
                TO(SOFT_DELETED) | TO(SHELVED) | TO(OFFLOADED) },
    [SHELVED] = { VM_SHELVED, "SHELVED", ALIVE | TO(OFFLOADED) | TO(SOFT_DELETED) },
    [OFFLOADED] = { VM_SHELVED_OFFLOADED, "SHELVED_OFFLOADED", ALIVE | TO(SOFT_DELETED) },
};

/* Where the task, not the state, decides what clients hear. */
static const struct {
    const char *task, *status;
    unsigned in;                /* states it counts in */
} TASK_STATUS[] = {
    { TASK_REBOOTING, "REBOOT", TO(ACTIVE) },
    { TASK_REBOOTING_HARD, "HARD_REBOOT", TO(ACTIVE) },
    { TASK_UPDATING_PASSWORD, "PASSWORD", TO(ACTIVE) },
    { TASK_REBUILDING, "REBUILD", TO(ACTIVE) | TO(STOPPED) | TO(ERROR) },
    { TASK_MIGRATING, "MIGRATING", TO(ACTIVE) | TO(PAUSED) },
    { TASK_RESIZE_PREP, "RESIZE", TO(ACTIVE) | TO(STOPPED) },
    { TASK_RESIZE_MIGRATING, "RESIZE", TO(ACTIVE) | TO(STOPPED) },
    { TASK_RESIZE_FINISH, "RESIZE", TO(ACTIVE) | TO(STOPPED) },
    { TASK_RESIZE_REVERTING, "REVERT_RESIZE", TO(RESIZED) },
};

static int vm_of(const char *name)
{
    for (int i = 0; name && i < N_VM; i++)
        if (STREQ(VM[i].name, name))
            return i;
    return -1;
}

bool server_waits(const struct server *s)
{
    return str_empty(s->host) && !s->deleting &&
           (str_eq(s->task_state, TASK_SCHEDULING) || str_eq(s->task_state, TASK_UNSHELVING) ||
            str_eq(s->task_state, TASK_REBUILDING));
}

static bool invariant(const struct server *s)
{
    int vm = vm_of(s->vm_state);
    unsigned nowhere = TO(BUILDING) | TO(ERROR) | TO(OFFLOADED) | TO(SOFT_DELETED) | TO(DELETED);
    return vm >= 0
        && IMPLIES(!(TO(vm) & nowhere), !str_empty(s->host) || server_waits(s))     /* it lives somewhere */
        && IMPLIES(vm == ERROR, s->fault != NULL)               /* we say why */
        && IMPLIES(s->task_state == NULL, s->task_since == 0);
}

int server_move(struct server *s, const char *vm_state, const char *task_state)
{
    int from = vm_of(s->vm_state), to = vm_of(vm_state);
    struct server before = *s;
    s->vm_state = vm_state;
    if (!str_eq(s->task_state, task_state) || (task_state && !s->task_since))
        s->task_since = task_state ? clock_wall() : 0;
    s->task_state = task_state;
    bool allowed = to >= 0 && (from < 0 || from == to || to == ERROR || (VM[from].to & TO(to)));
    if (!allowed || !invariant(s)) {
        log_error("move refused", KV("server", s->head.id), KV("from", before.vm_state), KV("to", vm_state),
                  KV("task", task_state), KV("host", s->host));
        *s = before;
        return -EPROTO;
    }
    log_debug("move", KV("server", s->head.id), KV("from", before.vm_state), KV("task_from", before.task_state),
              KV("to", vm_state), KV("task", task_state));
    return 0;
}

int server_task(struct server *s, const char *task_state)
{
    return server_move(s, s->vm_state, task_state);
}

const char *server_status(const struct server *s)
{
    int vm = vm_of(s->vm_state);
    if (vm < 0)
        return "UNKNOWN";
    for (size_t i = 0; s->task_state && i < ARRAY_SIZE(TASK_STATUS); i++)
        if ((TASK_STATUS[i].in & TO(vm)) && STREQ(TASK_STATUS[i].task, s->task_state))
            return TASK_STATUS[i].status;
    return VM[vm].status;
}

bool states_of_status(struct arena *a, const struct strv *statuses, struct strv *ret_vm, struct strv *ret_task,
                      bool *ret_any_task)
{
    *ret_any_task = false;
    for (size_t i = 0; i < statuses->n; i++) {
        for (int vm = 0; vm < N_VM; vm++) {
            if (strcasecmp(VM[vm].status, statuses->v[i]) == 0) {
                if (!strv_has(ret_vm, VM[vm].name))
                    strv_add(a, ret_vm, VM[vm].name);
                *ret_any_task = true;
            }
            for (size_t k = 0; k < ARRAY_SIZE(TASK_STATUS); k++) {
                if (!(TASK_STATUS[k].in & TO(vm)) || strcasecmp(TASK_STATUS[k].status, statuses->v[i]) != 0)
                    continue;
                if (!strv_has(ret_vm, VM[vm].name))
                    strv_add(a, ret_vm, VM[vm].name);
                if (!strv_has(ret_task, TASK_STATUS[k].task))
                    strv_add(a, ret_task, TASK_STATUS[k].task);
            }
        }
    }
    return ret_vm->n > 0;
}

usec_t task_deadline(const char *task)
{
    static const struct { const char *task; usec_t limit; } LIMITS[] = {
        { TASK_SCHEDULING, MINUTES(5) },
        { TASK_SPAWNING, MINUTES(30) },     /* a large image may have to come first */
        { TASK_REBUILDING, MINUTES(30) },
        { TASK_RESCUING, MINUTES(15) },
        { TASK_UNRESCUING, MINUTES(10) },
        { TASK_IMAGE_SNAPSHOT, HOURS(2) },
        { TASK_IMAGE_BACKUP, HOURS(2) },
        { TASK_SHELVING, HOURS(2) },
        { TASK_UNSHELVING, MINUTES(30) },
        { TASK_MIGRATING, HOURS(4) },
        { TASK_RESIZE_MIGRATING, HOURS(4) },
        { TASK_RESIZE_FINISH, MINUTES(30) },
        { TASK_RESIZE_REVERTING, MINUTES(30) },
        { TASK_RESIZE_CONFIRMING, MINUTES(30) },
    };
    if (!task || STREQ(task, TASK_DELETING))
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(LIMITS); i++)
        if (STREQ(LIMITS[i].task, task))
            return LIMITS[i].limit;
    return MINUTES(10);
}

int64_t power_number(const char *power)
{
    static const struct { const char *power; int64_t number; } NUMBERS[] = {
        { POWER_RUNNING, PS_RUNNING }, { POWER_SHUTOFF, PS_SHUTDOWN }, { POWER_PAUSED, PS_PAUSED },
        { POWER_SUSPENDED, PS_SHUTDOWN }, { POWER_CRASHED, PS_CRASHED },
    };
    for (size_t i = 0; power && i < ARRAY_SIZE(NUMBERS); i++)
        if (STREQ(NUMBERS[i].power, power))
            return NUMBERS[i].number;
    return PS_NOSTATE;
}
