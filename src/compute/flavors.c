/*
 * Flavors, their extra specs and who may use them.
 *
 * Clients name a flavor by its flavorid, which they may choose; our own id stays inside. A
 * server takes a copy of its flavor when it is born or resized, so deleting one harms nobody.
 */
#include "compute/internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>

int flavor_find(struct txn *t, const char *flavorid, struct flavor **ret)
{
    return txn_find_by(t, &FLAVOR_KIND, "flavorid_key", flavorid, ret);
}

struct flavor_copy *flavor_copy_of(struct arena *a, const struct flavor *f)
{
    struct flavor_copy *copy = ARENA_NEW(a, struct flavor_copy);
    if (copy)
        *copy = (struct flavor_copy){ .id = f->head.id, .flavorid = f->flavorid, .name = f->name, .ram = f->ram,
                                      .vcpus = f->vcpus, .disk = f->disk, .ephemeral = f->ephemeral,
                                      .swap = f->swap, .rxtx_factor = f->rxtx_factor,
                                      .extra_specs = f->extra_specs };
    return copy;
}

static int not_found(struct call *c, const char *flavorid)
{
    return call_fault(c, 404, "FlavorNotFound", "Flavor %s could not be found.", flavorid);
}

/* The flavor of {id} as the caller may see it. */
static int flavor_of_call(struct call *c, const char *flavorid, struct flavor **ret)
{
    int r = c->txn ? 0 : call_read(c);
    if (r < 0)
        return r;
    struct flavor *f;
    r = flavor_find(c->txn, flavorid, &f);
    if (r < 0)
        return r;
    if (!f || !(f->is_public || call_is_admin(c) || strv_has(&f->projects, str_or(c->auth->project_id, ""))))
        return not_found(c, flavorid);
    *ret = f;
    return 0;
}

void flavor_render_in_server(struct call *c, const struct flavor_copy *f, struct json_out *o)
{
    json_put_object(o, "flavor");
    if (c->minor < 47) {
        json_put_string(o, "id", f->flavorid);
        compute_bookmark(c, "flavors", f->flavorid, o);
    } else {
        json_put_int(o, "vcpus", f->vcpus);
        json_put_int(o, "ram", f->ram);
        json_put_int(o, "disk", f->disk);
        json_put_int(o, "ephemeral", f->ephemeral);
        json_put_int(o, "swap", f->swap);
        json_put_string(o, "original_name", f->name);
        json_put_map(o, "extra_specs", &f->extra_specs);
    }
    json_close_object(o);
}

static void render(struct call *c, const struct flavor *f, bool full, struct json_out *o)
{
    json_open_object(o);
    json_put_string(o, "id", f->flavorid);
    json_put_string(o, "name", f->name);
    if (full) {
        json_put_int(o, "ram", f->ram);
        json_put_int(o, "disk", f->disk);
        if (f->swap || c->minor >= 75)
            json_put_int(o, "swap", f->swap);
        else
            json_put_string(o, "swap", "");
        json_put_int(o, "OS-FLV-EXT-DATA:ephemeral", f->ephemeral);
        json_put_bool(o, "OS-FLV-DISABLED:disabled", f->disabled);
        json_put_int(o, "vcpus", f->vcpus);
        json_put_bool(o, "os-flavor-access:is_public", f->is_public);
        json_key(o, "rxtx_factor");
        json_double_out(o, f->rxtx_factor);
    }
    compute_links(c, "flavors", f->flavorid, o);
    if (c->minor >= 55)
        json_put_string(o, "description", f->description);
    if (full && c->minor >= 61)
        json_put_map(o, "extra_specs", &f->extra_specs);
    json_close_object(o);
}

static void render_one(struct call *c, const struct flavor *f)
{
    json_open_object(&c->out);
    json_key(&c->out, "flavor");
    render(c, f, true, &c->out);
    json_close_object(&c->out);
}

/* ---- list and show ---- */

static const char *const LIST_ARGS[] = {
    "limit", "marker", "is_public", "minRam", "minDisk", "sort_key", "sort_dir", NULL,
};
static const struct { const char *key, *row; } SORT_KEYS[] = {
    { "flavorid", "flavorid" }, { "name", "name" }, { "memory_mb", "ram" }, { "root_gb", "disk" },
    { "vcpus", "vcpus" }, { "ephemeral_gb", "ephemeral" }, { "swap", "swap" }, { "created_at", "created_at" },
    { "updated_at", "updated_at" }, { "is_public", "is_public" }, { "disabled", "disabled" }, { "id", "created_at" },
    { "description", "name" }, { "rxtx_factor", "name" }, { "vcpu_weight", "name" },
};

static int at_least(struct call *c, struct query *q, const char *arg, const char *row)
{
    const char *text = call_arg(c, arg);
    if (!text)
        return 0;
    for (const char *p = text; *p || p == text; p++)
        if (!isdigit((unsigned char)*p))
            return call_fault(c, 400, "InvalidInput", "Invalid %s filter [%s]", arg, text);
    query_where(q, c->arena, row, Q_GE, text);
    return 0;
}

/* Who may see which: everybody the public ones and those shared with the project. */
static int public_filter(struct call *c, struct query *q)
{
    const char *text = call_arg(c, "is_public");
    if (!call_is_admin(c)) {
        struct condition *w = query_where(q, c->arena, "is_public", Q_EQ, "true");
        struct condition *k = query_where(q, c->arena, "projects", Q_KEY, str_or(c->auth->project_id, ""));
        if (w && k) {
            k->any = 1;
            q->where.v[q->where.n - 2].any = 1;
        }
        return 0;
    }
    if (text && strcasecmp(text, "none") == 0)
        return 0;
    static const char *const YES[] = { "1", "t", "true", "on", "y", "yes" };
    static const char *const NO[] = { "0", "f", "false", "off", "n", "no" };
    bool value = !text;
    bool known = !text;
    for (size_t i = 0; text && i < ARRAY_SIZE(YES); i++) {
        if (strcasecmp(text, YES[i]) == 0)
            value = known = true;
        if (strcasecmp(text, NO[i]) == 0)
            known = true;
    }
    if (!known)
        return call_fault(c, 400, "InvalidInput", "Invalid is_public filter [%s]", text);
    query_where(q, c->arena, "is_public", Q_EQ, value ? "true" : "false");
    return 0;
}

static int list(struct call *c, bool full)
{
    struct query q = { .kind = &FLAVOR_KIND };
    const char *marker;
    int r = compute_known_args(c, 75, LIST_ARGS);
    r = r ? r : compute_page(c, &q.limit, &marker);
    r = r ? r : at_least(c, &q, "minRam", "ram");
    r = r ? r : at_least(c, &q, "minDisk", "disk");
    r = r ? r : public_filter(c, &q);
    r = r ? r : call_read(c);
    if (r)
        return r;
    const char *key = str_or(call_arg(c, "sort_key"), "flavorid"), *row = NULL;
    const char *dir = str_or(call_arg(c, "sort_dir"), "asc");
    for (size_t i = 0; i < ARRAY_SIZE(SORT_KEYS); i++)
        if (STREQ(SORT_KEYS[i].key, key))
            row = SORT_KEYS[i].row;
    if (!row || (!STREQ(dir, "asc") && !STREQ(dir, "desc")))
        return call_fault(c, 400, "ValidationError", "Invalid input for query parameters %s. Value: %s",
                          row ? "sort_dir" : "sort_key", row ? dir : key);
    query_sort(&q, c->arena, row, STREQ(dir, "desc"));
    if (marker) {
        struct flavor *f;
        r = flavor_find(c->txn, marker, &f);
        if (r < 0)
            return r;
        if (!f)
            return call_fault(c, 400, "MarkerNotFound", "Marker %s could not be found.", marker);
        q.marker = f->head.id;
    }
    struct results l;
    r = txn_list(c->txn, &q, &l);
    if (r < 0)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "flavors");
    const char *last = NULL;
    for (size_t i = 0; i < l.n; i++) {
        const struct flavor *f = l.v[i];
        render(c, f, full, &c->out);
        last = f->flavorid;
    }
    json_close_array(&c->out);
    compute_next_link(c, "flavors", l.more || (l.n && l.n == q.limit), last, &c->out);
    json_close_object(&c->out);
    return 0;
}

static int flavors_list(struct call *c)
{
    return list(c, false);
}

static int flavors_detail(struct call *c)
{
    return list(c, true);
}

static int flavor_show(struct call *c)
{
    struct flavor *f;
    int r = flavor_of_call(c, call_param(c, "id"), &f);
    if (r)
        return r;
    render_one(c, f);
    return 0;
}

/* ---- create, change, delete ---- */

struct flavor_in {
    const char *name, *id, *description, *rxtx_factor;
    int64_t ram, vcpus, disk, ephemeral, swap;
    bool is_public;
};
#define I(key, member, kind_, flags_, ...) \
    { key, kind_, offsetof(struct flavor_in, member), IN_CREATE | (flags_), ##__VA_ARGS__, .doc = key }
#define DB_INT_MAX 0x7FFFFFFF
static const struct field FLAVOR_IN_ROWS[] = {
    I("name", name, FIELD_STRING, REQUIRED, .min = 1, .max = 255, .check = check_name),
    I("id", id, FIELD_JSON, NULLABLE),
    I("ram", ram, FIELD_INT, REQUIRED | LOOSE, .min = 1, .max = DB_INT_MAX),
    I("vcpus", vcpus, FIELD_INT, REQUIRED | LOOSE, .min = 1, .max = DB_INT_MAX),
    I("disk", disk, FIELD_INT, REQUIRED | LOOSE, .min = 0, .max = DB_INT_MAX),
    I("OS-FLV-EXT-DATA:ephemeral", ephemeral, FIELD_INT, LOOSE, .min = 0, .max = DB_INT_MAX),
    I("swap", swap, FIELD_INT, LOOSE, .min = 0, .max = DB_INT_MAX),
    I("rxtx_factor", rxtx_factor, FIELD_JSON, 0),
    I("os-flavor-access:is_public", is_public, FIELD_BOOL, LOOSE, .otherwise = "true"),
    I("description", description, FIELD_STRING, NULLABLE, .max = 65535, .since = 55),
};
static SCHEMA(FLAVOR_IN_SCHEMA, struct flavor_in, FLAVOR_IN_ROWS);

static int bad_value(struct call *c, const char *key, const char *value)
{
    return call_fault(c, 400, "ValidationError", "Invalid input for field/attribute %s. Value: %s.", key, value);
}

/* "7" and 7 are the same id. */
static int read_id(struct call *c, const char *text, const char **ret)
{
    if (!text) {
        *ret = uuid_new(c->arena);
        return 0;
    }
    size_t n = strlen(text);
    if (*text == '"') {
        text++;
        n -= 2;
    } else if (!isdigit((unsigned char)*text)) {
        return bad_value(c, "id", text);
    }
    bool good = n >= 1 && n <= 255 && text[0] != ' ' && text[n - 1] != ' ';
    for (size_t i = 0; i < n && good; i++)
        good = isalnum((unsigned char)text[i]) || strchr(". _-", text[i]);
    if (!good)
        return bad_value(c, "id", text);
    *ret = arena_strndup(c->arena, text, n);
    return 0;
}

static int read_factor(struct call *c, const char *text, double *ret)
{
    *ret = 1.0;
    if (!text)
        return 0;
    char *end;
    double d = strtod(*text == '"' ? text + 1 : text, &end);
    if ((*end && !STREQ(end, "\"")) || !(d > 0) || d > 3.40282e+38)
        return bad_value(c, "rxtx_factor", text);
    *ret = d;
    return 0;
}

static int create_write(struct call *c)
{
    const struct flavor_in *in = c->in;
    struct flavor *f = ARENA_NEW(c->arena, struct flavor);
    if (!f)
        return -ENOMEM;
    *f = (struct flavor){ .head.id = uuid_new(c->arena), .name = in->name, .description = in->description,
                          .ram = in->ram, .vcpus = in->vcpus, .disk = in->disk, .ephemeral = in->ephemeral,
                          .swap = in->swap, .is_public = in->is_public, .created_at = clock_wall() };
    int r = read_id(c, in->id, &f->flavorid);
    r = r ? r : read_factor(c, in->rxtx_factor, &f->rxtx_factor);
    if (r)
        return r;
    struct flavor *same;
    r = txn_find_by(c->txn, &FLAVOR_KIND, "name_key", f->name, &same);
    if (r < 0)
        return r;
    if (same)
        return call_fault(c, 409, "FlavorExists", "Flavor with name %s already exists.", f->name);
    r = txn_put(c->txn, &FLAVOR_KIND, f);
    if (r == TXN_TAKEN)
        return call_fault(c, 409, "FlavorIdExists", "Flavor with ID %s already exists.", f->flavorid);
    if (r == 0)
        render_one(c, f);
    return r;
}

static int flavor_create(struct call *c)
{
    return call_write(c, create_write);
}

struct description_in { const char *description; };
static const struct field DESCRIPTION_ROWS[] = {
    { "description", FIELD_STRING, offsetof(struct description_in, description), IN_CREATE | REQUIRED | NULLABLE,
      .max = 65535, .doc = "The new description." },
};
static SCHEMA(DESCRIPTION_SCHEMA, struct description_in, DESCRIPTION_ROWS);

static int update_write(struct call *c)
{
    struct flavor *f;
    int r = flavor_of_call(c, call_param(c, "id"), &f);
    if (r)
        return r;
    f->description = ((struct description_in *)c->in)->description;
    f->updated_at = clock_wall();
    r = txn_put(c->txn, &FLAVOR_KIND, f);
    if (r == 0)
        render_one(c, f);
    return r;
}

static int flavor_update(struct call *c)
{
    return call_write(c, update_write);
}

static int delete_write(struct call *c)
{
    struct flavor *f;
    int r = flavor_of_call(c, call_param(c, "id"), &f);
    return r ? r : txn_delete(c->txn, &FLAVOR_KIND, f->head.id);
}

static int flavor_delete(struct call *c)
{
    return call_write(c, delete_write);
}

/* ---- extra specs ---- */

static int spec_missing(struct call *c, const struct flavor *f, const char *key)
{
    return call_fault(c, 404, "FlavorExtraSpecsNotFound", "Flavor %s has no extra specs with key %s.", f->flavorid,
                      key);
}

static int specs_list(struct call *c)
{
    struct flavor *f;
    int r = flavor_of_call(c, call_param(c, "id"), &f);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_map(&c->out, "extra_specs", &f->extra_specs);
    json_close_object(&c->out);
    return 0;
}

static int spec_show(struct call *c)
{
    struct flavor *f;
    const char *key = call_param(c, "key");
    int r = flavor_of_call(c, call_param(c, "id"), &f);
    if (r)
        return r;
    const char *value = strmap_get(&f->extra_specs, key);
    if (!value)
        return spec_missing(c, f, key);
    json_open_object(&c->out);
    json_put_string(&c->out, key, value);
    json_close_object(&c->out);
    return 0;
}

/* Reads {"name": "text or number", ...} into the flavor. */
static int read_specs(struct call *c, json_t *specs, struct flavor *f)
{
    const char *key;
    json_t *value;
    if (!json_is_object(specs))
        return call_fault(c, 400, "ValidationError", "'extra_specs' is a required property");
    json_object_foreach(specs, key, value) {
        size_t n = strlen(key);
        bool good = n >= 1 && n <= 255;
        for (size_t i = 0; i < n && good; i++)
            good = isalnum((unsigned char)key[i]) || strchr("-_. :", key[i]);
        const char *text = json_string_value(value);
        if (json_is_number(value))
            text = json_text(c->arena, value);
        if (!good || !text || strlen(text) > 255)
            return bad_value(c, key, text ? text : "null");
        strmap_set(c->arena, &f->extra_specs, key, text);
    }
    return 0;
}

static int specs_write(struct call *c)
{
    struct flavor *f;
    const char *key = strmap_get(&c->params, "key");
    json_t *specs = key ? c->body : json_get_object(c->body, "extra_specs");
    if (!json_is_object(c->body) || json_object_size(c->body) != 1)
        return call_fault(c, 400, "ValidationError", "Malformed request body");
    if (key && !json_object_get(c->body, key))
        return call_fault(c, 400, "InvalidInput", "Request body and URI mismatch");
    int r = flavor_of_call(c, call_param(c, "id"), &f);
    r = r ? r : read_specs(c, specs, f);
    if (r)
        return r;
    f->updated_at = clock_wall();
    r = txn_put(c->txn, &FLAVOR_KIND, f);
    if (r == 0)
        json_tree_out(&c->out, c->body);
    return r;
}

static int specs_set(struct call *c)
{
    return call_write(c, specs_write);
}

static int spec_delete_write(struct call *c)
{
    struct flavor *f;
    const char *key = call_param(c, "key");
    int r = flavor_of_call(c, call_param(c, "id"), &f);
    if (r)
        return r;
    if (!strmap_drop(&f->extra_specs, key))
        return spec_missing(c, f, key);
    return txn_put(c->txn, &FLAVOR_KIND, f);
}

static int spec_delete(struct call *c)
{
    return call_write(c, spec_delete_write);
}

/* ---- access ---- */

static void render_access(struct call *c, const struct flavor *f)
{
    json_open_object(&c->out);
    json_put_array(&c->out, "flavor_access");
    for (size_t i = 0; i < f->projects.n; i++) {
        json_open_object(&c->out);
        json_put_string(&c->out, "flavor_id", f->flavorid);
        json_put_string(&c->out, "tenant_id", f->projects.v[i]);
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
}

static int access_list(struct call *c)
{
    struct flavor *f;
    int r = flavor_of_call(c, call_param(c, "id"), &f);
    if (r)
        return r;
    if (f->is_public)
        return call_fault(c, 404, "FlavorAccess", "Access list not available for public flavors.");
    render_access(c, f);
    return 0;
}

static int access_write(struct call *c)
{
    struct flavor *f;
    bool add = json_get_object(c->body, "addTenantAccess") != NULL;
    json_t *in = json_get_object(c->body, add ? "addTenantAccess" : "removeTenantAccess");
    const char *tenant = json_get_string(in, "tenant");
    if (!in || str_empty(tenant) || json_object_size(in) != 1 || json_object_size(c->body) != 1)
        return call_fault(c, 400, "ValidationError", "There is no such action or its arguments are not right.");
    int r = call_require(c, add ? "os_compute_api:os-flavor-access:add_tenant_access" :
                                  "os_compute_api:os-flavor-access:remove_tenant_access", NULL);
    r = r ? r : flavor_of_call(c, call_param(c, "id"), &f);
    if (r)
        return r;
    bool there = strv_has(&f->projects, tenant);
    if (add && c->minor >= 7 && f->is_public)
        return call_fault(c, 409, "FlavorAccess", "Can not add access to a public flavor.");
    if (add && there)
        return call_fault(c, 409, "FlavorAccessExists",
                          "Flavor access already exists for flavor %s and project %s combination.", f->flavorid,
                          tenant);
    if (!add && !there)
        return call_fault(c, 404, "FlavorAccessNotFound", "Flavor access not found for %s / %s combination.",
                          f->flavorid, tenant);
    if (add)
        strv_add(c->arena, &f->projects, tenant);
    else
        strv_drop(&f->projects, tenant);
    r = txn_put(c->txn, &FLAVOR_KIND, f);
    if (r == 0)
        render_access(c, f);
    return r;
}

static int flavor_action(struct call *c)
{
    return call_write(c, access_write);
}

#define P "/v2.1/flavors"
static const struct route FLAVOR_ROUTES[] = {
    { "GET", P, flavors_list, NULL, 0, .doc = "Flavors." },
    { "GET", P "/detail", flavors_detail, NULL, 0, .doc = "Flavors with details." },
    { "POST", P, flavor_create, "os_compute_api:os-flavor-manage:create", .wrap = "flavor", .mode = DECODE_CREATE,
      .body = &FLAVOR_IN_SCHEMA, .doc = "Makes a flavor." },
    { "GET", P "/{id}", flavor_show, NULL, 0, .doc = "One flavor." },
    { "PUT", P "/{id}", flavor_update, "os_compute_api:os-flavor-manage:update", .since = 55, .wrap = "flavor", .mode = DECODE_CREATE,
      .body = &DESCRIPTION_SCHEMA, .doc = "Changes its description." },
    { "DELETE", P "/{id}", flavor_delete, "os_compute_api:os-flavor-manage:delete", .status = 202,
      .doc = "Deletes it; servers keep their copies." },
    { "POST", P "/{id}/action", flavor_action, NULL, 0, .doc = "addTenantAccess, removeTenantAccess." },
    { "GET", P "/{id}/os-flavor-access", access_list, "os_compute_api:os-flavor-access", 0,
      .doc = "Projects that may use it." },
    { "GET", P "/{id}/os-extra_specs", specs_list, "os_compute_api:os-flavor-extra-specs:index", 0,
      .doc = "Its extra specs." },
    { "POST", P "/{id}/os-extra_specs", specs_set, "os_compute_api:os-flavor-extra-specs:create", 0,
      .doc = "Sets extra specs." },
    { "GET", P "/{id}/os-extra_specs/{key}", spec_show, "os_compute_api:os-flavor-extra-specs:show", 0,
      .doc = "One extra spec." },
    { "PUT", P "/{id}/os-extra_specs/{key}", specs_set, "os_compute_api:os-flavor-extra-specs:update", 0,
      .doc = "Changes one." },
    { "DELETE", P "/{id}/os-extra_specs/{key}", spec_delete, "os_compute_api:os-flavor-extra-specs:delete", 0,
      .doc = "Deletes one." },
};
static const struct policy_rule FLAVOR_RULES[] = {
    { "os_compute_api:os-flavor-manage:create", RULE_ADMIN, "Make flavors." },
    { "os_compute_api:os-flavor-manage:update", RULE_ADMIN, "Change flavors." },
    { "os_compute_api:os-flavor-manage:delete", RULE_ADMIN, "Delete flavors." },
    { "os_compute_api:os-flavor-access", RULE_ADMIN, "List who may use a flavor." },
    { "os_compute_api:os-flavor-access:add_tenant_access", RULE_ADMIN, "Let a project use a flavor." },
    { "os_compute_api:os-flavor-access:remove_tenant_access", RULE_ADMIN, "Take that back." },
    { "os_compute_api:os-flavor-extra-specs:index", RULE_READER, "List extra specs." },
    { "os_compute_api:os-flavor-extra-specs:show", RULE_READER, "Show an extra spec." },
    { "os_compute_api:os-flavor-extra-specs:create", RULE_ADMIN, "Set extra specs." },
    { "os_compute_api:os-flavor-extra-specs:update", RULE_ADMIN, "Change an extra spec." },
    { "os_compute_api:os-flavor-extra-specs:delete", RULE_ADMIN, "Delete an extra spec." },
};
COMPUTE_PART(FLAVOR_PART, FLAVOR_ROUTES, FLAVOR_RULES);
