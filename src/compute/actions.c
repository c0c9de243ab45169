/*
 * Running an action, and those that only turn power and locks.
 */
#include "compute/actions.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

static const struct server_action *const FAMILIES[] = {
    POWER_ACTIONS, BUILD_ACTIONS, RESIZE_ACTIONS, SNAPSHOT_ACTIONS, ADMIN_ACTIONS, NETWORK_ACTIONS, CONSOLE_ACTIONS,
    CONSOLE_URL_ACTIONS,
};

int action_wrong_state(struct call *c, const struct server *s, const char *verb, const char *what, const char *state)
{
    return call_fault(c, 409, "InstanceInvalidState", "Cannot '%s' instance %s while it is in %s %s", verb,
                      s->head.id, what, state);
}

int action_state(struct call *c, const struct server *s, unsigned vm, unsigned flags, const char *verb)
{
    static const struct { unsigned bit; const char *vm; } BITS[] = {
        { IN_ACTIVE, VM_ACTIVE }, { IN_PAUSED, VM_PAUSED }, { IN_SUSPENDED, VM_SUSPENDED },
        { IN_STOPPED, VM_STOPPED }, { IN_RESCUED, VM_RESCUED }, { IN_RESIZED, VM_RESIZED },
        { IN_SOFT_DELETED, VM_SOFT_DELETED }, { IN_ERROR, VM_ERROR }, { IN_SHELVED, VM_SHELVED },
        { IN_OFFLOADED, VM_SHELVED_OFFLOADED },
    };
    bool fits = vm == 0;
    for (size_t i = 0; i < ARRAY_SIZE(BITS); i++)
        fits = fits || ((vm & BITS[i].bit) && STREQ(BITS[i].vm, s->vm_state));
    if (!fits)
        return action_wrong_state(c, s, verb, "vm_state", s->vm_state);
    if (s->deleting && !(flags & ACT_GONE_TOO))
        return action_wrong_state(c, s, verb, "task_state", TASK_DELETING);
    if (s->task_state && !(flags & ACT_BUSY_TOO))
        return action_wrong_state(c, s, verb, "task_state", s->task_state);
    return 0;
}

static const struct server_action *find(const char *name, int minor)
{
    for (size_t i = 0; i < ARRAY_SIZE(FAMILIES); i++)
        for (const struct server_action *a = FAMILIES[i]; a->name; a++)
            if (STREQ(a->name, name) && minor >= a->since && (!a->until || minor <= a->until))
                return a;
    return NULL;
}

static int read_arguments(struct call *c, const struct server_action *act, json_t *arguments, void **ret,
                          struct given *given)
{
    *ret = NULL;
    bool null = json_is_null(arguments);
    if ((act->flags & ACT_OBJECT) && !json_is_object(arguments))
        return call_fault(c, 400, "ValidationError", "Invalid input for field/attribute %s. It must be an object.",
                          act->name);
    if ((act->flags & ACT_NULL) && !null)
        return call_fault(c, 400, "ValidationError", "Invalid input for field/attribute %s. It must be null.",
                          act->name);
    if (!act->in)
        return 0;
    *ret = arena_alloc(c->arena, act->in->size);
    if (!*ret)
        return -ENOMEM;
    if (null)
        return schema_defaults(act->in, c->arena, *ret);
    if (!json_is_object(arguments))
        return call_fault(c, 400, "ValidationError", "Invalid input for field/attribute %s.", act->name);
    return compute_decode(c, act->in, arguments, *ret, given);
}

static int action_write(struct call *c)
{
    const char *name = json_object_iter_key(json_object_iter(c->body));
    json_t *arguments = json_object_iter_value(json_object_iter(c->body));
    const struct server_action *act = name && json_object_size(c->body) == 1 ? find(name, c->minor) : NULL;
    if (!act)
        return call_fault(c, 400, "BadRequest", json_object_size(c->body) == 1 ?
                          "There is no such action: %s" : "Malformed request body%.0s", str_or(name, ""));
    void *in;
    struct given given = { 0 };
    struct server *s;
    int r = read_arguments(c, act, arguments, &in, &given);
    r = r ? r : server_get(c, call_param(c, "id"), act->rule, &s);
    if (r)
        return r;
    if (s->locked && !call_is_admin(c) && !(act->flags & ACT_LOCKED_TOO))
        return call_fault(c, 409, "InstanceIsLocked", "Instance %s is locked", s->head.id);
    r = action_state(c, s, act->vm, act->flags, act->verb ? act->verb : str_or(act->record, act->name));
    if (r)
        return r;
    c->status = act->status ? act->status : 202;
    if (act->record) {
        r = action_begin_call(c, s, act->record);
        if (r)
            return r;
    }
    bool gone = false;
    r = act->fn(c, s, in, &given, &gone);
    if (r || gone || (act->flags & ACT_READS))
        return r;
    /* What has no task is done already. */
    if (act->record && !s->task_state)
        r = action_end(c->txn, s, NULL);
    return r ? r : server_put(c->txn, s);
}

static int server_action_verb(struct call *c)
{
    if (!json_is_object(c->body))
        return call_fault(c, 400, "BadRequest", "Malformed request body");
    c->data = NULL;
    int r = call_write(c, action_write);
    struct action_after *after = c->data;
    if (r || !after)
        return r;
    if (after->location)
        http_set_header(c->http, "Location", after->location);
    return after->finish ? after->finish(c, after) : 0;
}

/* ---- power ---- */

static int order_power(struct server *s, const char *power, const char *task)
{
    s->power = power;
    server_order(s);
    return server_task(s, task);
}

#define ACTION(name) \
    static int name(struct call *c, struct server *s, const void *in, const struct given *given, bool *gone)
#define UNUSED_ARGUMENTS (void)c, (void)s, (void)in, (void)given, (void)gone

ACTION(start)
{
    UNUSED_ARGUMENTS;
    return order_power(s, POWER_RUNNING, TASK_POWERING_ON);
}

ACTION(stop)
{
    UNUSED_ARGUMENTS;
    return order_power(s, POWER_SHUTOFF, TASK_POWERING_OFF);
}

ACTION(pause_it)
{
    UNUSED_ARGUMENTS;
    return order_power(s, POWER_PAUSED, TASK_PAUSING);
}

ACTION(unpause)
{
    UNUSED_ARGUMENTS;
    return order_power(s, POWER_RUNNING, TASK_UNPAUSING);
}

ACTION(suspend)
{
    UNUSED_ARGUMENTS;
    return order_power(s, POWER_SUSPENDED, TASK_SUSPENDING);
}

ACTION(resume)
{
    UNUSED_ARGUMENTS;
    return order_power(s, POWER_RUNNING, TASK_RESUMING);
}

struct reboot_in { const char *type; };
static const char *const REBOOTS[] = { "HARD", "Hard", "hard", "SOFT", "Soft", "soft", NULL };
static const struct field REBOOT_ROWS[] = {
    { "type", FIELD_STRING, offsetof(struct reboot_in, type), IN_CREATE | REQUIRED, .values = REBOOTS,
      .doc = "HARD or SOFT." },
};
static SCHEMA(REBOOT_SCHEMA, struct reboot_in, REBOOT_ROWS);

ACTION(reboot)
{
    UNUSED_ARGUMENTS;
    bool hard = strcasecmp(((const struct reboot_in *)in)->type, "hard") == 0;
    bool rebooting = str_eq(s->task_state, TASK_REBOOTING) || str_eq(s->task_state, TASK_REBOOTING_HARD) ||
                     str_eq(s->task_state, TASK_PAUSING) || str_eq(s->task_state, TASK_SUSPENDING) ||
                     str_eq(s->task_state, TASK_RESUMING) || str_eq(s->task_state, TASK_UNPAUSING);
    if (s->task_state && !(hard && rebooting))
        return action_wrong_state(c, s, "reboot", "task_state", s->task_state);
    if (!hard) {
        if (!STREQ(s->vm_state, VM_ACTIVE))
            return action_wrong_state(c, s, "reboot", "vm_state", s->vm_state);
        s->reboot_soft++;
        server_order(s);
        return server_task(s, TASK_REBOOTING);
    }
    s->reboot_hard++;
    return order_power(s, POWER_RUNNING, TASK_REBOOTING_HARD);
}

struct password_in { const char *password; };
static const struct field PASSWORD_ROWS[] = {
    { "adminPass", FIELD_STRING, offsetof(struct password_in, password), IN_CREATE | REQUIRED | SECRET,
      .doc = "The new password." },
};
static SCHEMA(PASSWORD_SCHEMA, struct password_in, PASSWORD_ROWS);

ACTION(change_password)
{
    UNUSED_ARGUMENTS;
    s->admin_password = ((const struct password_in *)in)->password;
    s->password++;
    server_order(s);
    return server_task(s, TASK_UPDATING_PASSWORD);
}

ACTION(crash_dump)
{
    UNUSED_ARGUMENTS;
    s->nmi++;
    server_order(s);
    return 0;
}

const struct server_action POWER_ACTIONS[] = {
    { "os-start", .rule = "os_compute_api:servers:start", .vm = IN_STOPPED, .record = "start", .fn = start },
    { "os-stop", .rule = "os_compute_api:servers:stop", .vm = IN_ACTIVE | IN_ERROR | IN_RESCUED, .record = "stop",
      .fn = stop },
    { "reboot", .rule = "os_compute_api:servers:reboot", .flags = ACT_OBJECT | ACT_BUSY_TOO, .record = "reboot",
      .vm = IN_ACTIVE | IN_STOPPED | IN_PAUSED | IN_SUSPENDED | IN_ERROR, .in = &REBOOT_SCHEMA, .fn = reboot },
    { "pause", .rule = "os_compute_api:os-pause-server:pause", .vm = IN_ACTIVE, .record = "pause", .fn = pause_it },
    { "unpause", .rule = "os_compute_api:os-pause-server:unpause", .vm = IN_PAUSED, .record = "unpause",
      .fn = unpause },
    { "suspend", .rule = "os_compute_api:os-suspend-server:suspend", .vm = IN_ACTIVE, .record = "suspend",
      .fn = suspend },
    { "resume", .rule = "os_compute_api:os-suspend-server:resume", .vm = IN_SUSPENDED, .record = "resume",
      .fn = resume },
    { "changePassword", .rule = "os_compute_api:os-admin-password", .vm = IN_ACTIVE, .flags = ACT_OBJECT,
      .record = "changePassword", .verb = "set_admin_password", .in = &PASSWORD_SCHEMA, .fn = change_password },
    { "trigger_crash_dump", .since = 17, .rule = "os_compute_api:servers:trigger_crash_dump", .flags = ACT_NULL,
      .vm = IN_ACTIVE | IN_PAUSED | IN_RESCUED | IN_RESIZED | IN_ERROR, .record = "trigger_crash_dump",
      .fn = crash_dump },
    { NULL },
};

/* ---- locks and what administrators do ---- */

struct lock_in { const char *reason; };
static const struct field LOCK_ROWS[] = {
    { "locked_reason", FIELD_STRING, offsetof(struct lock_in, reason), IN_CREATE, .min = 1, .max = 255,
      .doc = "Why." },
};
static SCHEMA(LOCK_SCHEMA, struct lock_in, LOCK_ROWS);

ACTION(lock)
{
    UNUSED_ARGUMENTS;
    s->locked = true;
    s->locked_by = call_is_admin(c) && !str_eq(s->project_id, c->auth->project_id) ? "admin" :
                   call_is_admin(c) ? "admin" : "owner";
    s->locked_reason = in ? ((const struct lock_in *)in)->reason : NULL;
    return 0;
}

ACTION(unlock)
{
    UNUSED_ARGUMENTS;
    if (str_eq(s->locked_by, "admin")) {
        int r = call_require_project(c, "os_compute_api:os-lock-server:unlock:unlock_override", s->project_id);
        if (r)
            return r;
    }
    s->locked = false;
    s->locked_by = s->locked_reason = NULL;
    return 0;
}

struct reset_in { const char *state; };
static const char *const RESETS[] = { "active", "error", NULL };
static const struct field RESET_ROWS[] = {
    { "state", FIELD_STRING, offsetof(struct reset_in, state), IN_CREATE | REQUIRED, .values = RESETS,
      .doc = "active or error." },
};
static SCHEMA(RESET_SCHEMA, struct reset_in, RESET_ROWS);

ACTION(reset_state)
{
    UNUSED_ARGUMENTS;
    bool error = STREQ(((const struct reset_in *)in)->state, "error");
    if (!error && str_empty(s->host))
        return action_wrong_state(c, s, "reset", "vm_state", s->vm_state);
    if (!error) {
        s->fault = NULL;
        return server_move(s, VM_ACTIVE, NULL);
    }
    if (!s->fault) {
        s->fault = ARENA_NEW(c->arena, struct server_fault);
        if (!s->fault)
            return -ENOMEM;
        *s->fault = (struct server_fault){ 500, "An administrator set this state.", NULL, clock_wall() };
    }
    return server_move(s, VM_ERROR, NULL);
}

ACTION(force_delete)
{
    UNUSED_ARGUMENTS;
    *gone = true;
    return s->deleting ? 0 : server_delete(c->api, c->txn, s);
}

ACTION(restore)
{
    UNUSED_ARGUMENTS;
    s->delete_after = 0;
    s->power = POWER_RUNNING;
    server_order(s);
    return server_move(s, str_or(s->vm_state_before, VM_ACTIVE), TASK_POWERING_ON);
}

ACTION(nothing_left)
{
    UNUSED_ARGUMENTS;
    return call_fault(c, 410, "Gone", "This action has been removed from the API.");
}

const struct server_action ADMIN_ACTIONS[] = {
    { "lock", .until = 72, .rule = "os_compute_api:os-lock-server:lock", .flags = ACT_LOCKED_TOO | ACT_BUSY_TOO,
      .record = "lock", .fn = lock },
    { "lock", .since = 73, .rule = "os_compute_api:os-lock-server:lock", .flags = ACT_LOCKED_TOO | ACT_BUSY_TOO,
      .record = "lock", .in = &LOCK_SCHEMA, .fn = lock },
    { "unlock", .rule = "os_compute_api:os-lock-server:unlock", .flags = ACT_LOCKED_TOO | ACT_BUSY_TOO,
      .record = "unlock", .fn = unlock },
    { "os-resetState", .rule = "os_compute_api:os-admin-actions:reset_state", .in = &RESET_SCHEMA,
      .flags = ACT_LOCKED_TOO | ACT_BUSY_TOO | ACT_OBJECT, .fn = reset_state },
    { "forceDelete", .rule = "os_compute_api:os-deferred-delete:force", .record = "delete", .fn = force_delete,
      .flags = ACT_BUSY_TOO | ACT_GONE_TOO },
    { "restore", .rule = "os_compute_api:os-deferred-delete:restore", .vm = IN_SOFT_DELETED, .record = "restore",
      .fn = restore },
    { "resetNetwork", .rule = "os_compute_api:os-admin-actions:reset_state", .fn = nothing_left },
    { "injectNetworkInfo", .rule = "os_compute_api:os-admin-actions:reset_state", .fn = nothing_left },
    { NULL },
};

static const struct route ACTION_ROUTES[] = {
    { "POST", "/v2.1/servers/{id}/action", server_action_verb, NULL, .status = 202,
      .doc = "Start, stop, reboot and all else that is done to a server." },
};
static const struct policy_rule ACTION_RULES[] = {
    { "os_compute_api:servers:start", RULE_MEMBER, "Start a server." },
    { "os_compute_api:servers:stop", RULE_MEMBER, "Stop a server." },
    { "os_compute_api:servers:reboot", RULE_MEMBER, "Reboot a server." },
    { "os_compute_api:servers:rebuild", RULE_MEMBER, "Rebuild a server." },
    { "os_compute_api:servers:resize", RULE_MEMBER, "Resize a server." },
    { "os_compute_api:servers:confirm_resize", RULE_MEMBER, "Confirm a resize." },
    { "os_compute_api:servers:revert_resize", RULE_MEMBER, "Revert a resize." },
    { "os_compute_api:servers:create_image", RULE_MEMBER, "Make an image of a server." },
    { "os_compute_api:servers:trigger_crash_dump", RULE_MEMBER, "Make a guest dump its memory." },
    { "os_compute_api:os-pause-server:pause", RULE_MEMBER, "Pause a server." },
    { "os_compute_api:os-pause-server:unpause", RULE_MEMBER, "Go on after a pause." },
    { "os_compute_api:os-suspend-server:suspend", RULE_MEMBER, "Suspend a server." },
    { "os_compute_api:os-suspend-server:resume", RULE_MEMBER, "Resume a suspended server." },
    { "os_compute_api:os-admin-password", RULE_MEMBER, "Change the password in a guest." },
    { "os_compute_api:os-lock-server:lock", RULE_MEMBER, "Lock a server." },
    { "os_compute_api:os-lock-server:unlock", RULE_MEMBER, "Unlock a server." },
    { "os_compute_api:os-lock-server:unlock:unlock_override", RULE_ADMIN, "Unlock what an administrator locked." },
    { "os_compute_api:os-admin-actions:reset_state", RULE_ADMIN, "Set the state of a server." },
    { "os_compute_api:os-deferred-delete:force", RULE_MEMBER, "Delete at once." },
    { "os_compute_api:os-deferred-delete:restore", RULE_MEMBER, "Take a soft delete back." },
    { "os_compute_api:os-rescue", RULE_MEMBER, "Rescue a server." },
    { "os_compute_api:os-unrescue", RULE_MEMBER, "End a rescue." },
    { "os_compute_api:os-shelve:shelve", RULE_MEMBER, "Shelve a server." },
    { "os_compute_api:os-shelve:unshelve", RULE_MEMBER, "Unshelve a server." },
    { "os_compute_api:os-shelve:shelve_offload", RULE_ADMIN, "Take a shelved server off its host." },
    { "os_compute_api:os-evacuate", RULE_ADMIN, "Build a server anew elsewhere when its host is down." },
    { "os_compute_api:os-create-backup", RULE_MEMBER, "Make a backup image." },
    { "os_compute_api:os-migrate-server:migrate", RULE_ADMIN, "Move a server." },
    { "os_compute_api:os-migrate-server:migrate_live", RULE_ADMIN, "Move a running server." },
    { "os_compute_api:os-security-groups:add", RULE_MEMBER, "Add a security group to a server." },
    { "os_compute_api:os-security-groups:remove", RULE_MEMBER, "Remove a security group from a server." },
    { "os_compute_api:os-multinic:add", RULE_MEMBER, "Add an address." },
    { "os_compute_api:os-multinic:remove", RULE_MEMBER, "Remove an address." },
    { "os_compute_api:os-console-output", RULE_MEMBER, "Read what a server wrote to its console." },
    { "os_compute_api:os-remote-consoles", RULE_MEMBER, "Get at a console." },
};
COMPUTE_PART(ACTION_PART, ACTION_ROUTES, ACTION_RULES);
