/*
 * Lists of servers: filters, sort keys, pages.
 *
 * Nova knows two kinds of callers: everybody may use a few filters and the rest of theirs is
 * ignored; administrators may use all. Text filters are regular expressions, but for the ids.
 */
#include "compute/internal.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

/* ---- filters ---- */

enum {
    EVERYBODY = 1 << 0,
    LATER = 1 << 1,             /* everybody from 2.83 on */
    EXACT = 1 << 2,
};
static const struct filter {
    const char *arg, *row;
    int flags, since;
} FILTERS[] = {
    { "name", "display_name", EVERYBODY, 0 }, { "display_name", "display_name", 0, 0 },
    { "image", "image_ref", EVERYBODY | EXACT, 0 }, { "image_ref", "image_ref", EXACT, 0 },
    { "reservation_id", "reservation_id", EVERYBODY, 0 },
    { "user_id", "user_id", LATER | EXACT, 0 },
    { "host", "host", EXACT, 0 }, { "node", "node", 0, 0 }, { "hostname", "hostname", 0, 0 },
    { "uuid", "id", EXACT, 0 }, { "launch_index", "launch_index", EXACT, 0 },
    { "kernel_id", "kernel_id", 0, 0 }, { "ramdisk_id", "ramdisk_id", 0, 0 },
    { "key_name", "key_name", LATER, 0 }, { "power_state", "power_state", LATER | EXACT, 0 },
    { "vm_state", "vm_state", LATER | EXACT, 0 }, { "task_state", "task_state", LATER | EXACT, 0 },
    { "availability_zone", "availability_zone", LATER, 0 },
    { "description", "display_description", 0, 0 }, { "display_description", "display_description", 0, 0 },
    { "locked_by", "locked_by", 0, 0 }, { "root_device_name", "root_device_name", 0, 0 },
    { "access_ip_v4", "access_ip_v4", 0, 0 }, { "access_ip_v6", "access_ip_v6", 0, 0 },
    { "progress", "progress", LATER | EXACT, 0 },
};
/* Arguments that are dealt with by hand. */
static const char *const OTHERS[] = {
    "limit", "marker", "sort_key", "sort_dir", "status", "flavor", "ip", "ip6", "all_tenants", "deleted",
    "soft_deleted", "changes-since", "project_id", "tenant_id", "config_drive", "auto_disk_config", "created_at",
    "launched_at", "terminated_at", NULL,
};

struct listing {
    struct query q;
    bool empty;                 /* a filter that nothing can pass */
    bool deleted;               /* those that are gone */
    bool with_deleted;          /* those too */
    bool all_projects;
};

static int known_args(struct call *c)
{
    static const char *const JOINED[] = { "block_device_mapping", "services", "metadata", "system_metadata",
                                          "info_cache", "security_groups", "pci_devices" };
    VEC_FOREACH(p, &c->http->args) {
        bool joined = p->key[0] == '_';
        for (size_t i = 0; i < ARRAY_SIZE(JOINED); i++)
            joined = joined || STREQ(p->key, JOINED[i]);
        if (joined && call_is_admin(c))
            return call_fault(c, 400, "BadRequest", "Invalid filter field: %s.", p->key);
        if (c->minor < 75)
            continue;
        bool known = false;
        for (size_t i = 0; i < ARRAY_SIZE(FILTERS); i++)
            known = known || STREQ(p->key, FILTERS[i].arg);
        for (size_t i = 0; OTHERS[i]; i++)
            known = known || STREQ(p->key, OTHERS[i]);
        static const char *const TAGS[] = { "tags", "tags-any", "not-tags", "not-tags-any", "changes-before", "locked" };
        for (size_t i = 0; i < ARRAY_SIZE(TAGS); i++)
            known = known || STREQ(p->key, TAGS[i]);
        if (!known)
            return call_fault(c, 400, "ValidationError",
                              "Additional properties are not allowed ('%s' was unexpected)", p->key);
    }
    return 0;
}

static bool may_use(const struct call *c, const struct filter *f)
{
    return call_is_admin(c) || (f->flags & EVERYBODY) || ((f->flags & LATER) && c->minor >= 83);
}

static int text_filters(struct call *c, struct listing *l)
{
    for (size_t i = 0; i < ARRAY_SIZE(FILTERS); i++) {
        const struct filter *f = &FILTERS[i];
        const char *value = call_arg(c, f->arg);
        if (!value)
            continue;
        if (!(f->flags & EXACT) && !regexp_usable(value))
            return call_fault(c, 400, "ValidationError",
                              "Invalid input for query parameters %s. Value: %s. '%s' is not a 'regex'", f->arg,
                              value, value);
        if (may_use(c, f))
            query_where(&l->q, c->arena, f->row, f->flags & EXACT ? Q_EQ : Q_REGEX, value);
    }
    return 0;
}

static int status_filter(struct call *c, struct listing *l)
{
    struct strv statuses = { 0 }, vm = { 0 }, tasks = { 0 };
    bool any_task;
    VEC_FOREACH(p, &c->http->args)
        if (STREQ(p->key, "status"))
            strv_add(c->arena, &statuses, p->value);
    if (!statuses.n)
        return 0;
    if (!states_of_status(c->arena, &statuses, &vm, &tasks, &any_task)) {
        if (c->minor >= 38)
            return call_fault(c, 400, "BadRequest", "Invalid status value");
        l->empty = true;
        return 0;
    }
    if (vm.n == 1 && STREQ(vm.v[0], VM_DELETED)) {
        if (!call_is_admin(c))
            return call_fault(c, 403, "Forbidden", "Only administrators may list deleted instances");
        l->deleted = true;
    }
    struct condition *w = query_where(&l->q, c->arena, "vm_state", Q_IN, NULL);
    if (w)
        w->list = vm;
    if (!any_task && tasks.n) {
        w = query_where(&l->q, c->arena, "task_state", Q_IN, NULL);
        if (w)
            w->list = tasks;
    }
    return 0;
}

static int flavor_filter(struct call *c, struct listing *l)
{
    const char *flavorid = call_arg(c, "flavor");
    struct flavor *f;
    if (!flavorid)
        return 0;
    int r = flavor_find(c->txn, flavorid, &f);
    if (r < 0)
        return r;
    if (f)
        query_where(&l->q, c->arena, "instance_type_id", Q_EQ, f->head.id);
    else
        l->empty = true;
    return 0;
}

static int address_filter(struct call *c, struct listing *l, const char *arg, int version)
{
    const char *text = call_arg(c, arg);
    struct strv ids = { 0 };
    if (!text)
        return 0;
    if (!regexp_usable(text))
        return call_fault(c, 400, "ValidationError", "Invalid input for query parameters %s. Value: %s. '%s' is not "
                          "a 'regex'", arg, text, text);
    int r = network_devices_by_ip(c->txn, text, version, true, &ids);
    if (r < 0)
        return r;
    l->empty = l->empty || ids.n == 0;
    struct condition *w = query_where(&l->q, c->arena, "id", Q_IN, NULL);
    if (w)
        w->list = ids;
    return 0;
}

static void tag_filters(struct call *c, struct listing *l)
{
    static const char *const ARGS[] = { "tags", "tags-any", "not-tags", "not-tags-any" };
    if (c->minor < 26)
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(ARGS); i++) {
        const char *text = call_arg(c, ARGS[i]);
        struct strv tags = { 0 };
        if (!text || !strv_split(c->arena, &tags, text, ",") || !tags.n)
            continue;
        bool one_by_one = i == 0 || i == 2;
        for (size_t k = 0; k < (one_by_one ? tags.n : 1); k++) {
            struct condition *w = query_where(&l->q, c->arena, "tags", i < 2 ? Q_KEY : Q_NO_KEY,
                                              one_by_one ? tags.v[k] : NULL);
            if (!w)
                return;
            if (!one_by_one)
                w->list = tags;
            if (i == 2)
                w->any = 7;     /* lacks one of them */
        }
    }
}

static int time_filter(struct call *c, struct listing *l, const char *arg, enum query_op op, usec_t *ret)
{
    const char *text = call_arg(c, arg);
    if (!text)
        return 0;
    if (time_parse(text, ret) < 0)
        return call_fault(c, 400, "ValidationError",
                          "Invalid input for query parameters %s. Value: %s. '%s' is not a 'date-time'", arg, text,
                          text);
    l->with_deleted = true;
    query_where(&l->q, c->arena, "updated_at", op, arena_printf(c->arena, "%lld", (long long)*ret));
    return 0;
}

static int time_filters(struct call *c, struct listing *l)
{
    usec_t since = 0, before = 0;
    int r = time_filter(c, l, "changes-since", Q_GE, &since);
    if (!r && c->minor >= 66)
        r = time_filter(c, l, "changes-before", Q_LE, &before);
    if (!r && since && before && before < since)
        return call_fault(c, 400, "BadRequest",
                          "The value of changes-since must be less than or equal to changes-before.");
    return r;
}

static bool true_word(const char *s)
{
    static const char *const YES[] = { "1", "t", "true", "on", "y", "yes" };
    for (size_t i = 0; s && i < ARRAY_SIZE(YES); i++)
        if (strcasecmp(s, YES[i]) == 0)
            return true;
    return false;
}

static int scope_filters(struct call *c, struct listing *l, bool detail)
{
    const char *all = call_arg(c, "all_tenants");
    if (all && *all && !STREQ(all, "0") && !true_word(all) && strcasecmp(all, "false") != 0)
        return call_fault(c, 400, "BadRequest", "Invalid value '%s' for all_tenants.", all);
    l->all_projects = all && (!*all || true_word(all));
    if (l->all_projects) {
        int r = call_require(c, detail ? "os_compute_api:servers:detail:get_all_tenants" :
                             "os_compute_api:servers:index:get_all_tenants", NULL);
        if (r)
            return r;
        const char *project = call_arg(c, "project_id") ? call_arg(c, "project_id") : call_arg(c, "tenant_id");
        if (project)
            query_where(&l->q, c->arena, "project_id", Q_EQ, project);
    } else {
        query_where(&l->q, c->arena, "project_id", Q_EQ, str_or(c->auth->project_id, ""));
    }
    if (call_is_admin(c) && true_word(call_arg(c, "deleted")))
        l->deleted = true;
    const char *locked = c->minor >= 73 ? call_arg(c, "locked") : NULL;
    if (locked)
        query_where(&l->q, c->arena, "locked", Q_EQ, true_word(locked) ? "true" : "false");
    const char *drive = call_arg(c, "config_drive");
    if (drive && (call_is_admin(c) || c->minor >= 83))
        query_where(&l->q, c->arena, "config_drive", Q_EQ, true_word(drive) ? "true" : "false");
    if (call_is_admin(c) && !true_word(call_arg(c, "soft_deleted")) && !call_arg(c, "status") &&
        !call_arg(c, "vm_state"))
        query_where(&l->q, c->arena, "vm_state", Q_NE, VM_SOFT_DELETED);
    else if (!call_is_admin(c))
        query_where(&l->q, c->arena, "vm_state", Q_NE, VM_SOFT_DELETED);
    return 0;
}

/* ---- sort ---- */

static int sort(struct call *c, struct listing *l)
{
    static const char *const KEYS[] = {
        "access_ip_v4", "access_ip_v6", "auto_disk_config", "availability_zone", "config_drive", "created_at",
        "display_description", "display_name", "host", "hostname", "image_ref", "instance_type_id", "kernel_id",
        "key_name", "launch_index", "launched_at", "locked_by", "node", "power_state", "progress", "project_id",
        "ramdisk_id", "root_device_name", "task_state", "terminated_at", "updated_at", "user_id", "vm_state",
    };
    static const char *const IGNORED[] = {
        "architecture", "cell_name", "cleaned", "default_ephemeral_device", "default_swap_device", "deleted",
        "deleted_at", "disable_terminate", "ephemeral_gb", "ephemeral_key_uuid", "id", "key_data", "launched_on",
        "memory_mb", "os_type", "reservation_id", "root_gb", "shutdown_terminate", "user_data", "vcpus", "vm_mode",
    };
    struct strv keys = { 0 }, dirs = { 0 };
    VEC_FOREACH(p, &c->http->args) {
        if (STREQ(p->key, "sort_key"))
            strv_add(c->arena, &keys, p->value);
        if (STREQ(p->key, "sort_dir"))
            strv_add(c->arena, &dirs, p->value);
    }
    size_t used = 0;
    for (size_t i = 0; i < keys.n; i++) {
        const char *row = STREQ(keys.v[i], "uuid") ? "id" : NULL;
        bool ignored = false;
        for (size_t k = 0; k < ARRAY_SIZE(KEYS); k++)
            if (STREQ(KEYS[k], keys.v[i]))
                row = KEYS[k];
        for (size_t k = 0; k < ARRAY_SIZE(IGNORED); k++)
            ignored = ignored || STREQ(IGNORED[k], keys.v[i]);
        if (STREQ(keys.v[i], "locked")) {
            row = c->minor >= 73 ? "locked" : NULL;
            ignored = c->minor < 73;
        }
        const char *dir = i < dirs.n ? dirs.v[i] : "desc";
        if ((!row && (!ignored || c->minor >= 75)) || (!STREQ(dir, "asc") && !STREQ(dir, "desc")))
            return call_fault(c, 400, "ValidationError", "Invalid input for query parameters %s. Value: %s.",
                              row || ignored ? "sort_dir" : "sort_key", row || ignored ? dir : keys.v[i]);
        if (ignored && !row)
            continue;
        if ((STREQ(row, "host") || STREQ(row, "node")) && !call_is_admin(c))
            continue;
        query_sort(&l->q, c->arena, row, STREQ(dir, "desc"));
        used++;
    }
    if (!used)
        query_sort(&l->q, c->arena, "created_at", !(dirs.n && STREQ(dirs.v[0], "asc")));
    return 0;
}

/* ---- the list ---- */

static int fetch(struct call *c, struct listing *l, struct results *ret)
{
    *ret = (struct results){ 0 };
    if (l->empty)
        return 0;
    if (l->deleted)
        l->q.kind = &DELETED_SERVER_KIND;
    int r = txn_list(c->txn, &l->q, ret);
    if (r < 0)
        return r;
    if (ret->marker_lost)
        return call_fault(c, 400, "MarkerNotFound", "marker [%s] not found", l->q.marker);
    if (!l->with_deleted || l->deleted || ret->more)
        return 0;
    /* Recent changes include those that went. */
    struct results gone;
    l->q.kind = &DELETED_SERVER_KIND;
    l->q.marker = NULL;
    r = txn_list(c->txn, &l->q, &gone);
    for (size_t i = 0; i < gone.n && r >= 0 && ret->n < l->q.limit; i++)
        if (!vec_push(c->arena, ret, gone.v[i]))
            return -ENOMEM;
    return r;
}

static int list(struct call *c, bool detail)
{
    struct listing l = { .q.kind = &SERVER_KIND };
    struct results found;
    int r = known_args(c);
    r = r ? r : compute_page(c, &l.q.limit, &l.q.marker);
    /* Here 0 means none, unlike in other lists. */
    l.empty = str_eq(call_arg(c, "limit"), "0");
    r = r ? r : call_read(c);
    r = r ? r : text_filters(c, &l);
    r = r ? r : status_filter(c, &l);
    r = r ? r : flavor_filter(c, &l);
    r = r ? r : address_filter(c, &l, "ip", 4);
    if (c->minor >= 5 || call_is_admin(c))
        r = r ? r : address_filter(c, &l, "ip6", 6);
    r = r ? r : time_filters(c, &l);
    r = r ? r : scope_filters(c, &l, detail);
    r = r ? r : sort(c, &l);
    tag_filters(c, &l);
    r = r ? r : fetch(c, &l, &found);
    if (r)
        return r;
    struct server_ports *ports = NULL;
    if (detail) {
        r = server_ports_load(c, (struct server *const *)found.v, found.n, &ports);
        if (r < 0)
            return r;
    }
    json_open_object(&c->out);
    json_put_array(&c->out, "servers");
    const char *last = NULL;
    for (size_t i = 0; i < found.n; i++) {
        struct server *s = found.v[i];
        last = s->head.id;
        if (detail) {
            r = server_render(c, s, server_ports_of(ports, s->head.id), VIEW_LIST);
            if (r < 0)
                return r;
            continue;
        }
        json_open_object(&c->out);
        json_put_string(&c->out, "id", s->head.id);
        json_put_string(&c->out, "name", s->display_name);
        compute_links(c, "servers", s->head.id, &c->out);
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    compute_next_link(c, "servers", found.more || (found.n && call_arg(c, "limit") && found.n == l.q.limit), last,
                      &c->out);
    json_close_object(&c->out);
    return 0;
}

static int servers_list(struct call *c)
{
    return list(c, false);
}

static int servers_detail(struct call *c)
{
    return list(c, true);
}

static const struct route LIST_ROUTES[] = {
    { "GET", "/v2.1/servers", servers_list, "os_compute_api:servers:index", 0, .doc = "Servers." },
    { "GET", "/v2.1/servers/detail", servers_detail, "os_compute_api:servers:detail", 0,
      .doc = "Servers with details." },
};
static const struct policy_rule LIST_RULES[] = {
    { "os_compute_api:servers:index", RULE_READER, "List servers." },
    { "os_compute_api:servers:detail", RULE_READER, "List servers with details." },
    { "os_compute_api:servers:index:get_all_tenants", RULE_ADMIN, "List servers of all projects." },
    { "os_compute_api:servers:detail:get_all_tenants", RULE_ADMIN, "The same with details." },
};
COMPUTE_PART(SERVER_LIST_PART, LIST_ROUTES, LIST_RULES);
